import { tryParseIp } from '../../../../net/ip.ts';
import { rootName } from '../../../wire/name.ts';
import type { HostsSettings, TransferRule } from '../../types.ts';
import { argumentOf, argumentsOf, durationOf, readOptions, ttlOf, zonesOr } from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Token } from '../tokens.ts';
import type { Draft, Plugin } from './plugin.ts';

const maxTtl = 0x7fff_ffff;

/** `hosts [FILE [ZONE…]] { … }`: names of a file, and of the lines in its braces. */
export const hosts: Plugin = {
  read(directive, { block, zones }) {
    const [file, ...named] = directive.args;
    const inline: string[] = [];
    const settings: Draft<HostsSettings> = {
      file: file?.text ?? '/etc/hosts',
      inline,
      zones: zonesOr(named, zones),
      ttl: 3600,
      reverse: true,
      reloadMs: 5_000,
      fallthrough: [],
    };
    const options: Directive[] = [];
    for (const line of directive.block ?? []) {
      if (tryParseIp(line.name.text) === undefined) options.push(line);
      else inline.push([line.name, ...argumentsOf(line, 1)].map(({ text }) => text).join(' '));
    }
    readOptions(
      { ...directive, block: options },
      {
        ttl: (option) => {
          settings.ttl = ttlOf(argumentOf(option), maxTtl);
        },
        no_reverse: (option) => {
          argumentsOf(option, 0, 0);
          settings.reverse = false;
        },
        reload: (option) => {
          settings.reloadMs = durationOf(argumentOf(option));
        },
        fallthrough: (option) => {
          settings.fallthrough = zonesOr(option.args, [rootName]);
        },
      },
    );
    block.hosts = settings;
  },
};

/** `transfer [ZONE…] { to ADDRESS… }`: who may have zones as a whole. */
export const transfer: Plugin = {
  repeats: true,
  read(directive, { block, zones }) {
    let to: TransferRule['to'] = [];
    readOptions(directive, {
      to: (option) => {
        const peers = argumentsOf(option, 1);
        if (to === '*' || peers.some(({ text }) => text === '*')) to = '*';
        else to = [...to, ...peers.map(peerOf)];
      },
    });
    if (to.length === 0)
      throw corefileError(directive.name, 'transfer names no client', 'put to ADDRESS… in its braces');
    block.transfer = [...block.transfer, { zones: zonesOr(directive.args, zones), to }];
  },
};

/** A client's address. CoreDNS takes a port too, to which it sends NOTIFY for zones of files; the cluster's are none. */
function peerOf(token: Token) {
  const ip = tryParseIp(token.text);
  if (ip !== undefined) return ip;
  throw corefileError(token, `${token.text} is not an address`, 'write it as 192.0.2.1, or * for everybody');
}
