import { type Ip, type IpFamily, parseIp } from '../../src/net/ip.ts';

export const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** Pods on the node under test, on its bridge, and Pods that are somewhere else behind it. */
export const podNames = ['podA', 'podB', 'podC', 'podD', 'podE'] as const;
export type PodName = (typeof podNames)[number];

/** Who may call: Pods, a process of the node, a host outside the cluster. */
export type ClientName = PodName | 'node' | 'client';

/** Names of the nodes, by the Pods on them. */
export const nodeOf: { readonly [P in PodName | 'node']: string } = {
  podA: 'node-1',
  podB: 'node-1',
  podC: 'node-1',
  node: 'node-1',
  podD: 'node-2',
  podE: 'node-3',
};

/** The device of the node that a place is reached through. */
export const deviceOf = {
  podA: 'cni0',
  podB: 'cni0',
  podC: 'cni0',
  podD: 'eth2',
  podE: 'eth3',
  client: 'eth0',
  beyond: 'eth1',
} as const;

/** Everything that has an address, by family. */
export const addresses = {
  IPv4: book({
    bridge: '10.244.1.1',
    podA: '10.244.1.2',
    podB: '10.244.1.3',
    podC: '10.244.1.4',
    podD: '10.244.2.2',
    podE: '10.244.3.2',
    node: '192.168.101.3',
    nodeToBeyond: '192.168.102.3',
    nodeToD: '192.168.103.3',
    nodeToE: '192.168.104.3',
    client: '192.168.101.100',
    beyond: '192.168.102.100',
    external: '198.51.100.1',
    balancer: '203.0.113.1',
  }),
  IPv6: book({
    bridge: 'fd00:10:244:1::1',
    podA: 'fd00:10:244:1::2',
    podB: 'fd00:10:244:1::3',
    podC: 'fd00:10:244:1::4',
    podD: 'fd00:10:244:2::2',
    podE: 'fd00:10:244:3::2',
    node: 'fd00:192:168:101::3',
    nodeToBeyond: 'fd00:192:168:102::3',
    nodeToD: 'fd00:192:168:103::3',
    nodeToE: 'fd00:192:168:104::3',
    client: 'fd00:192:168:101::100',
    beyond: 'fd00:192:168:102::100',
    external: '2001:db8:51::1',
    balancer: '2001:db8:113::1',
  }),
} as const;

/** The Pods' block of the whole cluster, and of node-1. */
export const podBlocks = {
  IPv4: { cluster: '10.244.0.0/16', node: '10.244.1.0/24' },
  IPv6: { cluster: 'fd00:10:244::/48', node: 'fd00:10:244:1::/64' },
} as const;

/** Addresses of the node itself. */
export function nodeAddresses(family: IpFamily): readonly Ip[] {
  const { bridge, node, nodeToBeyond, nodeToD, nodeToE } = addresses[family];
  return [bridge, node, nodeToBeyond, nodeToD, nodeToE];
}

/** Further addresses of podC, from which it can call as many clients. */
export function manyAddresses(family: IpFamily, count: number): readonly Ip[] {
  const { podC } = addresses[family];
  const start = podC.slice(0, Math.max(podC.lastIndexOf('.'), podC.lastIndexOf(':')) + 1);
  return Array.from({ length: count }, (_, i) => parseIp(`${start}${100 + i}`));
}

/** Cluster IP of the nth Service of a scenario. */
export function clusterIp(family: IpFamily, index: number): Ip {
  return parseIp(family === 'IPv4' ? `10.96.0.${10 + index}` : `fd00:10:96::${10 + index}`);
}

/** Where every Pod serves, TCP and UDP. */
export const podPort = 8080;
/** Where every Pod serves as well: one more endpoint at the same address. */
export const secondPodPort = 8081;
/** Where the node serves, as a Pod in its network would. */
export const hostPort = 8090;

function book<K extends string>(texts: { readonly [N in K]: string }): { readonly [N in K]: Ip } {
  return Object.fromEntries(Object.entries<string>(texts).map(([name, text]) => [name, parseIp(text)])) as {
    readonly [N in K]: Ip;
  };
}
