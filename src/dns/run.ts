import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { metricsContentType } from '../component/metrics.ts';
import { type Pages, servePages } from '../component/pages.ts';
import { Responder } from './answer.ts';
import { type OpenBlock, openBlock } from './blocks.ts';
import type { DnsConfig, HttpAddress, ListenAddress } from './config/types.ts';
import { formatServerAddress, type ServerAddress } from './forward/address.ts';
import { DnsMetrics } from './metrics.ts';
import { serverLabel } from './server/label.ts';
import { listenAt } from './server/listen.ts';
import type { Listener } from './server/udp.ts';
import { formatName } from './wire/name.ts';

/**
 * Runs the cluster's DNS server until the signal aborts and all sockets are closed. It answers SERVFAIL for the
 * cluster's names until it has seen all objects once, and goes on with what it has while the API is away.
 * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`, and those of `loadKubeconfig`
 */
export async function runDns(config: DnsConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger('dns');
  const client = connect({ ...(await loadKubeconfig(config.kubeconfig)), component: 'signalbox-dns' });
  try {
    const server = await startDns({ config, client, log });
    await aborted(signal);
    log.info('stopping');
    await server.close();
  } finally {
    client.close();
  }
}

/** What a DNS server is started with. */
export interface DnsParts {
  readonly config: DnsConfig;
  readonly client: ApiClient;
  readonly log: Logger;
}

/** A DNS server that runs. */
export interface DnsServer {
  /** Where it listens, UDP and TCP alike, in the order of the configuration. */
  readonly addresses: readonly ServerAddress[];
  /** 0 for a page that is not served. */
  readonly ports: { readonly health: number; readonly ready: number; readonly metrics: number };
  /** Resolves when the zones are whole. */
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a DNS server: when it resolves, queries are answered, if only with SERVFAIL.
 * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`
 */
export async function startDns({ config, client, log }: DnsParts): Promise<DnsServer> {
  const metrics = new DnsMetrics();
  const closers: { close(): unknown }[] = [];
  const close = async () => {
    // Last opened, first closed: what asks goes before what is asked.
    for (const part of closers.splice(0).reverse()) await part.close();
  };
  try {
    const blocks: OpenBlock[] = [];
    for (const settings of config.servers) {
      const block = await openBlock(settings, { config, client, log, metrics });
      blocks.push(block);
      closers.push(block);
    }
    const addresses = await listen(blocks, { config, metrics, log }, closers);
    exposeGauges(metrics, blocks);
    const clusters = blocks.flatMap(({ cluster }) => cluster ?? []);
    const isReady = () => clusters.every(({ feed }) => feed.isReady());
    const ports = await openPages(config, { metrics, isReady }, closers);
    log.info({ listen: addresses.map(formatServerAddress), zones: blocks.flatMap(zonesOf) }, 'serving');
    const synced = Promise.all(clusters.map(({ feed }) => feed.synced)).then(() => undefined);
    synced.catch(() => undefined);
    return { addresses, ports, synced, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function zonesOf({ settings }: OpenBlock): string[] {
  return settings.zones.map(formatName);
}

/** Opens the sockets: one responder for each listening address, with the blocks that are served there. */
async function listen(
  blocks: readonly OpenBlock[],
  { config, metrics, log }: { config: DnsConfig; metrics: DnsMetrics; log: Logger },
  closers: { close(): unknown }[],
): Promise<ServerAddress[]> {
  const addresses = new Map<ListenAddress, OpenBlock[]>();
  for (const block of blocks) {
    for (const address of block.settings.listen) {
      const same = [...addresses.keys()].find((other) => isSameAddress(address, other)) ?? address;
      addresses.set(same, [...(addresses.get(same) ?? []), block]);
    }
  }
  const bound: ServerAddress[] = [];
  for (const [address, served] of addresses) {
    const label = serverLabel(address);
    const responder = new Responder({
      blocks: served.map(({ settings, handlers }) => ({
        zones: settings.zones.map((apex) => ({ apex, metrics: metrics.queries(label, formatName(apex)) })),
        handlers,
      })),
      maxUdpSize: config.maxUdpSize,
      isRecursive: served.some(({ forwarders }) => forwarders.length > 0),
      dropped: metrics.queries(label, 'dropped'),
    });
    const opened: Listener[] = [];
    closers.push({ close: () => Promise.all(opened.map((listener) => listener.close())) });
    await listenAt(address, { responder, log }, opened);
    bound.push(...opened.slice(0, 1).map((listener) => listener.address));
  }
  return bound;
}

/** Port 0 takes a free one: two of these are two addresses. */
function isSameAddress(a: ListenAddress, b: ListenAddress): boolean {
  return a.ip === b.ip && a.port === b.port && a.transport === b.transport && a.port !== 0;
}

async function openPages(
  config: DnsConfig,
  { metrics, isReady }: { metrics: DnsMetrics; isReady: () => boolean },
  closers: { close(): unknown }[],
): Promise<DnsServer['ports']> {
  const open = async (address: HttpAddress | undefined, pages: Pages) => {
    if (address === undefined) return 0;
    const server = await servePages({ host: address.ip, port: address.port }, pages);
    closers.push(server);
    return server.port;
  };
  const health = await open(config.health, { '/health': () => ({ body: 'OK' }) });
  const ready = await open(config.ready, {
    '/ready': () => (isReady() ? { body: 'OK' } : { status: 503, body: 'kubernetes' }),
  });
  const metricsPorts: number[] = [];
  for (const address of config.metrics) {
    const page = () => ({ type: metricsContentType, body: metrics.registry.text() });
    metricsPorts.push(await open(address, { '/metrics': page }));
  }
  return { health, ready, metrics: metricsPorts[0] ?? 0 };
}

function exposeGauges({ registry }: DnsMetrics, blocks: readonly OpenBlock[]): void {
  const zones = blocks.flatMap(({ cluster }) => cluster?.zone ?? []);
  registry.readGauge({ name: 'signalbox_dns_zone_names', help: 'Names that exist in the zones served.' }, () =>
    zones.flatMap((zone) => zone.zones).reduce((sum, { tree }) => sum + tree.size, 0),
  );
  registry.readGauge({ name: 'signalbox_dns_zone_serial', help: 'Serial number of the zones.' }, () =>
    Math.max(0, ...zones.map(({ serial }) => serial)),
  );
  registry.readGauge({ name: 'coredns_cache_entries', help: "Other servers' answers kept." }, () =>
    blocks.flatMap(({ forwarders }) => forwarders).reduce((sum, { cacheSize }) => sum + cacheSize, 0),
  );
}
