import type { EndpointSlice, Node, Service } from '../api/generated/types.ts';
import { addressPoolAnnotation } from '../api/well-known.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import type { NodeFacts } from './election.ts';

const excludeLabel = 'node.kubernetes.io/exclude-from-external-load-balancers';
const autoscalerTaint = 'ToBeDeletedByClusterAutoscaler';

/**
 * The addresses of a Service that are to be announced. None for Services that another balancer serves, and none that
 * such a balancer answers for itself (`ipMode: Proxy`, KEP-1860).
 */
export function announcedAddresses({ metadata, spec, status }: Service): Ip[] {
  if (spec?.type !== 'LoadBalancer' || metadata?.deletionTimestamp !== undefined) return [];
  if (metadata?.annotations?.[addressPoolAnnotation] === undefined) return [];
  const ingress = status?.loadBalancer?.ingress ?? [];
  const ips = ingress.flatMap(({ ip, ipMode = 'VIP' }) => (ipMode === 'VIP' ? (tryParseIp(ip ?? '') ?? []) : []));
  return [...new Set(ips)];
}

/** Whether only nodes with endpoints may take the Service's traffic. */
export function isLocal({ spec }: Service): boolean {
  return spec?.externalTrafficPolicy === 'Local';
}

/** The nodes that have an endpoint of these slices: a ready one, or else one that ends and still serves (KEP-1669). */
export function endpointNodes(slices: Iterable<EndpointSlice>): ReadonlySet<string> {
  const ready = new Set<string>();
  const draining = new Set<string>();
  for (const { endpoints } of slices) {
    for (const { nodeName, conditions = {} } of endpoints ?? []) {
      if (nodeName === undefined) continue;
      if (conditions.ready ?? true) ready.add(nodeName);
      else if (conditions.serving === true && conditions.terminating === true) draining.add(nodeName);
    }
  }
  return ready.size > 0 ? ready : draining;
}

/** What an election reads of a Node. */
export function nodeFacts({ metadata, spec, status }: Node): NodeFacts {
  const isReady = status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
  const goes =
    metadata?.deletionTimestamp !== undefined || spec?.taints?.some(({ key }) => key === autoscalerTaint) === true;
  return {
    name: metadata?.name ?? '',
    eligible: isReady && !goes && metadata?.labels?.[excludeLabel] === undefined,
    addresses: (status?.addresses ?? []).flatMap(({ type, address }) =>
      type === 'InternalIP' ? (tryParseIp(address) ?? []) : [],
    ),
  };
}
