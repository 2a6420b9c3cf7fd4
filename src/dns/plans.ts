import { SignalboxError } from '../errors/error.ts';
import type { ResponderOptions } from './answer.ts';
import type { OpenBlock } from './blocks.ts';
import type { DnsConfig, ListenAddress, ServerBlock } from './config/types.ts';
import type { DnsMetrics } from './metrics.ts';
import { serverLabel } from './server/label.ts';
import { readServerTls, type ServerTls } from './tls-files.ts';
import { formatName } from './wire/name.ts';

/** A listening address, and what is done there. */
export interface Plan {
  readonly address: ListenAddress;
  readonly blocks: readonly OpenBlock[];
  readonly options: ResponderOptions;
}

/** What plans are made from. */
export interface PlanParts {
  readonly config: DnsConfig;
  /** By `blockKey`. */
  readonly blocks: ReadonlyMap<string, OpenBlock>;
  readonly metrics: DnsMetrics;
  readonly onCrash: (error: unknown) => void;
}

/** Blocks with the same key do the same. */
export function blockKey(settings: ServerBlock): string {
  return JSON.stringify(settings, (_, value: unknown) => (value instanceof RegExp ? String(value) : value));
}

/** What is done at each listening address, by keys that are the same wherever a configuration is. */
export function planServing({ config, blocks, metrics, onCrash }: PlanParts): Map<string, Plan> {
  const served = new Map<string, { address: ListenAddress; blocks: OpenBlock[] }>();
  for (const settings of config.servers) {
    const block = blocks.get(blockKey(settings));
    for (const [i, address] of settings.listen.entries()) {
      // Port 0 takes a free one: two of these are two addresses.
      const key = address.port === 0 ? `${blockKey(settings)} ${i}` : JSON.stringify(address);
      const place = served.get(key) ?? { address, blocks: [] };
      if (block !== undefined) place.blocks.push(block);
      served.set(key, place);
    }
  }
  return new Map(
    [...served].map(([key, { address, blocks }]) => {
      const label = serverLabel(address);
      const options = {
        blocks: blocks.map((block) => servedBlock(block, label, metrics)),
        maxUdpSize: config.maxUdpSize,
        isRecursive: blocks.some(({ forwarders }) => forwarders.length > 0),
        dropped: metrics.queries(label, 'dropped'),
        onCrash,
      };
      return [key, { address, blocks, options }];
    }),
  );
}

function servedBlock(
  { settings, handlers, log, errors }: OpenBlock,
  label: string,
  metrics: DnsMetrics,
): ResponderOptions['blocks'][number] {
  const zones = settings.zones.map((apex) => ({
    apex,
    metrics: metrics.queries(label, formatName(apex)),
    log,
    errors,
  }));
  return { zones, handlers };
}

/** The certificates of addresses whose transport is TLS, by the plans' keys. */
export async function readCertificates(plans: ReadonlyMap<string, Plan>): Promise<Map<string, ServerTls>> {
  const certificates = new Map<string, ServerTls>();
  for (const [key, plan] of plans) {
    const tls = await tlsOf(plan);
    if (tls !== undefined) certificates.set(key, tls);
  }
  return certificates;
}

/** The certificate of an address: that of its first block, since it is shown before a name is asked for. */
async function tlsOf({ address: { transport }, blocks }: Plan): Promise<ServerTls | undefined> {
  if (transport !== 'tls') return undefined;
  const settings = blocks.map(({ settings: { tls } }) => tls).find((tls) => tls !== undefined);
  if (settings !== undefined) return await readServerTls(settings);
  throw new SignalboxError('INVALID_CONFIG', {
    object: 'a server that listens for DNS over TLS',
    problem: 'has no certificate',
    remedy: 'name its files under tls',
  });
}
