import type { Cidr } from '../net/cidr.ts';
import type { Ip, IpFamily } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';

/**
 * What one node's kernel has to do about Services, decided once for all backends: which endpoints take part, whose
 * source address is kept, what happens where nobody answers. Backends express it and decide nothing.
 */
export interface NodeModel {
  readonly node: NodeFacts;
  /** By `ServicePort.name`. */
  readonly servicePorts: ReadonlyMap<string, ServicePort>;
  /** By Service, `namespace/name`. */
  readonly healthChecks: ReadonlyMap<string, HealthCheck>;
}

/**
 * What a balancer outside may ask every node about a Service: whether to send its clients here. Served by Services of
 * type LoadBalancer under `externalTrafficPolicy: Local`, where only a node with an endpoint of its own can answer.
 */
export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  /** `spec.healthCheckNodePort`. */
  readonly port: number;
  /**
   * How many endpoints run on this node and are ready, each address once; of a Service of two families, in the one
   * that has more. Those that end do not count, also while they still serve: balancers are to look elsewhere.
   */
  readonly localEndpoints: number;
}

/** What the policies need to know of the node itself. */
export interface NodeFacts {
  readonly name: string;
  readonly zone: string | undefined;
  /** Addresses by which others know the node: the one of each family it is reached at first. */
  readonly addresses: readonly Ip[];
  /**
   * Addresses on which node ports are served, all families. With 127.0.0.1 also on every other loopback address that
   * the mode can serve them on.
   */
  readonly nodePortAddresses: readonly Ip[];
  /** Families in which those are all addresses the node has now, and shall be all that it may have later. */
  readonly nodePortsEverywhere: readonly IpFamily[];
  /** Addresses by which the cluster's other nodes are known; only where the mode has to leave these to them. */
  readonly peerAddresses?: readonly Ip[];
  /** Which traffic comes from Pods of the cluster. */
  readonly localTraffic: LocalTraffic;
}

/**
 * How the traffic of the cluster's own Pods is told from other traffic (`detectLocalMode`, KEP-2450): by its source
 * address, or by the device it comes in through. Without a block, nothing is known of a source.
 */
export type LocalTraffic =
  | { readonly by: 'source'; readonly blocks: readonly Cidr[] }
  /** A bridge that the node's Pods are plugged into. */
  | { readonly by: 'interface'; readonly name: string }
  /** Devices of the node's Pods have names that begin like this. */
  | { readonly by: 'interface-prefix'; readonly prefix: string };

/** One port of one Service: `namespace/name:port`, or `namespace/name` for an unnamed port. */
export interface ServicePort {
  readonly name: string;
  readonly protocol: Protocol;
  /** Every address and port by which clients can reach it, in a stable order. */
  readonly frontends: readonly Frontend[];
  /** Clients stay with their endpoint for this long after their last new connection; absent without affinity. */
  readonly affinitySeconds?: number;
  /**
   * Of a UDP port, every endpoint of the cluster that serves, also one that policies lead no new connections to or that
   * is terminating: a flow that has begun may stay there, as a TCP connection would.
   */
  readonly serving?: readonly Endpoint[];
}

/** Where new connections go, and as whom they appear there. */
export interface Destination {
  /** Those that take new connections, each once, in a stable order. */
  readonly endpoints: readonly Endpoint[];
  /** With no endpoint: refuse at once (`reject`), or say nothing because another node would answer (`drop`). */
  readonly whenEmpty: 'reject' | 'drop';
  /**
   * Whose source address becomes the node's: nobody's, that of all but Pods of the cluster (`NodeFacts.localTraffic`),
   * or everybody's. A Pod that reaches itself is masqueraded in any case.
   */
  readonly masquerade: 'never' | 'off-cluster' | 'always';
}

/** One address and port clients send to, and where that leads on this node. */
export interface Frontend extends Destination {
  readonly kind: 'cluster-ip' | 'node-port' | 'external-ip' | 'load-balancer-ip';
  readonly ip: Ip;
  readonly port: number;
  /**
   * Where clients inside the cluster are led, if that is elsewhere: Pods (as `NodeFacts.localTraffic` tells them) and
   * processes of this node. An address for outside under `externalTrafficPolicy: Local` leads them to the endpoints of
   * the whole cluster, as no client's address is at stake and no balancer in front that could choose another node.
   */
  readonly inside?: Destination;
  /**
   * Clients outside these blocks are dropped, whichever way they would go and whether there is an endpoint or not;
   * absent: everybody may. All of the frontend's family; where there is none of it, nobody may.
   */
  readonly sourceRanges?: readonly Cidr[];
}

/** An address and port that answers. */
export interface Endpoint {
  readonly ip: Ip;
  readonly port: number;
  /** Whether it runs on this node. */
  readonly local: boolean;
}
