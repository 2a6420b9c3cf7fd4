import { isExternallyReachable } from '../api/defaults/service.ts';
import type { Service, ServiceSpec } from '../api/generated/types.ts';

const hasAddress = (spec: ServiceSpec) => spec.type !== 'ExternalName';
const hasNodePorts = (spec: ServiceSpec) => spec.type === 'NodePort' || spec.type === 'LoadBalancer';
const hasHealthCheck = (spec: ServiceSpec) => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

/** Old clients know only `clusterIP`: what they say there is said in `clusterIPs` too. */
export function prepareServiceCreate(service: Service): void {
  service.status = { loadBalancer: {} };
  const { spec } = service;
  if (spec?.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
}

/**
 * Makes of an update what its sender means: what was allocated stays when it is left out, as in a manifest applied
 * again; and what belongs to the former type goes with it, unless the sender changed it and so speaks of it.
 */
export function prepareServiceUpdate(next: Service, old: Service): void {
  next.spec ??= {};
  const before = old.spec ?? {};
  keepAddress(next.spec, before);
  alignAddresses(next.spec, before);
  keepNodePorts(next.spec, before);
  dropAddress(next.spec, before);
  dropNodePorts(next.spec, before);
  dropFields(next, old);
}

function keepAddress(spec: ServiceSpec, before: ServiceSpec): void {
  if (!hasAddress(spec) || !hasAddress(before)) return;
  if (!spec.clusterIP && before.clusterIP !== undefined) spec.clusterIP = before.clusterIP;
  const isSame = spec.clusterIP === before.clusterIP;
  if (!spec.clusterIPs?.length && isSame && before.clusterIPs !== undefined) spec.clusterIPs = [...before.clusterIPs];
}

/** A client that knows only one of `clusterIP` and `clusterIPs` changed that one, and means both. */
function alignAddresses(spec: ServiceSpec, before: ServiceSpec): void {
  const isUntouched = sameItems(spec.clusterIPs, before.clusterIPs);
  if ((spec.clusterIP ?? '') === (before.clusterIP ?? '') || !isUntouched) return;
  if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  else delete spec.clusterIPs;
}

/** Ports are known by their names: all else about them may have changed. */
function keepNodePorts(spec: ServiceSpec, before: ServiceSpec): void {
  if (hasNodePorts(spec) && hasNodePorts(before)) {
    const known = new Map((before.ports ?? []).map((port) => [port.name ?? '', port.nodePort]));
    const wanted = nodePortsOf(spec);
    const used = new Set(nodePortsOf(before).filter((port) => wanted.includes(port)));
    for (const port of spec.ports ?? []) {
      const nodePort = known.get(port.name ?? '');
      if (port.nodePort || !nodePort || used.has(nodePort)) continue;
      port.nodePort = nodePort;
      used.add(nodePort);
    }
  }
  if (hasHealthCheck(spec) && hasHealthCheck(before) && !spec.healthCheckNodePort && before.healthCheckNodePort) {
    spec.healthCheckNodePort = before.healthCheckNodePort;
  }
}

function dropAddress(spec: ServiceSpec, before: ServiceSpec): void {
  if (hasAddress(spec) || !hasAddress(before)) return;
  if (spec.clusterIP === before.clusterIP && sameItems(spec.clusterIPs, before.clusterIPs)) {
    delete spec.clusterIP;
    delete spec.clusterIPs;
  }
  if (sameItems(spec.ipFamilies, before.ipFamilies)) delete spec.ipFamilies;
  if (spec.ipFamilyPolicy === before.ipFamilyPolicy) delete spec.ipFamilyPolicy;
}

function dropNodePorts(spec: ServiceSpec, before: ServiceSpec): void {
  const had = nodePortsOf(before);
  if (hasNodePorts(before) && !hasNodePorts(spec) && nodePortsOf(spec).every((port) => had.includes(port))) {
    for (const port of spec.ports ?? []) delete port.nodePort;
  }
  const isKept = spec.healthCheckNodePort === before.healthCheckNodePort;
  if (hasHealthCheck(before) && !hasHealthCheck(spec) && isKept) delete spec.healthCheckNodePort;
}

function dropFields(next: Service, old: Service): void {
  const spec = next.spec ?? {};
  const before = old.spec ?? {};
  if (before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts === before.allocateLoadBalancerNodePorts)
      delete spec.allocateLoadBalancerNodePorts;
    if (spec.loadBalancerClass === before.loadBalancerClass) delete spec.loadBalancerClass;
  }
  if (isExternallyReachable(old) && !isExternallyReachable(next)) {
    if (spec.externalTrafficPolicy === before.externalTrafficPolicy) delete spec.externalTrafficPolicy;
  }
  // The balancer's address is given back later; nobody need wait for it.
  if (spec.type !== 'LoadBalancer') next.status = { ...next.status, loadBalancer: {} };
}

function nodePortsOf(spec: ServiceSpec): number[] {
  return (spec.ports ?? []).flatMap(({ nodePort }) => nodePort || []);
}

/** Whether two lists are the same; a list left out is an empty one. */
export function sameItems(a: readonly unknown[] = [], b: readonly unknown[] = []): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
