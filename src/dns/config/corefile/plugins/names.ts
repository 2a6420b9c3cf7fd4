import { tryParseIp } from '../../../../net/ip.ts';
import { rootName } from '../../../wire/name.ts';
import { parseTransferPeer, peersOfRule, type TransferPeer } from '../../transfer-peer.ts';
import type { HostsSettings } from '../../types.ts';
import { argumentOf, argumentsOf, durationOf, integerOf, readOptions, zonesOr } from '../arguments.ts';
import { corefileError, quoted } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Token } from '../tokens.ts';
import type { Draft, Plugin } from './plugin.ts';

const maxTtl = 65_535;

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
          settings.ttl = integerOf(argumentOf(option), 1, maxTtl);
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

/** `transfer [ZONE…] { to ADDRESS|BLOCK… }`: who may have zones as a whole, and is told of their changes. */
export const transfer: Plugin = {
  repeats: true,
  read(directive, { block, zones }) {
    const peers: TransferPeer[] = [];
    let isForAll = false;
    readOptions(directive, {
      to: (option) => {
        for (const peer of argumentsOf(option, 1)) {
          if (peer.text === '*') isForAll = true;
          else peers.push(peerOf(peer));
        }
      },
    });
    if (!isForAll && peers.length === 0)
      throw corefileError(directive.name, 'transfer names no client', 'put to ADDRESS… in its braces');
    const { to, notify } = peersOfRule(peers);
    const rule = { zones: zonesOr(directive.args, zones), to: isForAll ? ('*' as const) : to, notify };
    block.transfer = [...block.transfer, rule];
  },
};

/** Clients, and where one is told of changes. */
function peerOf(token: Token): TransferPeer {
  try {
    return parseTransferPeer(token.text);
  } catch {
    throw corefileError(
      token,
      `${quoted(token)} is not an address`,
      'write it as 192.0.2.1 or 192.0.2.0/24, or * for everybody',
    );
  }
}
