import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openRoutes, type Routes } from '../kernel/links.ts';
import { createNetns, inNetns } from '../kernel/netns.ts';
import { writeSysctl, writeSysctlIfKnown } from '../kernel/sysctl.ts';
import { bits, type Cidr } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { ClusterPlan } from './plan.ts';

/** Pinned network namespaces of a cluster, below its `run` folder. */
export interface NetworkPaths {
  node(name: string): string;
  readonly client: string;
  /** Of the publisher; only where there is one. */
  readonly host: string;
}

/** Where the namespaces of a cluster are pinned. */
export function networkPaths(run: string): NetworkPaths {
  const dir = join(run, 'netns');
  return { node: (name) => join(dir, name), client: join(dir, 'client'), host: join(dir, 'host') };
}

const nodesBridge = 'sbx-nodes';
/** The link that nodes, the client and whoever else is outside are on. */
export const outsideBridge = 'sbx-outside';

/**
 * Lays out the cluster's links in the calling thread's (fresh) network namespace: two bridges, a namespace for every
 * node with a leg on both, one for the client outside, and one for the publisher if there is to be one. All over netlink;
 * some milliseconds.
 */
export function buildNetwork(plan: ClusterPlan, run: string, { publish }: { readonly publish: boolean }): NetworkPaths {
  const paths = networkPaths(run);
  mkdirSync(join(run, 'netns'), { recursive: true });
  const routes = openRoutes();
  try {
    routes.setLink('lo', { up: true });
    createRouterBridges(routes, plan);
    for (const [index, node] of plan.nodes.entries()) {
      const path = paths.node(node.name);
      createNetns(path);
      // Before the devices come: they start from these defaults.
      inNetns(path, makeRouter);
      routes.createVeth({
        name: `n${index + 1}`,
        master: nodesBridge,
        up: true,
        peer: { name: 'eth0', netns: { path } },
      });
      routes.createVeth({
        name: `o${index + 1}`,
        master: outsideBridge,
        up: true,
        peer: { name: 'eth1', netns: { path } },
      });
      inNetns(path, () => setUpNode(plan, node));
      // The way back from the API server to Pods that speak to it.
      for (const [i, destination] of node.podCidrs.entries()) {
        routes.addRoute({ destination, gateway: node.ips[i] ?? node.ips[0] });
      }
    }
    createOutsider(routes, plan, { name: 'client', path: paths.client, ips: plan.clients });
    if (publish) {
      createOutsider(routes, plan, { name: 'host', path: paths.host, ips: plan.publishers });
      inNetns(paths.host, () => withRoutes((own) => routeServices(own, plan)));
    }
    return paths;
  } finally {
    routes.close();
  }
}

/** A host on the outside network. */
interface Outsider {
  readonly name: string;
  readonly path: string;
  readonly ips: readonly Ip[];
}

function createOutsider(routes: Routes, plan: ClusterPlan, { name, path, ips }: Outsider): void {
  createNetns(path);
  routes.createVeth({ name, master: outsideBridge, up: true, peer: { name: 'eth0', netns: { path } } });
  inNetns(path, () => setUpOutsider(plan, ips));
}

function createRouterBridges(routes: Routes, plan: ClusterPlan): void {
  makeRouter();
  const bridges = [
    { name: nodesBridge, which: 'nodes', ips: [...plan.nodeGateways, ...plan.apiServers] },
    { name: outsideBridge, which: 'outside', ips: plan.outsideGateways },
  ] as const;
  for (const { name, which, ips } of bridges) {
    routes.createBridge({ name, up: true });
    addAddresses(routes, name, { ips, which, plan });
  }
}

function setUpNode(plan: ClusterPlan, node: ClusterPlan['nodes'][number]): void {
  withRoutes((routes) => {
    routes.setLink('eth0', { up: true });
    addAddresses(routes, 'eth0', { ips: node.ips, which: 'nodes', plan });
    routes.setLink('eth1', { up: true });
    addAddresses(routes, 'eth1', { ips: node.outsideIps, which: 'outside', plan });
    for (const gateway of plan.nodeGateways) routes.addRoute({ destination: 'default', gateway });
  });
}

function setUpOutsider(plan: ClusterPlan, own: readonly Ip[]): void {
  skipAddressDetection();
  withRoutes((routes) => {
    joinOutside(routes, plan, { device: 'eth0', ips: own });
    for (const gateway of plan.outsideGateways) routes.addRoute({ destination: 'default', gateway });
  });
}

/** Brings a host's device on the outside network up, with these addresses and routes to the nodes. */
export function joinOutside(
  routes: Routes,
  plan: ClusterPlan,
  { device, ips: own }: { readonly device: string; readonly ips: readonly Ip[] },
): void {
  routes.setLink(device, { up: true });
  addAddresses(routes, device, { ips: own, which: 'outside', plan });
  // Straight to each node's own leg, so that a node answers by the way the question came.
  for (const { ips, outsideIps } of plan.nodes) {
    for (const [i, ip] of ips.entries()) {
      routes.addRoute({ destination: hostCidr(ip), gateway: outsideIps[i] ?? outsideIps[0] });
    }
  }
}

/** From a host on the outside network to cluster IPs by the first node, as by any: its rules lead on. */
export function routeServices(routes: Routes, plan: ClusterPlan): void {
  const [first] = plan.nodes;
  for (const { services } of plan.networks) {
    const gateway = first?.outsideIps.find((ip) => familyOf(ip) === services.family);
    if (gateway !== undefined) routes.addRoute({ destination: services, gateway });
  }
}

/** Runs with the routes of the network namespace the calling thread is in. */
export function withRoutes(run: (routes: Routes) => void): void {
  const routes = openRoutes();
  try {
    run(routes);
  } finally {
    routes.close();
  }
}

interface OnNetwork {
  readonly ips: readonly Ip[];
  readonly which: 'nodes' | 'outside';
  readonly plan: ClusterPlan;
}

function addAddresses(routes: Routes, device: string, { ips, which, plan }: OnNetwork): void {
  for (const ip of ips) {
    const network = plan.networks.find((each) => each[which].family === familyOf(ip));
    if (network !== undefined) routes.addAddress(device, { ip, prefix: network[which].prefix });
  }
}

/** The block of that one address. */
function hostCidr(ip: Ip): Cidr {
  return { family: familyOf(ip), base: ip, prefix: bits(familyOf(ip)) };
}

function makeRouter(): void {
  writeSysctl('net.ipv4.ip_forward', 1);
  for (const scope of ['all', 'default']) {
    // A node answers on one leg for an address of the other; a strict reverse path filter drops that.
    writeSysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
    // Pods of one node reach each other through the node on purpose: it must not point out the shorter way.
    writeSysctl(`net.ipv4.conf.${scope}.send_redirects`, 0);
  }
  writeSysctlIfKnown('net.ipv6.conf.all.forwarding', 1);
  skipAddressDetection();
}

/** For the link-local address alone it takes a second or two, in which a neighbour gets no answer. */
function skipAddressDetection(): void {
  for (const scope of ['all', 'default']) writeSysctlIfKnown(`net.ipv6.conf.${scope}.accept_dad`, 0);
}
