import type { Ip, IpFamily } from '../net/ip.ts';
import type { ServiceFacts } from '../tracker/service-facts.ts';
import type { SliceFacts } from '../tracker/slice-facts.ts';
import type { HealthCheck } from './types.ts';

/** What balancers are to learn of a Service on this node; `undefined` when none has anything to ask. */
export function healthCheckOf(
  service: ServiceFacts | undefined,
  slices: readonly SliceFacts[],
  nodeName: string,
): HealthCheck | undefined {
  if (service?.healthCheckNodePort === undefined) return undefined;
  const [namespace = '', name = ''] = service.key.split('/');
  return { namespace, name, port: service.healthCheckNodePort, localEndpoints: readyHere(slices, nodeName) };
}

function readyHere(slices: readonly SliceFacts[], nodeName: string): number {
  const byFamily: { readonly [F in IpFamily]: Set<Ip> } = { IPv4: new Set(), IPv6: new Set() };
  for (const { family, ports, endpoints } of slices) {
    if (ports.length === 0) continue;
    for (const { ip, node, draining } of endpoints) if (node === nodeName && !draining) byFamily[family].add(ip);
  }
  return Math.max(byFamily.IPv4.size, byFamily.IPv6.size);
}
