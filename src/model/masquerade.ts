import { familyOf, type Ip, type IpFamily } from '../net/ip.ts';
import type { TrafficPolicy } from '../tracker/service-facts.ts';
import type { Frontend, NodeFacts } from './types.ts';

/** What the masquerade policy depends on besides the frontend itself. */
export interface MasqueradeContext {
  readonly node: NodeFacts;
  readonly externalTrafficPolicy: TrafficPolicy;
  /** Set by the user: every client of a cluster IP is masqueraded. */
  readonly masqueradeAll: boolean;
}

/**
 * Whose source address becomes the node's on the way to an endpoint, so that answers come back through this node and
 * are translated.
 *
 * - Cluster IP: clients outside the Pod network, since a Pod's answer to one of them could take another way. Nobody if
 *   it is unknown which sources are Pods (KEP-2450). Everybody if the user wants so.
 * - Node port, external and load-balancer IP: everybody, as the endpoint may be on another node, which would answer
 *   by itself. Nobody under `externalTrafficPolicy: Local`: endpoints are on this node, and seeing the client's
 *   address is what the policy is for. For clients inside see `insideMasquerade`.
 */
export function masqueradePolicy(kind: Frontend['kind'], ip: Ip, context: MasqueradeContext): Frontend['masquerade'] {
  if (kind !== 'cluster-ip') return context.externalTrafficPolicy === 'Local' ? 'never' : 'always';
  if (context.masqueradeAll) return 'always';
  return knowsPods(context.node, familyOf(ip)) ? 'off-cluster' : 'never';
}

/**
 * The same for those clients of an address for outside that are led past `externalTrafficPolicy: Local`. A Pod keeps
 * its address. A process of this node cannot: the kernel may have given it the very address it calls as its own.
 */
export const insideMasquerade: Frontend['masquerade'] = 'off-cluster';

/** Whether Pods of the family can be told from other sources. */
function knowsPods({ localTraffic }: NodeFacts, family: IpFamily): boolean {
  return localTraffic.by !== 'source' || localTraffic.blocks.some((block) => block.family === family);
}
