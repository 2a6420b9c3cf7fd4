import { cidrContains } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';
import type { Destination, Endpoint, Frontend, LocalTraffic, NodeModel, ServicePort } from './types.ts';

/** A new connection, or the first packet of a flow, when it comes to a node or a process of the node begins it. */
export interface Attempt {
  /** Whether it comes in by some device, from a Pod or from outside, or a process of the node itself begins it. */
  readonly from: 'network' | 'node';
  /** Device it comes in through, where `from` is `network`. */
  readonly iif?: string;
  readonly source: Ip;
  readonly destination: Ip;
  readonly protocol: Lowercase<Protocol>;
  readonly port: number;
}

/** What becomes of an attempt. */
export type Outcome =
  /** No Service port's: it goes its way. A backend may still refuse ports of a cluster IP that no Service port has. */
  | { readonly kind: 'untouched' }
  /** Refused at once, or left without answer. */
  | { readonly kind: 'reject' | 'drop'; readonly servicePort: string }
  /** Goes to one of the endpoints. */
  | {
      readonly kind: 'served';
      readonly servicePort: string;
      readonly routes: readonly Route[];
      /** The client goes the same way again for as long after its last attempt, while that endpoint is among them. */
      readonly affinitySeconds?: number;
    };

/** One way an attempt may go. */
export interface Route {
  readonly endpoint: Endpoint;
  /** Its part of all attempts, 0 to 1. */
  readonly share: number;
  /** Whether the endpoint sees the client as it is, or the node in its place. */
  readonly client: 'kept' | 'node';
}

/**
 * What must become of an attempt at a node, by its model: what every backend has to bring about, said as plainly as
 * possible. It looks at every Service port, so it is for explaining and testing and not for packets by the million.
 */
export function predict(model: NodeModel, attempt: Attempt): Outcome {
  const found = frontendOf(model, attempt);
  if (found === undefined) return { kind: 'untouched' };
  const { port, frontend } = found;
  const { name: servicePort, affinitySeconds } = port;
  if (frontend.sourceRanges?.some((range) => cidrContains(range, attempt.source)) === false) {
    return { kind: 'drop', servicePort };
  }
  const destination = destinationFor(frontend, attempt, model.node.localTraffic);
  const { endpoints } = destination;
  if (endpoints.length === 0) return { kind: destination.whenEmpty, servicePort };
  const routes = endpoints.map((endpoint) => ({
    endpoint,
    share: 1 / endpoints.length,
    client: clientSeen(destination, endpoint, { attempt, model }),
  }));
  return { kind: 'served', servicePort, routes, ...(affinitySeconds === undefined ? {} : { affinitySeconds }) };
}

function frontendOf(
  { servicePorts }: NodeModel,
  attempt: Attempt,
): { port: ServicePort; frontend: Frontend } | undefined {
  for (const port of servicePorts.values()) {
    if (port.protocol.toLowerCase() !== attempt.protocol) continue;
    const frontend = port.frontends.find((f) => f.ip === attempt.destination && f.port === attempt.port);
    if (frontend !== undefined) return { port, frontend };
  }
  return undefined;
}

function destinationFor(frontend: Frontend, attempt: Attempt, localTraffic: LocalTraffic): Destination {
  const isInside = attempt.from === 'node' || isPod(attempt, localTraffic);
  return (isInside ? frontend.inside : undefined) ?? frontend;
}

function isPod({ iif, source }: Attempt, localTraffic: LocalTraffic): boolean {
  switch (localTraffic.by) {
    case 'source':
      return localTraffic.blocks.some((block) => cidrContains(block, source));
    case 'interface':
      return iif === localTraffic.name;
    case 'interface-prefix':
      return iif?.startsWith(localTraffic.prefix) === true;
  }
}

function clientSeen(
  { masquerade }: Destination,
  endpoint: Endpoint,
  { attempt, model: { node } }: { readonly attempt: Attempt; readonly model: NodeModel },
): Route['client'] {
  // The kernel replaces sources of what leaves the node. What came from elsewhere and is for itself does not.
  const staysHere = node.addresses.includes(endpoint.ip) || node.nodePortAddresses.includes(endpoint.ip);
  if (attempt.from === 'network' && staysHere) return 'kept';
  if (attempt.source === endpoint.ip || masquerade === 'always') return 'node';
  return masquerade === 'off-cluster' && !isPod(attempt, node.localTraffic) ? 'node' : 'kept';
}
