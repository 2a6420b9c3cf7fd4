import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { metricsContentType } from '../component/metrics.ts';
import { type Pages, servePages } from '../component/pages.ts';
import { Responder } from './answer.ts';
import { type DnsConfig, type HttpAddress, readUpstreams } from './config.ts';
import { feedZone } from './feed.ts';
import { formatServerAddress, type ServerAddress } from './forward/address.ts';
import { Forwarder } from './forward/forwarder.ts';
import { DnsMetrics } from './metrics.ts';
import { defaultTcpLimits, listenTcp } from './server/tcp.ts';
import { type Listener, listenUdp } from './server/udp.ts';
import { formatName } from './wire/name.ts';
import { ClusterZone } from './zone.ts';

/** Bounds of asking other servers. A client's own time-out is 5 s as a rule: an answer after that is for nobody. */
const forwarding = {
  timeoutMs: 2_000,
  deadlineMs: 4_500,
  maxInFlight: 1_000,
  cache: { entries: 10_000, bytes: 16 << 20, maxTtl: 30 },
};

/** When upstreams are probed for loops, in milliseconds after the start: some are not up when we are. */
const probeTimes = [0, 2_000, 10_000, 30_000];

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
  readonly ports: { readonly health: number; readonly ready: number; readonly metrics: number };
  /** Resolves when the zone is whole. */
  readonly synced: Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a DNS server: when it resolves, queries are answered, if only with SERVFAIL.
 * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`
 */
export async function startDns({ config, client, log }: DnsParts): Promise<DnsServer> {
  const metrics = new DnsMetrics(`dns://:${config.listen[0]?.port ?? 53}`);
  const zone = new ClusterZone({
    domain: config.clusterDomain,
    ttl: config.ttl,
    pods: config.pods,
    nameServer: config.nameServer,
  });
  const upstreams = await readUpstreams(config);
  const forwarder = upstreams.length === 0 ? undefined : new Forwarder({ ...forwarding, upstreams, metrics, log });
  const closers: { close(): unknown }[] = [];
  const close = async () => {
    // Last opened, first closed: what asks goes before what is asked.
    for (const part of closers.splice(0).reverse()) await part.close();
  };
  try {
    if (forwarder !== undefined) closers.push(forwarder, probing(forwarder));
    const feed = feedZone({ zone, client, log, metrics });
    closers.push(feed);
    const responder = new Responder({
      zone,
      isReady: feed.isReady,
      forwarder,
      maxUdpSize: config.maxUdpSize,
      metrics,
    });
    const listeners = await listen(config.listen, { responder, log }, closers);
    exposeGauges(metrics, zone, forwarder);
    const ports = await openPages(config, { metrics, isReady: feed.isReady }, closers);
    log.info({ listen: listeners.map(formatServerAddress), domain: formatName(config.clusterDomain) }, 'serving');
    return { addresses: listeners, ports, synced: feed.synced, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function listen(
  addresses: readonly ServerAddress[],
  { responder, log }: { responder: Responder; log: Logger },
  closers: { close(): unknown }[],
): Promise<ServerAddress[]> {
  const bound: ServerAddress[] = [];
  for (const address of addresses) {
    const tcp = await listenTcp(address, { responder, limits: defaultTcpLimits, log });
    closers.push(tcp);
    // The same port for both, where the system chose one.
    const udp: Listener = await listenUdp(tcp.address, responder, log);
    closers.push(udp);
    bound.push(udp.address);
  }
  return bound;
}

async function openPages(
  config: DnsConfig,
  { metrics, isReady }: { metrics: DnsMetrics; isReady: () => boolean },
  closers: { close(): unknown }[],
): Promise<DnsServer['ports']> {
  const open = async ({ ip, port }: HttpAddress, pages: Pages) => {
    const server = await servePages({ host: ip, port }, pages);
    closers.push(server);
    return server.port;
  };
  return {
    health: await open(config.health, { '/health': () => ({ body: 'OK' }) }),
    ready: await open(config.ready, {
      '/ready': () => (isReady() ? { body: 'OK' } : { status: 503, body: 'kubernetes' }),
    }),
    metrics: await open(config.metrics, {
      '/metrics': () => ({ type: metricsContentType, body: metrics.registry.text() }),
    }),
  };
}

function exposeGauges({ registry }: DnsMetrics, zone: ClusterZone, forwarder: Forwarder | undefined): void {
  registry.readGauge({ name: 'signalbox_dns_zone_names', help: 'Names that exist in the zones served.' }, () =>
    zone.zones.reduce((sum, { tree }) => sum + tree.size, 0),
  );
  registry.readGauge({ name: 'signalbox_dns_zone_serial', help: 'Serial number of the zones.' }, () => zone.serial);
  registry.readGauge(
    { name: 'coredns_cache_entries', help: "Other servers' answers kept." },
    () => forwarder?.cacheSize ?? 0,
  );
}

function probing(forwarder: Forwarder): { close(): void } {
  const timers = probeTimes.map((ms) => setTimeout(() => forwarder.probeForLoops(), ms));
  return { close: () => timers.forEach(clearTimeout) };
}
