import type { EndpointConditions } from '../../src/api/generated/types.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import type { Protocol } from '../../src/net/port.ts';
import type { ClientName, PodName } from './places.ts';

/**
 * A node, Services and what becomes of calls to them: one row of the tables in `scenarios/`. It says what a user sees,
 * in words that hold for both families and every proxy mode.
 */
export interface Scenario {
  readonly name: string;
  readonly node?: NodeSetting;
  /**
   * Number of its first Service, which names and cluster IPs come from; 0 unless told. Clients are remembered by
   * Service, so that scenarios about that have Services of their own.
   */
  readonly firstService?: number;
  readonly services: readonly ServiceSetting[];
  readonly calls: readonly Call[];
}

/** What is particular about the node under test, which is called node-1. */
export interface NodeSetting {
  readonly zone?: string;
  /** How Pods are told from others: by the block of the cluster's Pods unless told. */
  readonly pods?: 'cluster' | 'node' | 'bridge' | 'prefix' | 'unknown';
  readonly masqueradeAll?: boolean;
  /** Whether a device of the node has the balancer's address, as some balancers do. */
  readonly hasBalancerAddress?: boolean;
  /** Whether node ports are served on all of the node's addresses, with 127.0.0.1 or without; else on the first alone. */
  readonly nodePorts?: 'all' | 'all and loopback';
}

/** A Service with one port, 80 unless told. */
export interface ServiceSetting {
  /** Of both families unless told. Its addresses for outside are of both in any case. */
  readonly families?: readonly IpFamily[];
  readonly protocol?: Protocol;
  readonly port?: number;
  readonly nodePort?: number;
  /** Whether it names the external IP of the test bed. */
  readonly external?: boolean;
  /** Whether it has the balancer's address, and how packets come from there. */
  readonly balancer?: 'VIP' | 'Proxy';
  /** Who may come by the balancer. */
  readonly sources?: readonly ('pods' | 'node' | 'client' | 'nobody')[];
  /** Session affinity with this time-out, seconds. */
  readonly affinity?: number;
  readonly internal?: 'Local';
  readonly outside?: 'Local';
  readonly labels?: { readonly [name: string]: string };
  readonly endpoints: readonly (PodName | EndpointSetting)[];
}

/** An endpoint that is not just a ready Pod. */
export interface EndpointSetting {
  /** `node`: in the network of the node itself. */
  readonly on: PodName | 'node';
  readonly port?: number;
  readonly conditions?: EndpointConditions;
  readonly forNodes?: readonly string[];
  readonly forZones?: readonly string[];
}

/** Which address of the nth Service, the first unless told, is called. */
export type Target = 'cluster-ip' | 'node-port' | 'other-node-port' | 'loopback-node-port' | 'external-ip' | 'balancer';

/** A kind of call. */
export interface Call {
  readonly from: ClientName;
  readonly to: Target;
  /** Number of the Service, from 0. */
  readonly service?: number;
  /** Families it is called in; both unless told. */
  readonly families?: readonly IpFamily[];
  /** A port other than the Service's. */
  readonly port?: number;
  /** Whether so many calls are made that shares tell themselves apart. */
  readonly many?: true;
  /**
   * Who answers, each as often as the others, by the client's own address or, behind `*`, by the node's in its place:
   * `podA podB*`. Or `refused`, `silence`, or `untouched`: as if there was no Service.
   */
  readonly expect: string;
}

/** As `call`, so often that the shares of those who answer are seen. */
export function manyCalls(from: ClientName, to: Target, expect: string): Call {
  return { from, to, expect, many: true };
}

/** The call with these parts, as tables write it: `call('podC', 'cluster-ip', 'podA podB')`. */
export function call(from: ClientName, to: Target, expect: string): Call {
  return { from, to, expect };
}

/** The same answers, to clients that all appear as the node. */
export function allAsNode(expect: string): string {
  return expect.replace(/\b(pod[A-E](?::\d+)?|node)(?=$| )/g, '$1*');
}
