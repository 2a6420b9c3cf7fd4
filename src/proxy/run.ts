import { hostname } from 'node:os';
import { connect, type Exchange } from '../client/client.ts';
import { createEventRecorder } from '../client/events.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient, ClientConfig } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { noPredecessor, type Succession } from '../component/handover.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { keepServingPages, servePages as openPages, type PageAddress, type Pages } from '../component/pages.ts';
import type { ProxyConfig } from './config.ts';
import { ConntrackWatch, conntrackUsage } from './conntrack-watch.ts';
import { informerEvents } from './informer-events.ts';
import { KubeProxyWatch, removeKubeProxyTables } from './kube-proxy-tables.ts';
import { openForCleanup } from './leftovers.ts';
import { openNodeKernel } from './node-kernel.ts';
import { NodeProxy } from './node-proxy.ts';
import { applyNodeSettings } from './node-settings.ts';
import { healthPages, metricsPages } from './pages.ts';
import { ProxyEvents } from './proxy-events.ts';
import { ProxyMetrics } from './proxy-metrics.ts';
import { ServiceHealthServers } from './service-health.ts';
import { Takeover } from './takeover.ts';

/**
 * The node proxy as a component: follows the API and keeps the kernel of the network namespace it is in at what
 * Services say, until the signal aborts. When its own rules are in, those that another mode left are removed; a
 * predecessor that still runs is waited for before that. Resolves when all is stopped; the rules stay, and so do the
 * connections.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`, `KERNEL_LACKS_NFTABLES`, `KERNEL_LACKS_FEATURE`,
 *   `KERNEL_REFUSED`, and `PORT_TAKEN` with `bindAddressHardFail`
 */
export async function runProxy(
  config: ProxyConfig,
  signal: AbortSignal,
  succession: Succession = noPredecessor,
): Promise<void> {
  const log = createLogger('proxy', config.logging);
  const nodeName = (config.hostnameOverride ?? hostname()).trim().toLowerCase();
  const metrics = new ProxyMetrics(conntrackUsage);
  const api = await loadKubeconfig(config.client.kubeconfig);
  const kernel = await openNodeKernel(config, log);
  applyNodeSettings(config, log);
  const client = connectApi(api, { config, metrics, log });
  const source = informerEvents({ client, nodeName, followsPeers: config.mode === 'ipvs', log });
  const events = new ProxyEvents({
    recorder: createEventRecorder(client, { component: 'kube-proxy', host: nodeName, log }),
    nodeName,
    serviceUid: source.serviceUid,
  });
  const openMode = openForCleanup(log);
  const takeover = new Takeover({
    mode: config.mode,
    succession,
    openMode,
    removeKubeProxyTables,
    metrics,
    log,
    signal,
  });
  const healthChecks: ServiceHealthServers = new ServiceHealthServers({
    log,
    after: takeover.alone,
    isHealthy: () => proxy.health.isHealthy(Date.now()),
    onTaken: (check, error) => events.healthPortTaken(check, error),
  });
  const { knownVersions } = source;
  const proxy = new NodeProxy({ ...kernel, nodeName, config, log, metrics, events, healthChecks, knownVersions });
  const stream = source.follow(proxy);
  events.starting();
  signal.addEventListener('abort', () => stream.stop(), { once: true });
  const { syncPeriod } = config.sync;
  const conntrackWatch = new ConntrackWatch({ usage: conntrackUsage, log, events });
  const kubeProxyWatch = new KubeProxyWatch({ log, events });
  try {
    // While the API server answers.
    await proxy.prepare();
    await Promise.all([
      beginWhenTold(proxy, Promise.all([stream.synced, takeover.begin()]), log),
      completeWhenSynced(proxy, takeover, signal).then(() => lookEvery(syncPeriod, kubeProxyWatch, signal)),
      // As long as there is a predecessor, it is the one that is asked.
      takeover.alone.then(() => servePages(proxy, config, { metrics, log, signal })),
      lookEvery(syncPeriod, conntrackWatch, signal),
    ]);
  } finally {
    stream.stop();
    await proxy.stop();
    await healthChecks.close();
    client.close();
    kernel.close();
  }
}

function connectApi(
  api: ClientConfig,
  { config, metrics, log }: { readonly config: ProxyConfig; readonly metrics: ProxyMetrics; readonly log: Logger },
): ApiClient {
  const { host } = new URL(api.server);
  const onExchange = (exchange: Exchange) => metrics.exchanged(host, exchange);
  return connect({ ...api, component: 'signalbox-proxy' }, { rateLimit: config.client, onExchange, log });
}

async function beginWhenTold(proxy: NodeProxy, told: Promise<unknown>, log: Logger): Promise<void> {
  try {
    await told;
  } catch (error) {
    log.debug({ err: error }, 'stopped before the API server had told all');
    return;
  }
  proxy.begin();
}

async function completeWhenSynced(proxy: NodeProxy, takeover: Takeover, signal: AbortSignal): Promise<void> {
  await Promise.race([proxy.synced, aborted(signal)]);
  if (signal.aborted) return;
  await takeover.complete();
  // Modes may share chains: what a predecessor wrote there last is to be put right at once.
  proxy.checkSoon();
}

interface Serving {
  readonly metrics: ProxyMetrics;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

async function servePages(proxy: NodeProxy, config: ProxyConfig, { metrics, ...serving }: Serving): Promise<void> {
  await Promise.all([
    serve(config.healthzBindAddress, healthPages(proxy, metrics), { ...serving, config }),
    serve(config.metricsBindAddress, metricsPages(proxy, config.mode), { ...serving, config }),
  ]);
}

async function serve(
  address: PageAddress,
  pages: Pages,
  { config, signal, log }: Omit<Serving, 'metrics'> & { readonly config: ProxyConfig },
): Promise<void> {
  if (signal.aborted) return;
  if (!config.bindAddressHardFail) return keepServingPages(address, pages, { signal, log });
  const server = await openPages(address, pages);
  await aborted(signal);
  await server.close();
}

async function lookEvery(period: number, watch: { look(): void }, signal: AbortSignal): Promise<void> {
  const timer = setInterval(() => watch.look(), period);
  await aborted(signal);
  clearInterval(timer);
}
