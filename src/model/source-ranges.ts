import { bits, type Cidr, cidrContains } from '../net/cidr.ts';
import { familyOf, type IpFamily } from '../net/ip.ts';
import type { ServiceFacts } from '../tracker/service-facts.ts';
import type { NodeFacts } from './types.ts';

/**
 * Blocks of one family whose clients may reach a Service's load-balancer addresses (`loadBalancerSourceRanges`). When
 * they have one of the node's own addresses in them, its processes may: and as the address of a balancer is often
 * also an address of the node's devices, the kernel gives it to such a process as its source. So all of the Service's
 * load-balancer addresses are added then.
 */
export function allowedSources(
  { loadBalancerIps }: ServiceFacts,
  sourceRanges: readonly Cidr[],
  { node, family }: { readonly node: NodeFacts; readonly family: IpFamily },
): readonly Cidr[] {
  const ranges = sourceRanges.filter((range) => range.family === family);
  if (!node.addresses.some((ip) => ranges.some((range) => cidrContains(range, ip)))) return ranges;
  const own = loadBalancerIps.filter((ip) => familyOf(ip) === family);
  return [...ranges, ...own.map((base) => ({ family, base, prefix: bits(family) }))];
}
