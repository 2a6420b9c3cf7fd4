import type { LoadBalancerIngress, Service, ServicePort, ServiceSpec } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import { headlessLabel, serviceProxyNameLabel } from '../api/well-known.ts';
import { type Cidr, tryParseCidr } from '../net/cidr.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import { isPort, isProtocol, type Protocol } from '../net/port.ts';
import { compact } from './compact.ts';

/** Which endpoints a kind of traffic may go to: all of the cluster's, or those on the node it came to. */
export type TrafficPolicy = 'Cluster' | 'Local';

/** All that the node proxy reads of a Service. Two Services with equal facts are the same to it. */
export interface ServiceFacts {
  /** `namespace/name`. */
  readonly key: string;
  /** Creation time, milliseconds since the epoch; 0 when the object does not say. */
  readonly created: number;
  /** One or two; two of different families. */
  readonly clusterIps: readonly Ip[];
  readonly externalIps: readonly Ip[];
  /** Addresses of load balancers whose packets reach nodes with the balancer's own address as destination. */
  readonly loadBalancerIps: readonly Ip[];
  /** Clients of the load-balancer addresses outside these blocks are dropped; absent: everybody may. */
  readonly sourceRanges?: readonly Cidr[];
  readonly internalTrafficPolicy: TrafficPolicy;
  readonly externalTrafficPolicy: TrafficPolicy;
  /** Session affinity by client address; absent without. */
  readonly affinitySeconds?: number;
  /** Port on which balancers ask every node whether it has an endpoint; absent unless they have to choose nodes by it. */
  readonly healthCheckNodePort?: number;
  /** Each name once. */
  readonly ports: readonly ServicePortFacts[];
}

/** One port of a Service. */
export interface ServicePortFacts {
  /** Empty for the only port of a Service, which may go without a name. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Absent when there is none. */
  readonly nodePort?: number;
}

/** What `sessionAffinityConfig.clientIP.timeoutSeconds` is when a Service does not say; three hours. */
const defaultAffinitySeconds = 10_800;

/**
 * Reads a Service as the node proxy sees it; `undefined` for those it has nothing to do with: headless ones,
 * ExternalName, ones whose address is not allocated yet, and ones that another proxy serves (KEP-2447).
 * Parts that are not valid are left out, as the API server has told their author about them.
 */
export function readService(service: Service): ServiceFacts | undefined {
  const { spec = {}, status } = service;
  const labels = service.metadata?.labels ?? {};
  if (spec.type === 'ExternalName' || serviceProxyNameLabel in labels || headlessLabel in labels) return undefined;
  const clusterIps = readIps(spec.clusterIPs ?? [spec.clusterIP ?? '']);
  if (clusterIps.length === 0) return undefined;
  const affinitySeconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? defaultAffinitySeconds;
  return {
    key: objectKey(service),
    created: Date.parse(service.metadata?.creationTimestamp ?? '') || 0,
    clusterIps,
    externalIps: readIps(spec.externalIPs ?? []),
    loadBalancerIps: readIps((status?.loadBalancer?.ingress ?? []).filter(isVirtual).map(({ ip = '' }) => ip)),
    ...readSourceRanges(spec.loadBalancerSourceRanges ?? []),
    internalTrafficPolicy: readTrafficPolicy(spec.internalTrafficPolicy),
    externalTrafficPolicy: readTrafficPolicy(spec.externalTrafficPolicy),
    ...(spec.sessionAffinity === 'ClientIP' ? { affinitySeconds } : {}),
    ...readHealthCheckNodePort(spec),
    ports: readPorts(spec.ports ?? []),
  };
}

/** A balancer that may send to every node has nothing to ask. */
function readHealthCheckNodePort({ type, externalTrafficPolicy, healthCheckNodePort }: ServiceSpec) {
  const asked = type === 'LoadBalancer' && externalTrafficPolicy === 'Local' && isPort(healthCheckNodePort);
  return asked ? { healthCheckNodePort } : {};
}

function readPorts(ports: readonly ServicePort[]): ServicePortFacts[] {
  const byName = new Map<string, ServicePortFacts>();
  for (const { name = '', protocol = 'TCP', port, nodePort } of ports) {
    if (!isProtocol(protocol) || !isPort(port) || byName.has(name)) continue;
    byName.set(name, { name, protocol, port, ...(isPort(nodePort) ? { nodePort } : {}) });
  }
  return [...byName.values()];
}

/** KEP-1860: packets from a balancer of `ipMode: Proxy` come with a node's address, so its own needs no rule. */
function isVirtual(ingress: LoadBalancerIngress): boolean {
  return ingress.ipMode === undefined || ingress.ipMode === 'VIP';
}

function readTrafficPolicy(policy: string | undefined): TrafficPolicy {
  return policy === 'Local' ? 'Local' : 'Cluster';
}

function readIps(texts: readonly string[]): readonly Ip[] {
  return compact(texts.flatMap((text) => tryParseIp(text) ?? []));
}

// A list of which nothing can be read must not open the Service to everybody: it stays a list, without an entry.
function readSourceRanges(texts: readonly string[]): { sourceRanges?: readonly Cidr[] } {
  return texts.length === 0 ? {} : { sourceRanges: compact(texts.flatMap((text) => tryParseCidr(text.trim()) ?? [])) };
}
