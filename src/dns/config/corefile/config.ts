import { rootName } from '../../wire/name.ts';
import { defaultUdpSize } from '../defaults.ts';
import { requireDistinctZones } from '../distinct.ts';
import type { DnsConfig, DnsTransport, ServerBlock } from '../types.ts';
import { choiceOf, zonesOf } from './arguments.ts';
import { corefileError } from './error.ts';
import { type CorefileBlock, type CorefileSurroundings, parseCorefile } from './parse.ts';
import type { Draft, Drafts } from './plugins/plugin.ts';
import { readPlugins } from './plugins/table.ts';
import type { Token } from './tokens.ts';

/** Where a zone is served, as its key says. */
interface KeyedZone {
  readonly token: Token;
  readonly zones: readonly ReturnType<typeof zonesOf>[number][];
  readonly port: number;
  readonly transport: DnsTransport;
}

const defaultPorts: { readonly [T in DnsTransport]: number } = { dns: 53, tls: 853 };

/**
 * Reads a Corefile. What it says is done as CoreDNS does it, or refused: there is nothing that is passed over.
 * @throws SignalboxError `INVALID_CONFIG` with the file and line, and what is not supported by its name
 */
export function parseCorefileConfig(text: string, file: string, surroundings: CorefileSurroundings): DnsConfig {
  const blocks = parseCorefile(text, file, surroundings);
  if (blocks.length === 0)
    throw corefileError({ file, line: 1 }, 'the Corefile has no server block', 'write .:53 { … }');
  const server: Draft<DnsConfig> = {
    servers: [],
    health: undefined,
    ready: undefined,
    metrics: [],
    reload: undefined,
    // CoreDNS has threads, and so no word for it: the command line has one.
    workers: 1,
    maxUdpSize: defaultUdpSize,
    kubeconfig: undefined,
    context: undefined,
    apiServer: undefined,
  };
  const maxUdpSizes = new Set<number>();
  server.servers = blocks.flatMap((block) => serverBlocks(block, { server, maxUdpSizes }));
  requireDistinctZones(server.servers);
  return server;
}

/** A block of a Corefile: one server block for each port and transport its keys name. */
function serverBlocks(
  { keys, directives }: CorefileBlock,
  { server, maxUdpSizes }: Pick<Drafts, 'server' | 'maxUdpSizes'>,
): ServerBlock[] {
  const keyed = keys.map(keyedZone);
  const blocks = byPort(keyed).map((zonesOfPort): ServerBlock => {
    const zones = zonesOfPort.flatMap((each) => each.zones);
    const [{ port, transport } = { port: 53, transport: 'dns' as const }] = zonesOfPort;
    const block: Draft<ServerBlock> = {
      zones,
      listen: [{ ip: undefined, port, transport }],
      tls: undefined,
      errors: undefined,
      log: [],
      loadbalance: false,
      loop: false,
      hosts: undefined,
      cache: undefined,
      kubernetes: undefined,
      transfer: [],
      forward: [],
    };
    readPlugins(directives, { block, server, zones, maxUdpSizes });
    if (transport === 'tls' && block.tls === undefined)
      throw corefileError(zonesOfPort[0]?.token ?? { file: '', line: 1 }, 'has no certificate', 'add tls CERT KEY');
    return transport === 'tls' ? block : { ...block, tls: undefined };
  });
  const tls = directives.find(({ name }) => name.text === 'tls');
  if (tls !== undefined && keyed.every(({ transport }) => transport !== 'tls'))
    throw corefileError(tls.name, 'tls has no effect in a block without TLS', 'write the zone as tls://zone:853');
  return blocks;
}

function byPort(keyed: readonly KeyedZone[]): KeyedZone[][] {
  const groups = new Map<string, KeyedZone[]>();
  for (const each of keyed) {
    const key = `${each.transport}:${each.port}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()];
}

/** `[SCHEME://]ZONE[:PORT]`. */
function keyedZone(token: Token): KeyedZone {
  const [, scheme, rest = token.text] = /^([a-z\d]+):\/\/(.*)$/.exec(token.text) ?? [];
  const transport = scheme === undefined ? 'dns' : choiceOf({ ...token, text: scheme }, ['dns', 'tls']);
  // The colons of a block of IPv6 addresses are before its prefix.
  const [, zone = rest, digits] = /^([^:]*|[^/]*\/\d+):(\d{1,5})$/.exec(rest) ?? [];
  const port = digits === undefined ? defaultPorts[transport] : Number(digits);
  if (port < 1 || port > 65_535) throw corefileError(token, `${token.text} has no port from 1 to 65535`, 'correct it');
  return { token, zones: zone === '' ? [rootName] : zonesOf({ ...token, text: zone }), port, transport };
}
