import { createHash } from 'node:crypto';
import { SignalboxError } from '../errors/error.ts';
import type { Routes } from '../kernel/links.ts';
import { inNetns } from '../kernel/netns.ts';
import { type Cidr, cidrContains, formatCidr, parseCidr } from '../net/cidr.ts';
import { joinOutside, outsideBridge, routeServices, withRoutes } from './network.ts';
import type { ClusterPlan } from './plan.ts';
import type { ClusterPaths } from './state.ts';

/** The machine's leg, as it is called inside the cluster. */
const legInside = 'machine';

/** Name of the device that leads to a cluster: no two clusters of a machine have the same. */
export function hostDevice(paths: ClusterPaths): string {
  return `sbx-${createHash('sha256').update(paths.dir).digest('hex').slice(0, 8)}`;
}

/**
 * Makes sure that this machine can route to the cluster that is to be started: by root, and that no network of the
 * cluster is one of the machine already, another cluster's included.
 * @throws SignalboxError `HOST_ROUTE_FORBIDDEN`, `NETWORKS_OVERLAP`
 */
export function requireHostRoute(plan: ClusterPlan, paths: ClusterPaths): void {
  if (process.getuid?.() !== 0) {
    throw new SignalboxError('HOST_ROUTE_FORBIDDEN', {
      object: '--host-route',
      problem: 'changes the routes of this machine, which only root may',
      remedy: 'run as root, or use --publish, which needs no rights',
    });
  }
  withRoutes((routes) => {
    // A cluster that was killed may leave it for a moment: the kernel takes namespaces apart at its leisure.
    routes.deleteLink(hostDevice(paths));
    const overlap = findOverlap(clusterBlocks(plan), hostBlocks(routes, plan));
    if (overlap === undefined) return;
    throw new SignalboxError('NETWORKS_OVERLAP', {
      object: formatCidr(overlap.cluster),
      problem: `of the cluster overlaps with ${formatCidr(overlap.host)}, which this machine has an address in or a route to`,
      remedy: 'see `ip address` and `ip route`; without --host-route the cluster keeps to itself',
    });
  });
}

/**
 * Leads the cluster's networks to this machine, in the network namespace of the calling thread: a device on the
 * outside network, and routes to nodes, Pods and Services by the nodes. All of it goes with the cluster.
 * @param supervisor process of the cluster's supervisor
 * @throws SignalboxError `CLUSTER_START_FAILED` when the kernel refuses; what was made goes with the cluster
 */
export function openHostRoute(plan: ClusterPlan, paths: ClusterPaths, supervisor: number): void {
  const device = hostDevice(paths);
  try {
    layRoutes(plan, device, `/proc/${supervisor}/ns/net`);
  } catch (cause) {
    throw new SignalboxError('CLUSTER_START_FAILED', {
      object: `device ${device}`,
      problem: `could not lead to the cluster (${cause instanceof Error ? cause.message : cause})`,
      remedy: 'see the reason given by the system; without --host-route the cluster keeps to itself',
      cause,
    });
  }
}

/** @param inside path of the cluster's network namespace */
function layRoutes(plan: ClusterPlan, device: string, inside: string): void {
  withRoutes((routes) => {
    routes.createVeth({ name: device, peer: { name: legInside, netns: { path: inside } } });
    inNetns(inside, () => withRoutes((own) => own.setLink(legInside, { master: outsideBridge, up: true })));
    joinOutside(routes, plan, { device, ips: plan.machines });
    for (const [i, { nodes }] of plan.networks.entries()) {
      routes.addRoute({ destination: nodes, gateway: plan.outsideGateways[i] ?? plan.outsideGateways[0] });
    }
    routeServices(routes, plan);
    for (const { podCidrs, outsideIps } of plan.nodes) {
      for (const [i, destination] of podCidrs.entries()) {
        routes.addRoute({ destination, gateway: outsideIps[i] ?? outsideIps[0] });
      }
    }
  });
}

/** Takes the device away, and its routes with it, if it is still there. */
export function closeHostRoute(paths: ClusterPaths): void {
  withRoutes((routes) => routes.deleteLink(hostDevice(paths)));
}

function clusterBlocks(plan: ClusterPlan): Cidr[] {
  return plan.networks.flatMap(({ nodes, outside, pods, services }) => [nodes, outside, pods, services]);
}

/** Where this machine has addresses and where it knows ways to, but for the default one. */
function hostBlocks(routes: Routes, plan: ClusterPlan): Cidr[] {
  const ways = plan.networks.flatMap(({ nodes }) => routes.listRoutes(nodes.family));
  const destinations = ways.map(({ destination }) => destination).filter((each) => each !== 'default');
  const addresses = routes.listAddresses().map(({ ip, prefix }) => parseCidr(`${ip}/${prefix}`));
  return [...addresses, ...destinations];
}

/** The first two blocks of which one lies in the other. */
export function findOverlap(
  cluster: readonly Cidr[],
  host: readonly Cidr[],
): { readonly cluster: Cidr; readonly host: Cidr } | undefined {
  for (const ours of cluster) {
    const theirs = host.find((each) => cidrContains(ours, each.base) || cidrContains(each, ours.base));
    if (theirs !== undefined) return { cluster: ours, host: theirs };
  }
  return undefined;
}
