import type { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';

/**
 * What one node's kernel has to do about Services, decided once for all backends: which endpoints take part, whose
 * source address is kept, what happens where nobody answers. Backends express it and decide nothing.
 */
export interface NodeModel {
  readonly node: NodeFacts;
  /** By `ServicePort.name`. */
  readonly servicePorts: ReadonlyMap<string, ServicePort>;
}

/** What the policies need to know of the node itself. */
export interface NodeFacts {
  readonly name: string;
  readonly zone: string | undefined;
  /** Addresses on which node ports are served, all families. */
  readonly nodePortAddresses: readonly Ip[];
  /** Sources inside these blocks are Pods of this node's cluster; others are masqueraded on the way to a cluster IP. */
  readonly localSources: readonly Cidr[];
}

/** One port of one Service: `namespace/name:port`, or `namespace/name` for an unnamed port. */
export interface ServicePort {
  readonly name: string;
  readonly protocol: Protocol;
  /** Every address and port by which clients can reach it, in a stable order. */
  readonly frontends: readonly Frontend[];
  /** Clients stay with their endpoint for this long after their last new connection; absent without affinity. */
  readonly affinitySeconds?: number;
}

/** One address and port clients send to, and where that leads on this node. */
export interface Frontend {
  readonly kind: 'cluster-ip' | 'node-port' | 'external-ip' | 'load-balancer-ip';
  readonly ip: Ip;
  readonly port: number;
  /** Those that take new connections, each once, in a stable order. */
  readonly endpoints: readonly Endpoint[];
  /** With no endpoint: refuse at once (`reject`), or say nothing because another node would answer (`drop`). */
  readonly whenEmpty: 'reject' | 'drop';
  /**
   * Whose source address becomes the node's: nobody's, only that of clients outside the Pod network, or everybody's.
   * A Pod that reaches itself is masqueraded in any case.
   */
  readonly masquerade: 'never' | 'off-cluster' | 'always';
  /** Clients outside these blocks are dropped; absent: everybody may. */
  readonly sourceRanges?: readonly Cidr[];
}

/** An address and port that answers. */
export interface Endpoint {
  readonly ip: Ip;
  readonly port: number;
  /** Whether it runs on this node. */
  readonly local: boolean;
}
