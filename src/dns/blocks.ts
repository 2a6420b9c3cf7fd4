import { networkInterfaces } from 'node:os';
import type { Logger } from '../component/log.ts';
import { type Ip, isUnspecified, parseIp } from '../net/ip.ts';
import type { ForwardSettings, HostsSettings, ListenAddress, ServerBlock } from './config/types.ts';
import type { Feed, OpenFeed } from './feed.ts';
import { formatServerAddress } from './forward/address.ts';
import { AnswerCache } from './forward/cache.ts';
import { Forwarder } from './forward/forwarder.ts';
import { readTargets } from './forward/targets.ts';
import { ForwardHandler } from './handlers/forward.ts';
import { HostsHandler } from './handlers/hosts.ts';
import { KubernetesHandler } from './handlers/kubernetes.ts';
import { type Handler, inOrder } from './handlers/order.ts';
import { TransferHandler } from './handlers/transfer.ts';
import { HostsFile } from './hosts/hosts-file.ts';
import { ErrorLog } from './log/error-log.ts';
import { QueryLog } from './log/query-log.ts';
import type { DnsMetrics } from './metrics.ts';
import { Notifier } from './notify.ts';
import { serverLabel } from './server/label.ts';
import { readClientTls } from './tls-files.ts';
import { formatName, type Name } from './wire/name.ts';
import { ClusterZone } from './zone.ts';

/** What server blocks are opened with. */
export interface BlockParts {
  /** Absent where no block has the cluster's names. */
  readonly openFeed: OpenFeed | undefined;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
  /** Told of an upstream of a block that sends queries back. */
  readonly onLoop?: (settings: ServerBlock, upstream: string) => void;
  /** Present where another process looks after upstreams' loops and tells secondaries of changes: asks it of a name. */
  readonly askOfProbe?: (settings: ServerBlock, name: Name) => void;
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
const cacheBytes = 32 << 20;
/** When upstreams are probed for loops, in milliseconds after the start: some are not up when we are. */
const probeTimes = [0, 2_000, 10_000, 30_000];

/**
 * Brings one server block to work.
 * @throws SignalboxError `INVALID_CONFIG` when a file it names cannot be read
 */
export async function openBlock(settings: ServerBlock, parts: BlockParts): Promise<OpenBlock> {
  const closers: { close(): void }[] = [];
  const cache = openCache(settings, parts);
  // Files that must be there are read before anything is opened, so that a failure leaves nothing behind.
  const forwards = await openForwards(settings, cache, parts);
  const forwarders = forwards.map(({ forwarder }) => forwarder);
  if (cache !== undefined) closers.push({ close: () => cache.clear() });
  closers.push(...forwarders);
  if (settings.loop && parts.askOfProbe === undefined) closers.push(...forwarders.map(probing));
  const errors = settings.errors === undefined ? undefined : new ErrorLog(settings.errors, parts.log);
  if (errors !== undefined) closers.push(errors);
  const hosts = await openHosts(settings.hosts, parts);
  if (hosts !== undefined) closers.push(hosts);
  const cluster = openCluster(settings, parts);
  if (cluster !== undefined) {
    closers.push(cluster.feed);
    const { zone, feed } = cluster;
    if (parts.askOfProbe === undefined && settings.transfer.some(({ notify }) => notify.length > 0))
      closers.push(new Notifier({ rules: settings.transfer, zone, isReady: feed.isReady, log: parts.log }));
  }
  return {
    settings,
    handlers: handlersOf(settings, { hosts, cluster, forwards }),
    cluster,
    forwarders,
    log: settings.log.length === 0 ? undefined : new QueryLog(settings.log, parts.log),
    errors,
    close: () => {
      for (const part of closers.splice(0).reverse()) part.close();
    },
  };
}

/** What a block's names are answered from. */
interface Sources {
  readonly hosts: HostsFile | undefined;
  readonly cluster: OpenBlock['cluster'];
  readonly forwards: readonly OpenForward[];
}

interface OpenForward {
  readonly settings: ForwardSettings;
  readonly forwarder: Forwarder;
}

function handlersOf(settings: ServerBlock, { hosts, cluster, forwards }: Sources): Handler[] {
  const { loadbalance } = settings;
  return inOrder({
    transfer: [
      new TransferHandler({
        rules: settings.transfer,
        zone: cluster?.zone,
        isReady: () => cluster?.feed.isReady() ?? false,
      }),
    ],
    hosts:
      hosts === undefined || settings.hosts === undefined
        ? []
        : [new HostsHandler({ settings: settings.hosts, table: () => hosts.table, loadbalance })],
    kubernetes:
      cluster === undefined
        ? []
        : [new KubernetesHandler({ zone: cluster.zone, isReady: cluster.feed.isReady, loadbalance })],
    forward: forwardHandlers(forwards, loadbalance),
  });
}

/** Each knows the one after it, to which it may leave names. */
function forwardHandlers(forwards: readonly OpenForward[], loadbalance: boolean): ForwardHandler[] {
  const handlers: ForwardHandler[] = [];
  for (const { settings, forwarder } of forwards.toReversed()) {
    const { from, except, next, nextOnNoData } = settings;
    const after = handlers[0];
    handlers.unshift(new ForwardHandler({ from, except, next, nextOnNoData, forwarder, after, loadbalance }));
  }
  return handlers;
}

function openCluster(
  { kubernetes, listen }: ServerBlock,
  { openFeed, log, metrics }: BlockParts,
): OpenBlock['cluster'] {
  if (kubernetes === undefined || openFeed === undefined) return undefined;
  const zone = new ClusterZone({ ...kubernetes, ownIps: ownIps(listen) });
  return { zone, feed: openFeed({ zone, settings: kubernetes, log, metrics }) };
}

/** Where clients reach this server when no Service leads to it. */
function ownIps(listen: readonly ListenAddress[]): Ip[] {
  const bound = listen.flatMap(({ ip }) => (ip === undefined || isUnspecified(ip) ? [] : [ip]));
  if (bound.length > 0) return [...new Set(bound)];
  return Object.values(networkInterfaces())
    .flatMap((addresses = []) => addresses)
    .filter(({ internal, scopeid = 0 }) => !internal && scopeid === 0)
    .map(({ address }) => parseIp(address));
}

function openHosts(hosts: HostsSettings | undefined, { log, metrics }: BlockParts): Promise<HostsFile> | undefined {
  return hosts === undefined ? undefined : HostsFile.open({ settings: hosts, log, metrics: metrics.hosts });
}

function openCache({ cache, listen }: ServerBlock, { metrics }: BlockParts): AnswerCache | undefined {
  const [first] = listen;
  if (cache === undefined || first === undefined) return undefined;
  return new AnswerCache({
    settings: cache,
    bytes: cacheBytes,
    metrics: metrics.cache(serverLabel(first), cache.zones.map(formatName).join(',')),
  });
}

/** The nearest zone first: where several hold a name, its servers are asked. */
async function openForwards(
  block: ServerBlock,
  cache: AnswerCache | undefined,
  { log, metrics, askOfProbe, onLoop }: BlockParts,
): Promise<OpenForward[]> {
  const opened: OpenForward[] = [];
  for (const settings of block.forward.toSorted((a, b) => b.from.length - a.from.length)) {
    // Other blocks may be asked, where they have addresses of their own.
    const { servers: upstreams, itself } = await readTargets(settings.to, block.listen);
    const zone = formatName(settings.from);
    if (itself.length > 0)
      log.warn({ zone, upstreams: itself.map(formatServerAddress) }, 'upstreams are this server itself, and not asked');
    if (upstreams.length === 0) {
      if (settings.to.length > 0) log.error({ zone }, 'no server is left to ask for names of this zone');
      continue;
    }
    const forwarder = new Forwarder({
      ...forwardBounds,
      maxInFlight: settings.maxConcurrent || forwardBounds.maxInFlight,
      upstreams,
      settings,
      tls: await readClientTls(settings.tls),
      cache,
      ...(askOfProbe && { askOfProbe: (name: Name) => askOfProbe(block, name) }),
      onLoop: (upstream) => onLoop?.(block, upstream),
      metrics: metrics.forwarding,
      log,
    });
    opened.push({ settings, forwarder });
  }
  return opened;
}

function probing(forwarder: Forwarder): { close(): void } {
  const timers = probeTimes.map((ms) => setTimeout(() => forwarder.probeForLoops(), ms));
  return { close: () => timers.forEach(clearTimeout) };
}
