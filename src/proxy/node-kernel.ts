import { tableName } from '../backends/nftables/names.ts';
import type { Logger } from '../component/log.ts';
import { type Conntrack, type Flow, openConntrack } from '../kernel/conntrack.ts';
import { openRoutes } from '../kernel/links.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import type { ProxyConfig } from './config.ts';
import { NftablesBackend } from './nftables-backend.ts';
import type { NodeProxyOptions } from './node-proxy.ts';
import type { FlowReview } from './stale-flows.ts';

/** What a proxy needs of the kernel, with the way to let go of it. */
export type NodeKernel = Pick<NodeProxyOptions, 'backend' | 'interfaceAddresses' | 'removeStaleFlows'> & {
  readonly close: () => void;
};

/**
 * Opens the kernel's side of the network namespace this process is in.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openNodeKernel(config: ProxyConfig, log: Logger): NodeKernel {
  const backend = backends[config.mode](log);
  const conntrack = openConntrack();
  const routes = openRoutes();
  return {
    backend,
    interfaceAddresses: () => routes.listAddresses().map(({ ip }) => ip),
    removeStaleFlows: (reviews) => removeStaleFlows(conntrack, reviews),
    close: () => {
      routes.close();
      conntrack.close();
      backend.close();
    },
  };
}

const backends = {
  nftables: (log: Logger) => new NftablesBackend(openNftables(tableName), log),
} as const;

function removeStaleFlows(conntrack: Conntrack, reviews: readonly FlowReview[]): number {
  const allowed = new Map(
    reviews.map(({ ip, port, endpoints }) => [`${ip} ${port}`, new Set(endpoints.map((e) => `${e.ip} ${e.port}`))]),
  );
  const isStale = ({ original, reply }: Flow) => {
    const endpoints = allowed.get(`${original.destination} ${original.destinationPort}`);
    return endpoints !== undefined && !endpoints.has(`${reply.source} ${reply.sourcePort}`);
  };
  return conntrack.delete(isStale, { protocol: 'UDP' });
}
