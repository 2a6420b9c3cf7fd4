import type { ApiClient } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { CacheSettings, DnsConfig, ForwardSettings, ListenAddress, ServerBlock } from './config/types.ts';
import { requireServed } from './config/unserved.ts';
import { type Feed, feedZone } from './feed.ts';
import type { CacheOptions } from './forward/cache.ts';
import { Forwarder } from './forward/forwarder.ts';
import { readTargets } from './forward/targets.ts';
import { ForwardHandler } from './handlers/forward.ts';
import { KubernetesHandler } from './handlers/kubernetes.ts';
import { type Handler, inOrder } from './handlers/order.ts';
import { TransferHandler } from './handlers/transfer.ts';
import { ErrorLog } from './log/error-log.ts';
import { QueryLog } from './log/query-log.ts';
import type { DnsMetrics } from './metrics.ts';
import { Notifier } from './notify.ts';
import { serverLabel } from './server/label.ts';
import { formatName } from './wire/name.ts';
import { ClusterZone } from './zone.ts';

/** What server blocks are opened with. */
export interface BlockParts {
  readonly config: DnsConfig;
  readonly client: ApiClient;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
}

/** A server block at work: who answers for it, and what that rests on. */
export interface OpenBlock {
  readonly settings: ServerBlock;
  readonly handlers: readonly Handler[];
  /** The cluster's names, where it serves them, and what keeps them. */
  readonly cluster: { readonly zone: ClusterZone; readonly feed: Feed } | undefined;
  readonly forwarders: readonly Forwarder[];
  /** Where its queries and failures are told; absent where they are not. */
  readonly log: QueryLog | undefined;
  readonly errors: ErrorLog | undefined;
  close(): void;
}

/** Bounds of asking other servers. A client's own time-out is 5 s as a rule: an answer after that is for nobody. */
const forwardBounds = { timeoutMs: 2_000, deadlineMs: 4_500, maxInFlight: 1_000 };
const cacheBytes = 16 << 20;
/** When upstreams are probed for loops, in milliseconds after the start: some are not up when we are. */
const probeTimes = [0, 2_000, 10_000, 30_000];

/**
 * Brings one server block to work.
 * @throws SignalboxError `INVALID_CONFIG` when a file it names cannot be read, or something it says is not done yet
 */
export async function openBlock(settings: ServerBlock, parts: BlockParts): Promise<OpenBlock> {
  requireServed(settings);
  const closers: { close(): void }[] = [];
  const forwards: { settings: ForwardSettings; forwarder: Forwarder }[] = [];
  // Files are read before anything is opened, so that a failure leaves nothing behind.
  for (const forward of settings.forward) {
    const forwarder = await openForwarder(forward, settings, parts);
    if (forwarder !== undefined) forwards.push({ settings: forward, forwarder });
  }
  const forwarders = forwards.map(({ forwarder }) => forwarder);
  closers.push(...forwarders);
  if (settings.loop) closers.push(...forwarders.map(probing));
  const errors = settings.errors === undefined ? undefined : new ErrorLog(settings.errors, parts.log);
  if (errors !== undefined) closers.push(errors);
  const cluster = openCluster(settings, parts);
  if (cluster !== undefined) {
    closers.push(cluster.feed);
    const { zone, feed } = cluster;
    if (settings.transfer.some(({ notify }) => notify.length > 0))
      closers.push(new Notifier({ rules: settings.transfer, zone, isReady: feed.isReady, log: parts.log }));
  }
  return {
    settings,
    handlers: inOrder({
      transfer: [
        new TransferHandler({
          rules: settings.transfer,
          zone: cluster?.zone,
          isReady: () => cluster?.feed.isReady() ?? false,
        }),
      ],
      kubernetes:
        cluster === undefined
          ? []
          : [
              new KubernetesHandler({
                zone: cluster.zone,
                isReady: cluster.feed.isReady,
                loadbalance: settings.loadbalance,
              }),
            ],
      forward: forwards.map(
        ({ settings: { from, except }, forwarder }) => new ForwardHandler({ from, except, forwarder }),
      ),
    }),
    cluster,
    forwarders,
    log: settings.log.length === 0 ? undefined : new QueryLog(settings.log, parts.log),
    errors,
    close: () => {
      for (const part of closers.splice(0).reverse()) part.close();
    },
  };
}

function openCluster({ kubernetes }: ServerBlock, { client, log, metrics }: BlockParts): OpenBlock['cluster'] {
  if (kubernetes === undefined) return undefined;
  const zone = new ClusterZone(kubernetes);
  return { zone, feed: feedZone({ zone, settings: kubernetes, client, log, metrics }) };
}

async function openForwarder(
  forward: ForwardSettings,
  block: ServerBlock,
  { config, log, metrics }: BlockParts,
): Promise<Forwarder | undefined> {
  const own = config.servers.flatMap(({ listen }) => listen);
  const upstreams = await readTargets(forward.to, own);
  if (upstreams.length === 0) return undefined;
  const [listen] = block.listen as readonly [ListenAddress];
  return new Forwarder({
    ...forwardBounds,
    maxInFlight: forward.maxConcurrent || forwardBounds.maxInFlight,
    upstreams,
    cache: cacheOptions(block.cache),
    metrics: metrics.forwarding(serverLabel(listen), formatName(forward.from)),
    log,
  });
}

function cacheOptions(cache: CacheSettings | undefined): CacheOptions {
  if (cache === undefined) return { entries: 0, bytes: 0, maxTtl: 0 };
  return { entries: cache.success.capacity, bytes: cacheBytes, maxTtl: cache.success.maxTtl };
}

function probing(forwarder: Forwarder): { close(): void } {
  const timers = probeTimes.map((ms) => setTimeout(() => forwarder.probeForLoops(), ms));
  return { close: () => timers.forEach(clearTimeout) };
}
