import type { Service } from '../generated/types.ts';

const affinityTimeoutSeconds = 10_800;

/** Whether traffic from outside the cluster can be meant for the Service: it has node ports, a balancer or external IPs. */
export function isExternallyReachable(service: Service): boolean {
  const { type, externalIPs = [] } = service.spec ?? {};
  return type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && externalIPs.length > 0);
}

/**
 * Sets in place what core/v1 sets when a Service leaves it open. Addresses, families and node ports are allocation's.
 */
export function defaultService(service: Service): void {
  service.spec ??= {};
  service.status ??= {};
  service.status.loadBalancer ??= {};
  for (const ingress of service.status.loadBalancer.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
  const { spec } = service;
  spec.type ??= 'ClusterIP';
  spec.sessionAffinity ??= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= affinityTimeoutSeconds;
  }
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  if (isExternallyReachable(service)) spec.externalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}
