import { hostname } from 'node:os';
import { connect } from '../client/client.ts';
import { createEventRecorder } from '../client/events.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { aborted } from '../component/abort.ts';
import { backoffDelay, retry } from '../component/backoff.ts';
import { noPredecessor, type Succession } from '../component/handover.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { keepServingPages, type PageAddress, type Pages, servePages } from '../component/pages.ts';
import type { ProxyConfig, ProxyMode } from './config.ts';
import { ConntrackWatch, conntrackUsage } from './conntrack-watch.ts';
import { informerEvents } from './informer-events.ts';
import { openForCleanup, removeLeftovers } from './leftovers.ts';
import { openNodeKernel } from './node-kernel.ts';
import { NodeProxy } from './node-proxy.ts';
import { applyNodeSettings } from './node-settings.ts';
import { healthPages, metricsPages } from './pages.ts';
import { ProxyEvents } from './proxy-events.ts';
import { ProxyMetrics } from './proxy-metrics.ts';
import { ServiceHealthServers } from './service-health.ts';

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
  const { host } = new URL(api.server);
  const kernel = await openNodeKernel(config, log);
  applyNodeSettings(config, log);
  const client = connect(
    { ...api, component: 'signalbox-proxy' },
    {
      rateLimit: config.client,
      onExchange: (exchange) => metrics.exchanged(host, exchange),
    },
  );
  const source = informerEvents({ client, nodeName, log });
  const events = new ProxyEvents({
    recorder: createEventRecorder(client, { component: 'kube-proxy', host: nodeName, log }),
    nodeName,
    serviceUid: source.serviceUid,
  });
  const healthChecks: ServiceHealthServers = new ServiceHealthServers({
    log,
    isHealthy: () => proxy.health.isHealthy(Date.now()),
    onTaken: (check, error) => events.healthPortTaken(check, error),
  });
  const proxy = new NodeProxy({ ...kernel, nodeName, config, log, metrics, events, healthChecks });
  const stream = source.follow(proxy);
  events.starting();
  const conntrack = new ConntrackWatch({ usage: conntrackUsage, log, events });
  const watching = setInterval(() => conntrack.look(), config.sync.syncPeriod);
  const begun = stream.synced.then(
    () => proxy.begin(),
    (error) => log.debug({ err: error }, 'stopped before the API server had told all'),
  );
  signal.addEventListener('abort', () => stream.stop(), { once: true });
  try {
    // While the API server answers.
    await proxy.prepare();
    const removal = { log, metrics, signal };
    const alone = takeOver(proxy, config, { ...removal, succession });
    // As long as there is a predecessor, it is the one that is asked.
    if (succession.hasPredecessor) await Promise.all([begun, alone]);
    const serving = { signal, log, hardFail: config.bindAddressHardFail };
    await Promise.all([
      begun,
      // Modes may share chains: what a predecessor wrote there last is to be put right at once.
      alone.then(() => removeOtherModes(config, removal)).then(() => proxy.checkSoon()),
      serve(config.healthzBindAddress, healthPages(proxy, metrics), serving),
      serve(config.metricsBindAddress, metricsPages(proxy, config.mode), serving),
    ]);
  } finally {
    clearInterval(watching);
    stream.stop();
    await proxy.stop();
    await healthChecks.close();
    client.close();
    kernel.close();
  }
}

async function serve(
  address: PageAddress,
  pages: Pages,
  { hardFail, signal, log }: { readonly hardFail: boolean; readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  if (!hardFail) return keepServingPages(address, pages, { signal, log });
  const server = await servePages(address, pages);
  await aborted(signal);
  await server.close();
}

interface Removal {
  readonly log: Logger;
  readonly metrics: ProxyMetrics;
  readonly signal: AbortSignal;
}

/** Resolves when the own rules are in, and nobody else works here any more. */
async function takeOver(
  proxy: NodeProxy,
  { mode }: ProxyConfig,
  { signal, succession, ...removal }: Removal & { readonly succession: Succession },
): Promise<void> {
  await Promise.race([proxy.synced, aborted(signal)]);
  if (signal.aborted || !succession.hasPredecessor) return;
  // Before it ends, so that no rule leads to what ends with it; what it repairs until then is found afterwards.
  await removeOnce(mode, removal).catch((err) => removal.log.debug({ err }, 'what the predecessor has stays for now'));
  await Promise.race([succession.ready(), aborted(signal)]);
}

const cleanupBackoff = { initial: 1_000, max: 60_000 };

/** Tried again until nothing of other modes is left: their rules would go on leading clients to endpoints long gone. */
async function removeOtherModes({ mode }: ProxyConfig, { signal, ...removal }: Removal): Promise<void> {
  await retry(() => removeOnce(mode, removal), {
    signal,
    delay: (attempt) => backoffDelay(attempt, cleanupBackoff),
    onError: (err) => removal.log.warn({ err }, 'what another mode left could not be removed; will try again'),
  });
}

async function removeOnce(mode: ProxyMode, { log, metrics }: Omit<Removal, 'signal'>): Promise<void> {
  const found = await removeLeftovers(openForCleanup(log), mode);
  for (const { mode: of, removed } of found) {
    if (removed.length > 0) log.info({ of, removed }, 'removed what another mode had left');
  }
  const failed = found.find(({ error }) => error !== undefined);
  if (failed === undefined) return;
  metrics.cleanupFailed(failed.mode);
  throw failed.error;
}
