import type { Service, ServiceSpec } from '../generated/types.ts';

const affinityTimeoutSeconds = 10_800;

/** Whether traffic from outside the cluster can be meant for the Service: it has node ports, a balancer or external IPs. */
export function isExternallyReachable(service: Service): boolean {
  const { type, externalIPs = [] } = service.spec ?? {};
  return type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0);
}

/**
 * Sets in place what core/v1 sets when a Service leaves it open, or empty. Addresses, families and node ports are
 * allocation's.
 */
export function defaultService(service: Service): void {
  service.spec ??= {};
  service.status ??= {};
  service.status.loadBalancer ??= {};
  const { spec } = service;
  spec.type ||= 'ClusterIP';
  defaultAffinity(spec);
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    port.targetPort ||= port.port;
  }
  if (isExternallyReachable(service)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'LoadBalancer') return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of service.status.loadBalancer.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
}

function defaultAffinity(spec: ServiceSpec): void {
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity !== 'ClientIP') return;
  spec.sessionAffinityConfig ??= {};
  spec.sessionAffinityConfig.clientIP ??= {};
  spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= affinityTimeoutSeconds;
}
