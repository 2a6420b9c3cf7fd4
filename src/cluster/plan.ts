import { SignalboxError } from '../errors/error.ts';
import { type Cidr, cidrAddress, parseCidr } from '../net/cidr.ts';
import { type Ip, type IpFamily, parseIp } from '../net/ip.ts';

/** Which addresses a cluster has; in one with both, IPv4 comes first. */
export const clusterFamilies = ['ipv4', 'ipv6', 'dual'] as const;
export type ClusterFamilies = (typeof clusterFamilies)[number];

/** The networks of a single-machine cluster, as texts about Kubernetes like to show them, and the like for IPv6. */
const networks: { readonly [F in IpFamily]: FamilyNetworks } = {
  IPv4: {
    nodes: parseCidr('192.168.101.0/24'),
    outside: parseCidr('192.168.102.0/24'),
    pods: parseCidr('10.244.0.0/16'),
    services: parseCidr('10.96.0.0/12'),
    nodePrefix: 24,
    nodeLocalDns: parseIp('169.254.20.10'),
  },
  IPv6: {
    nodes: parseCidr('fd00:192:168:101::/64'),
    outside: parseCidr('fd00:192:168:102::/64'),
    pods: parseCidr('fd00:10:244::/56'),
    services: parseCidr('fd00:10:96::/112'),
    nodePrefix: 64,
    nodeLocalDns: parseIp('fd00:169:254:20::10'),
  },
};

/** One family's networks. */
export interface FamilyNetworks {
  readonly nodes: Cidr;
  readonly outside: Cidr;
  readonly pods: Cidr;
  readonly services: Cidr;
  /** Prefix length of a node's part of `pods`. */
  readonly nodePrefix: number;
  /** Where every node may have a DNS server of its own: the same address on each. */
  readonly nodeLocalDns: Ip;
}

/** The most nodes the networks hold: each has a part of the Pods' one, and node addresses end below the client's. */
export const maxNodes = 64;

/** One namespace-to-be with its addresses, one of each family. */
export interface PlannedNode {
  readonly name: string;
  /** `eth0`, on the node network. */
  readonly ips: Addresses;
  /** `eth1`, on the outside network. */
  readonly outsideIps: Addresses;
  readonly podCidrs: readonly Cidr[];
  readonly zone: string;
}

/** One address of each family the cluster has; the first is the one that is used where one is enough. */
export type Addresses = readonly [Ip, ...Ip[]];

/** Where everything of a cluster lies: a pure function of the number of nodes and the families. */
export interface ClusterPlan {
  readonly domain: string;
  readonly nodes: readonly PlannedNode[];
  /** Of each family. */
  readonly networks: readonly FamilyNetworks[];
  /** First addresses of the two networks: routers, in the cluster's own namespace. */
  readonly nodeGateways: Addresses;
  readonly outsideGateways: Addresses;
  /** The API server on the node network, port 6443. */
  readonly apiServers: Addresses;
  readonly kubernetesServiceIps: Addresses;
  readonly dnsServiceIps: Addresses;
  /** Of the DNS server that each node has with `--node-local-dns`. */
  readonly nodeLocalDnsIps: Addresses;
  /** The host outside the cluster that routes to the nodes. */
  readonly clients: Addresses;
  /** The publisher, who stands for this machine on the outside network (`up --publish`). */
  readonly publishers: Addresses;
  /** This machine itself on the outside network (`up --host-route`). */
  readonly machines: Addresses;
  /** Of each family, `FIRST-LAST` on the outside network: addresses for Services of type LoadBalancer. */
  readonly balancerRanges: readonly string[];
}

const familiesOf: { readonly [F in ClusterFamilies]: readonly [IpFamily, ...IpFamily[]] } = {
  ipv4: ['IPv4'],
  ipv6: ['IPv6'],
  dual: ['IPv4', 'IPv6'],
};

/** Of Services' balancers on the outside network, above everybody else's. */
const balancerNumbers: { readonly [F in IpFamily]: readonly [number, number] } = {
  IPv4: [200, 239],
  IPv6: [0x200, 0x2ff],
};

/** Of the client on the outside network, and of those after it; an IPv6 address shows it in hexadecimal. */
const clientNumber: { readonly [F in IpFamily]: number } = { IPv4: 100, IPv6: 0x100 };

/**
 * Lays out a cluster of `nodeCount` nodes: node-N has number N+2 on both networks, and part N of the Pods' one.
 * @throws SignalboxError `INVALID_CONFIG` for a count that is no integer from 1 to `maxNodes`
 */
export function planCluster(nodeCount: number, ipFamily: ClusterFamilies): ClusterPlan {
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || nodeCount > maxNodes) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: `--nodes ${nodeCount}`,
      problem: 'is no possible number of nodes',
      remedy: `give a number from 1 to ${maxNodes}`,
    });
  }
  const [first, ...others] = familiesOf[ipFamily];
  const each = (addressIn: (network: FamilyNetworks, family: IpFamily) => Ip): Addresses => [
    addressIn(networks[first], first),
    ...others.map((family) => addressIn(networks[family], family)),
  ];
  return {
    domain: 'cluster.local',
    nodes: Array.from({ length: nodeCount }, (_, i) => ({
      name: `node-${i + 1}`,
      ips: each(({ nodes }) => cidrAddress(nodes, i + 3)),
      outsideIps: each(({ outside }) => cidrAddress(outside, i + 3)),
      podCidrs: [first, ...others].map((family) => podCidr(family, i + 1)),
      zone: `zone-${(i % 3) + 1}`,
    })),
    networks: [first, ...others].map((family) => networks[family]),
    nodeGateways: each(({ nodes }) => cidrAddress(nodes, 1)),
    outsideGateways: each(({ outside }) => cidrAddress(outside, 1)),
    apiServers: each(({ nodes }) => cidrAddress(nodes, 2)),
    kubernetesServiceIps: each(({ services }) => cidrAddress(services, 1)),
    dnsServiceIps: each(({ services }) => cidrAddress(services, 10)),
    nodeLocalDnsIps: each(({ nodeLocalDns }) => nodeLocalDns),
    clients: each(({ outside }, family) => cidrAddress(outside, clientNumber[family])),
    publishers: each(({ outside }, family) => cidrAddress(outside, clientNumber[family] + 1)),
    machines: each(({ outside }, family) => cidrAddress(outside, clientNumber[family] + 2)),
    balancerRanges: [first, ...others].map((family) => {
      const [from, to] = balancerNumbers[family];
      const { outside } = networks[family];
      return `${cidrAddress(outside, from)}-${cidrAddress(outside, to)}`;
    }),
  };
}

/** The part that the controllers will give the node too, as they go by the number in its name. */
function podCidr(family: IpFamily, number: number): Cidr {
  const { pods, nodePrefix } = networks[family];
  const hostBits = BigInt((family === 'IPv4' ? 32 : 128) - nodePrefix);
  return { family, base: cidrAddress(pods, BigInt(number) << hostBits), prefix: nodePrefix };
}
