import { hostname } from 'node:os';
import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { createLogger } from '../component/log.ts';
import { keepServingPages } from '../component/pages.ts';
import type { ProxyConfig } from './config.ts';
import { informerEvents } from './informer-events.ts';
import { openNodeKernel } from './node-kernel.ts';
import { NodeProxy } from './node-proxy.ts';
import { healthPages, metricsPages } from './pages.ts';

/**
 * The node proxy as a component: follows the API and keeps the kernel of the network namespace it is in at what
 * Services say, until the signal aborts. Resolves when all is stopped; the rules stay, and so do the connections.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`, `KERNEL_LACKS_NFTABLES`, `KERNEL_REFUSED`
 */
export async function runProxy(config: ProxyConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger('proxy', config.logging);
  const nodeName = (config.hostnameOverride ?? hostname()).trim().toLowerCase();
  const api = await loadKubeconfig(config.client.kubeconfig);
  const kernel = await openNodeKernel(config, log);
  const client = connect({ ...api, component: 'signalbox-proxy' });
  const proxy = new NodeProxy({ ...kernel, nodeName, config, log });
  const stream = informerEvents({ client, nodeName, log })(proxy);
  const begun = stream.synced.then(
    () => proxy.begin(),
    (error) => log.debug({ err: error }, 'stopped before the API server had told all'),
  );
  signal.addEventListener('abort', () => stream.stop(), { once: true });
  try {
    // While the API server answers.
    await proxy.prepare();
    await Promise.all([
      begun,
      keepServingPages(config.healthzBindAddress, healthPages(proxy), { signal, log }),
      keepServingPages(config.metricsBindAddress, metricsPages(proxy, config.mode), { signal, log }),
    ]);
  } finally {
    stream.stop();
    await proxy.stop();
    client.close();
    kernel.close();
  }
}
