import { networkInterfaces } from 'node:os';
import { type Ip, tryParseIp } from '../../../../net/ip.ts';
import { argumentOf, argumentsOf, choiceOf, integerOf, readOptions, requireNoBlock } from '../arguments.ts';
import { corefileError, quoted } from '../error.ts';
import type { Token } from '../tokens.ts';
import type { Plugin } from './plugin.ts';

/** `bind ADDRESS|INTERFACE… { except … }`: where the block listens, instead of everywhere. */
export const bind: Plugin = {
  repeats: true,
  read(directive, { block }) {
    const [port] = block.listen;
    const except = new Set<Ip>();
    readOptions(directive, {
      except: (option) => {
        for (const token of argumentsOf(option, 1)) for (const ip of addressesOf(token)) except.add(ip);
      },
    });
    const bound = argumentsOf(directive, 1)
      .flatMap(addressesOf)
      .filter((ip) => !except.has(ip));
    if (bound.length === 0) throw corefileError(directive.name, 'bind leaves no address', 'except fewer');
    const before = block.listen.filter(({ ip }) => ip !== undefined);
    if (port !== undefined) block.listen = [...before, ...[...new Set(bound)].map((ip) => ({ ...port, ip }))];
  },
};

/** An address, or those an interface of this machine has. */
function addressesOf(token: Token): Ip[] {
  const ip = tryParseIp(token.text === 'localhost' ? '127.0.0.1' : token.text);
  if (ip !== undefined) return [ip];
  // Link-local addresses of IPv6 are no addresses without their interface.
  const addresses = networkInterfaces()[token.text]?.filter(({ address }) => !address.startsWith('fe80:'));
  if (addresses !== undefined) return addresses.map(({ address }) => address as Ip);
  throw corefileError(token, `${quoted(token)} is no address, and no interface of this machine`, 'correct it');
}

/** `tls CERT KEY [CA] { client_auth … }`: the certificate of a `tls://` block. */
export const tls: Plugin = {
  read(directive, { block }) {
    const [certFile, keyFile, caFile] = argumentsOf(directive, 2, 3).map(({ text }) => text) as [
      string,
      string,
      string | undefined,
    ];
    let asks = false;
    readOptions(directive, {
      client_auth: (option) => {
        asks = choiceOf(argumentOf(option), ['nocert', 'require_and_verify']) === 'require_and_verify';
      },
    });
    if (asks && caFile === undefined)
      throw corefileError(directive.name, 'require_and_verify needs a certificate authority', 'name its file third');
    block.tls = { certFile, keyFile, clientCaFile: asks ? caFile : undefined };
  },
};

/** `loadbalance [round_robin]`: addresses take turns at being first. */
export const loadbalance: Plugin = {
  read(directive, { block }) {
    for (const token of argumentsOf(directive, 0, 1)) choiceOf(token, ['round_robin']);
    requireNoBlock(directive);
    block.loadbalance = true;
  },
};

/** `loop`: upstreams are probed for sending queries back. */
export const loop: Plugin = {
  read(directive, { block }) {
    argumentsOf(directive, 0, 0);
    requireNoBlock(directive);
    block.loop = true;
  },
};

/** `bufsize [SIZE]`: the largest UDP answer. */
export const bufsize: Plugin = {
  read(directive, { server, maxUdpSizes }) {
    const [token] = argumentsOf(directive, 0, 1);
    requireNoBlock(directive);
    const size = token === undefined ? 1232 : integerOf(token, 512, 4096);
    maxUdpSizes.add(size);
    if (maxUdpSizes.size > 1)
      throw corefileError(directive.name, 'says another size than the bufsize above', 'say one size in all blocks');
    server.maxUdpSize = size;
  },
};
