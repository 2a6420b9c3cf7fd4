import { resources } from '../api/resources.ts';
import { aborted } from '../component/abort.ts';
import { createLogger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { parseCidr } from '../net/cidr.ts';
import type { Store } from '../store/store.ts';
import { aggregateRoles, keepAggregated } from './access/aggregation.ts';
import { Authorizer } from './access/authorizer.ts';
import { readSigningKey } from './access/jwt.ts';
import { reconcileDefaults } from './access/reconcile-defaults.ts';
import { ServiceAccountAdmission } from './access/service-account-admission.ts';
import { ServiceAccountTokens } from './access/service-account-tokens.ts';
import { reportDoubled } from './allocation-repair.ts';
import { ApiHandler } from './api-handler.ts';
import { authenticateWith } from './authentication.ts';
import { messageOf } from './body.ts';
import { ensureClusterObjects, keepApiService } from './bootstrap.ts';
import { startCompactor } from './compactor.ts';
import type { ApiServerConfig, StoreConfig } from './config.ts';
import { startEventExpiry } from './event-expiry.ts';
import { HttpFront } from './http-front.ts';
import { keepIpAddresses, repairIpAddresses } from './ip-addresses.ts';
import { ApiServerMetrics } from './metrics.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { NodeClient } from './node-api/node-client.ts';
import type { RegistryEnvironment } from './registry.ts';
import { ServerPresence } from './server-presence.ts';
import { ServiceAllocator } from './service-allocator.ts';
import { ensureDefaultServiceCidr, keepServiceCidrs } from './service-cidr-keeper.ts';
import { allocateFromServiceCidrs } from './service-cidrs.ts';
import { repairPortClaims } from './shared-claims.ts';
import { WatchCache } from './watch-cache.ts';

/** A running API server. */
export interface ApiServer {
  /** One for each address listened on, in the order of the configuration. */
  readonly urls: readonly string[];
  /** Rejects when the server can no longer follow its store. */
  readonly failed: Promise<never>;
  /** Ends watches, lets requests under way finish for up to 5 seconds, closes the store. */
  close(): Promise<void>;
}

/**
 * Serves until the signal aborts; resolves when all is stopped. Rejects when it cannot start, or loses its store.
 * `onListening` is told the URLs when it serves.
 * @throws SignalboxError
 */
export async function runApiServer(
  config: ApiServerConfig,
  signal: AbortSignal,
  onListening: (urls: readonly string[]) => void | Promise<void> = () => {},
): Promise<void> {
  const server = await startApiServer(config);
  try {
    await onListening(server.urls);
    await Promise.race([aborted(signal), server.failed]);
  } finally {
    await server.close();
  }
}

/**
 * Starts a server; it serves when the promise resolves.
 * @throws SignalboxError `STORE_UNREADABLE`, `STORE_LOCKED`, `STORE_UNAVAILABLE`, `INVALID_CIDR`, `LISTEN_FAILED`
 */
export async function startApiServer(config: ApiServerConfig): Promise<ApiServer> {
  const store = await openStore(config.store);
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
    const tokens = tokensOf(config, cache);
    const handler = await prepare(config, { store, cache, tokens }, stops);
    const front = new HttpFront(handler, config.authenticate ?? authenticateWith(tokens), config);
    stops.push(() => front.close());
    const urls = await front.listen();
    // Before requests under way are waited for; the cache itself follows on, since each write waits to be seen in it.
    stops.push(() => cache.endWatches());
    return { urls, failed, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Whichever is configured is loaded, and only that. */
async function openStore(config: StoreConfig): Promise<Store> {
  if ('lmdb' in config) return (await import('../store/lmdb-store.ts')).openLmdbStore(config.lmdb.dir);
  return (await import('../store/etcd/etcd-store.ts')).openEtcdStore(config.etcd);
}

/** Loads what is stored and makes what is missing. */
async function prepare(
  config: ApiServerConfig,
  {
    store,
    cache,
    tokens,
  }: { readonly store: Store; readonly cache: WatchCache; readonly tokens: ServiceAccountTokens },
  stops: (() => void | Promise<void>)[],
): Promise<ApiHandler> {
  const log = createLogger('apiserver');
  const metrics = new ApiServerMetrics();
  await cache.start();
  const allocator = await prepareAllocator(config, { store, cache });
  metrics.addObjectCounts(() => new Map(Object.values(resources).map((r) => [r.plural, cache.of(r).size])));
  const { nodeClient: nodeCertificate, pki } = config;
  const nodeClient =
    nodeCertificate === undefined ? undefined : new NodeClient({ caCert: pki.caCert, ...nodeCertificate });
  stops.push(() => nodeClient?.close());
  const environment = { store, cache, allocator, namespaces: new NamespaceLifecycle(cache), nodeClient };
  const { ip = '127.0.0.1', port = 6443 } = config.apiServerAddress ?? {};
  const authorizer = new Authorizer(cache);
  stops.push(() => authorizer.stop());
  const hasServiceAccounts = !config.disabledAdmission.includes('ServiceAccount');
  const serviceAccounts = hasServiceAccounts ? new ServiceAccountAdmission(cache) : undefined;
  const serverAddress = `${ip}:${port}`;
  const handler = new ApiHandler({ environment, metrics, log, serverAddress, authorizer, tokens, serviceAccounts });
  const { clusterRoles } = handler.registries;
  await reconcileDefaults(handler.registries);
  await aggregateRoles(clusterRoles);
  stops.push(keepAggregated(clusterRoles, (err) => log.error({ err }, 'cluster roles not aggregated')));
  stops.push(await keepAllocations(config, handler, environment));
  const [serviceCidr] = config.serviceCidrs;
  if (serviceCidr !== undefined) {
    const presence = new ServerPresence(store, config.apiServerAddress);
    const facts = { serviceCidr: parseCidr(serviceCidr), presence };
    await presence.renew();
    stops.push(() => presence.leave());
    await ensureClusterObjects(handler.registries, facts);
    stops.push(keepApiService(handler.registries, facts, (err) => log.error({ err }, 'Service kubernetes not kept')));
  }
  await reportDoubled(handler.registries, {
    doubled: allocator.doubled(),
    onError: (err) => log.error({ err }, 'a doubled allocation is not reported'),
  });
  stops.push(startEventExpiry(handler.registries.events, (err) => log.error({ err }, 'events not expired')));
  stops.push(startCompactor(store, (err) => log.error({ err }, 'compaction failed')));
  return handler;
}

/** The allocator of Services' addresses and ports, that knows what is taken; what others left in disorder is put right. */
async function prepareAllocator(
  { serviceCidrs, nodePortRange }: ApiServerConfig,
  { store, cache }: { readonly store: Store; readonly cache: WatchCache },
): Promise<ServiceAllocator> {
  const families = serviceCidrs.map((text) => parseCidr(text).family);
  const allocator = new ServiceAllocator(families, nodePortRange);
  allocator.follow({ services: cache.of(resources.services), ipAddresses: cache.of(resources.ipAddresses) });
  allocateFromServiceCidrs(allocator, cache.of(resources.serviceCidrs));
  if (store.isShared) await repairPortClaims(store, cache);
  await repairIpAddresses(store, cache);
  return allocator;
}

/** Keeps the ServiceCIDR and IPAddress objects as they have to be. Returns the end. */
async function keepAllocations(
  { serviceCidrs: configured }: ApiServerConfig,
  { registries }: ApiHandler,
  { store, cache, allocator }: RegistryEnvironment,
): Promise<() => void> {
  const log = createLogger('apiserver');
  const { serviceCidrs, services } = registries;
  const others = await ensureDefaultServiceCidr({ serviceCidrs, configured });
  if (others !== undefined)
    log.warn({ configured, serviceCidr: others }, 'ServiceCIDR kubernetes has other blocks than configured; they rule');
  const onError = (what: string) => (err: unknown) => log.error({ err }, `${what} not kept`);
  const context = { serviceCidrs, services, allocator, configured, isShared: store.isShared };
  const holderOf = (ip: string) => allocator.holderOf(ip);
  const stops = [
    keepServiceCidrs(context, onError('ServiceCIDRs')),
    keepIpAddresses({ store, cache }, { holderOf, onError: onError('IPAddresses') }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function tokensOf({ pki, serviceAccountIssuer }: ApiServerConfig, cache: WatchCache): ServiceAccountTokens {
  try {
    const key = readSigningKey(pki.serviceAccountKey);
    return new ServiceAccountTokens(cache, { issuer: serviceAccountIssuer, key });
  } catch (cause) {
    throw new SignalboxError('PKI_UNREADABLE', {
      object: 'sa.key',
      problem: `does not sign tokens (${messageOf(cause)})`,
      remedy: 'remove the file to have it made again',
      cause,
    });
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= run();
    return running;
  };
}
