import { SignalboxError } from '../errors/error.ts';
import { type Cidr, cidrAddress, parseCidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';

/** The networks of a single-machine cluster, as texts about Kubernetes like to show them. */
const defaultNetworks = {
  nodes: parseCidr('192.168.101.0/24'),
  outside: parseCidr('192.168.102.0/24'),
  pods: parseCidr('10.244.0.0/16'),
  services: parseCidr('10.96.0.0/12'),
} as const;

/** The most nodes the default networks hold: each has a /24 of the Pods' /16, and node addresses end at .99. */
export const maxNodes = 64;

/** One namespace-to-be with its addresses. */
export interface PlannedNode {
  readonly name: string;
  /** `eth0`, on the node network. */
  readonly ip: Ip;
  /** `eth1`, on the outside network. */
  readonly outsideIp: Ip;
  readonly podCidr: Cidr;
  readonly zone: string;
}

/** Where everything of a cluster lies: a pure function of the number of nodes. */
export interface ClusterPlan {
  readonly domain: string;
  readonly nodes: readonly PlannedNode[];
  readonly networks: typeof defaultNetworks;
  /** First addresses of the two networks: routers, in the cluster's own namespace. */
  readonly nodeGateway: Ip;
  readonly outsideGateway: Ip;
  /** The API server on the node network, port 6443. */
  readonly apiServer: Ip;
  readonly kubernetesServiceIp: Ip;
  readonly dnsServiceIp: Ip;
  /** The host outside the cluster that routes to the nodes. */
  readonly client: Ip;
}

/**
 * Lays out a cluster of `nodeCount` nodes: node-N has .(N+2) on both networks and 10.244.N.0/24 for its Pods.
 * @throws SignalboxError `INVALID_CONFIG` for a count that is no integer from 1 to `maxNodes`
 */
export function planCluster(nodeCount: number): ClusterPlan {
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || nodeCount > maxNodes) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: `--nodes ${nodeCount}`,
      problem: 'is no possible number of nodes',
      remedy: `give a number from 1 to ${maxNodes}`,
    });
  }
  const { nodes, outside, pods, services } = defaultNetworks;
  return {
    domain: 'cluster.local',
    nodes: Array.from({ length: nodeCount }, (_, i) => ({
      name: `node-${i + 1}`,
      ip: cidrAddress(nodes, i + 3),
      outsideIp: cidrAddress(outside, i + 3),
      podCidr: { family: 'IPv4', base: cidrAddress(pods, (i + 1) * 256), prefix: 24 },
      zone: `zone-${(i % 3) + 1}`,
    })),
    networks: defaultNetworks,
    nodeGateway: cidrAddress(nodes, 1),
    outsideGateway: cidrAddress(outside, 1),
    apiServer: cidrAddress(nodes, 2),
    kubernetesServiceIp: cidrAddress(services, 1),
    dnsServiceIp: cidrAddress(services, 10),
    client: cidrAddress(outside, 100),
  };
}
