import { isExternallyReachable } from '../api/defaults/service.ts';
import type { Service, ServiceSpec } from '../api/generated/types.ts';

const hasAddress = (spec: ServiceSpec) => spec.type !== 'ExternalName';
const hasNodePorts = (spec: ServiceSpec) => spec.type === 'NodePort' || spec.type === 'LoadBalancer';
const hasHealthCheck = (spec: ServiceSpec) => spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

/**
 * Makes of an update what its sender means: what was allocated stays when it is left out, as in a manifest applied
 * again; and what belongs to the former type goes with it, unless the sender changed it and so speaks of it.
 */
export function prepareServiceUpdate(next: Service, old: Service): void {
  next.spec ??= {};
  const before = old.spec ?? {};
  keepAddress(next.spec, before);
  keepNodePorts(next.spec, before);
  dropAddress(next.spec, before);
  dropNodePorts(next.spec, before);
  dropFields(next, old);
}

function keepAddress(spec: ServiceSpec, before: ServiceSpec): void {
  if (!hasAddress(spec) || !hasAddress(before)) return;
  if (!spec.clusterIP && !spec.clusterIPs?.length) {
    if (before.clusterIP !== undefined) spec.clusterIP = before.clusterIP;
    if (before.clusterIPs !== undefined) spec.clusterIPs = [...before.clusterIPs];
  }
  if (!spec.ipFamilies?.length && before.ipFamilies !== undefined) spec.ipFamilies = [...before.ipFamilies];
  if (spec.ipFamilyPolicy === undefined && before.ipFamilyPolicy !== undefined)
    spec.ipFamilyPolicy = before.ipFamilyPolicy;
}

function keepNodePorts(spec: ServiceSpec, before: ServiceSpec): void {
  if (hasNodePorts(spec) && hasNodePorts(before)) {
    const known = new Map((before.ports ?? []).map((port) => [`${port.protocol}/${port.port}`, port.nodePort]));
    const named = new Set((spec.ports ?? []).map((port) => port.nodePort));
    for (const port of spec.ports ?? []) {
      const nodePort = known.get(`${port.protocol}/${port.port}`);
      if (!port.nodePort && nodePort !== undefined && !named.has(nodePort)) port.nodePort = nodePort;
    }
  }
  if (hasHealthCheck(spec) && hasHealthCheck(before) && !spec.healthCheckNodePort && before.healthCheckNodePort) {
    spec.healthCheckNodePort = before.healthCheckNodePort;
  }
}

function dropAddress(spec: ServiceSpec, before: ServiceSpec): void {
  if (hasAddress(spec) || !hasAddress(before)) return;
  if (spec.clusterIP === before.clusterIP && same(spec.clusterIPs, before.clusterIPs)) {
    delete spec.clusterIP;
    delete spec.clusterIPs;
  }
  if (same(spec.ipFamilies, before.ipFamilies)) delete spec.ipFamilies;
  if (spec.ipFamilyPolicy === before.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  if (spec.internalTrafficPolicy === before.internalTrafficPolicy) delete spec.internalTrafficPolicy;
}

function dropNodePorts(spec: ServiceSpec, before: ServiceSpec): void {
  const nodePorts = (of: ServiceSpec) => (of.ports ?? []).map((port) => port.nodePort ?? 0);
  if (hasNodePorts(before) && !hasNodePorts(spec) && same(nodePorts(spec), nodePorts(before))) {
    for (const port of spec.ports ?? []) delete port.nodePort;
  }
  const kept = spec.healthCheckNodePort === before.healthCheckNodePort;
  if (hasHealthCheck(before) && !hasHealthCheck(spec) && kept) delete spec.healthCheckNodePort;
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
}

function same(a: readonly unknown[] = [], b: readonly unknown[] = []): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
