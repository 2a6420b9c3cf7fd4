import type { Logger } from '../component/log.ts';
import { type Conntrack, type Flow, openConntrack } from '../kernel/conntrack.ts';
import { openRoutes } from '../kernel/links.ts';
import { familyOf, type IpFamily } from '../net/ip.ts';
import type { ProxyConfig } from './config.ts';
import { openAllowed } from './modes.ts';
import { nodeAddresses } from './node-addresses.ts';
import type { NodeProxyOptions } from './node-proxy.ts';
import type { FlowReview } from './stale-flows.ts';

/** What a proxy needs of the kernel, with the way to let go of it. */
export type NodeKernel = Pick<NodeProxyOptions, 'backend' | 'interfaceAddresses' | 'removeStaleFlows'> & {
  readonly close: () => void;
};

/**
 * Opens the kernel's side of the network namespace this process is in.
 * @throws SignalboxError when the kernel or the machine lacks what the mode needs, or this process may not use it
 */
export async function openNodeKernel(config: ProxyConfig, log: Logger): Promise<NodeKernel> {
  const backend = await openAllowed(config.mode, { config, log });
  const conntrack = openConntrack();
  const routes = openRoutes();
  return {
    backend,
    interfaceAddresses: () => nodeAddresses(routes),
    removeStaleFlows: (reviews) => removeStaleFlows(conntrack, reviews),
    close: () => {
      routes.close();
      conntrack.close();
      backend.close();
    },
  };
}

/** Gives how many flows of each family were stale. */
function removeStaleFlows(conntrack: Conntrack, reviews: readonly FlowReview[]): ReadonlyMap<IpFamily, number> {
  const allowed = new Map(
    reviews.map(({ ip, port, endpoints }) => [`${ip} ${port}`, new Set(endpoints.map((e) => `${e.ip} ${e.port}`))]),
  );
  const stale = new Map<IpFamily, number>();
  const isStale = ({ original, reply }: Flow) => {
    const endpoints = allowed.get(`${original.destination} ${original.destinationPort}`);
    if (endpoints === undefined || endpoints.has(`${reply.source} ${reply.sourcePort}`)) return false;
    const family = familyOf(original.destination);
    stale.set(family, (stale.get(family) ?? 0) + 1);
    return true;
  };
  conntrack.delete(isStale, { protocol: 'UDP', destinations: reviews });
  return stale;
}
