import { resources } from '../api/resources.ts';
import { createLogger } from '../component/log.ts';
import { parseCidr } from '../net/cidr.ts';
import { openLmdbStore } from '../store/lmdb-store.ts';
import type { Store } from '../store/store.ts';
import { ApiHandler } from './api-handler.ts';
import { authenticateByCertificate } from './authentication.ts';
import { ensureClusterObjects, keepApiService } from './bootstrap.ts';
import { startCompactor } from './compactor.ts';
import type { ApiServerConfig } from './config.ts';
import { startEventExpiry } from './event-expiry.ts';
import { HttpFront } from './http-front.ts';
import { ApiServerMetrics } from './metrics.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { NodeClient } from './node-api/node-client.ts';
import { ServiceAllocator } from './service-allocator.ts';
import { WatchCache } from './watch-cache.ts';

/** A running API server. */
export interface ApiServer {
  /** One for each address listened on, in the order of the configuration. */
  readonly urls: readonly string[];
  readonly front: HttpFront;
  /** Rejects when the server can no longer follow its store. */
  readonly failed: Promise<never>;
  /** Ends watches, lets requests under way finish for up to 5 seconds, closes the store. */
  close(): Promise<void>;
}

/**
 * Serves until the signal aborts; resolves when all is stopped. Rejects when it cannot start, or loses its store.
 * @throws SignalboxError
 */
export async function runApiServer(config: ApiServerConfig, signal: AbortSignal): Promise<void> {
  const server = await startApiServer(config);
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  try {
    await Promise.race([aborted, server.failed]);
  } finally {
    await server.close();
  }
}

/**
 * Starts a server; it serves when the promise resolves.
 * @throws SignalboxError `STORE_UNREADABLE`, `INVALID_CIDR`, `LISTEN_FAILED`
 */
export async function startApiServer(config: ApiServerConfig): Promise<ApiServer> {
  const store = openLmdbStore(config.dataDir);
  const cache = new WatchCache(store, Object.values(resources));
  const stops: (() => void | Promise<void>)[] = [];
  const close = once(async () => {
    for (const stop of stops.reverse()) await stop();
    cache.stop();
    await store.close();
  });
  try {
    const failed = new Promise<never>((_, reject) => {
      cache.onFailure = reject;
    });
    // Whoever only starts and closes a server need not listen for this.
    failed.catch(() => {});
    const handler = await prepare(config, { store, cache }, stops);
    const front = new HttpFront(handler, config.authenticate ?? authenticateByCertificate, config);
    stops.push(() => front.close());
    const urls = await front.listen();
    stops.push(() => cache.stop());
    return { urls, front, failed, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Loads what is stored and makes what is missing. */
async function prepare(
  config: ApiServerConfig,
  { store, cache }: { readonly store: Store; readonly cache: WatchCache },
  stops: (() => void | Promise<void>)[],
): Promise<ApiHandler> {
  const log = createLogger('apiserver');
  const serviceCidrs = config.serviceCidrs.map(parseCidr);
  const allocator = new ServiceAllocator(serviceCidrs, config.nodePortRange);
  const metrics = new ApiServerMetrics();
  await cache.start();
  allocator.follow(cache.of(resources.services));
  metrics.addObjectCounts(() => new Map(Object.values(resources).map((r) => [r.plural, cache.of(r).size])));
  const { nodeClient: nodeCertificate, pki } = config;
  const nodeClient =
    nodeCertificate === undefined ? undefined : new NodeClient({ caCert: pki.caCert, ...nodeCertificate });
  stops.push(() => nodeClient?.close());
  const environment = { store, cache, allocator, namespaces: new NamespaceLifecycle(cache), nodeClient };
  const { ip = '127.0.0.1', port = 6443 } = config.apiServerAddress ?? {};
  const handler = new ApiHandler({ environment, metrics, log, serverAddress: `${ip}:${port}` });
  const [serviceCidr] = serviceCidrs;
  if (serviceCidr !== undefined) {
    const facts = { serviceCidr, address: config.apiServerAddress };
    await ensureClusterObjects(handler.registries, facts);
    stops.push(keepApiService(handler.registries, facts, (err) => log.error({ err }, 'Service kubernetes not kept')));
  }
  stops.push(startEventExpiry(handler.registries.events, (err) => log.error({ err }, 'events not expired')));
  stops.push(startCompactor(store, (err) => log.error({ err }, 'compaction failed')));
  return handler;
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run();
    return running;
  };
}
