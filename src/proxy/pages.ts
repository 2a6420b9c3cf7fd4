import { metricsContentType } from '../component/metrics.ts';
import type { Page, Pages } from '../component/pages.ts';
import type { NodeProxy } from './node-proxy.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';
import type { ProxyMode } from './proxy-mode.ts';

/**
 * `/healthz`: 503 when changes wait for the kernel too long or the node is about to go, so that balancers outside take
 * it out. `/livez`: 503 only for the former, for whoever restarts the proxy.
 */
export function healthPages(proxy: NodeProxy, metrics: ProxyMetrics): Pages {
  const page = (kind: 'healthz' | 'livez') => (): Page => {
    const now = Date.now();
    const report = proxy.health.report(now, proxy.families);
    // A node that is about to go has a proxy that is as alive as before.
    const node = kind === 'livez' ? {} : { nodeEligible: proxy.eligible };
    const status = report.healthy && node.nodeEligible !== false ? 200 : 503;
    metrics.healthAsked(kind, status);
    return { status, type: 'application/json', body: JSON.stringify({ ...report, ...node }) };
  };
  return { '/healthz': page('healthz'), '/livez': page('livez') };
}

/** `/metrics` for Prometheus, `/proxyMode`, and a `/healthz` that says no more than that somebody is there. */
export function metricsPages(proxy: NodeProxy, mode: ProxyMode): Pages {
  return {
    '/metrics': () => ({ type: metricsContentType, body: proxy.metricsText() }),
    '/healthz': () => ({ body: 'ok' }),
    '/proxyMode': () => ({ body: mode }),
  };
}
