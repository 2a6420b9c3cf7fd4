import { isProtocol, protocols } from '../../net/port.ts';
import { isExternallyReachable } from '../defaults/service.ts';
import type { FieldErrors } from '../field-error.ts';
import type { Service, ServicePort, ServiceSpec } from '../generated/types.ts';
import { dns1123Label, dns1123Subdomain, ianaServiceName, portNumber, qualifiedName } from '../names.ts';
import { topologyHintsAnnotation as topologyHints, topologyModeAnnotation as topologyMode } from '../well-known.ts';
import { cidrText } from './address-text.ts';
import { validateLoadBalancerStatus } from './load-balancer-status.ts';
import { validateLabels } from './metadata.ts';
import { validateReachableIp } from './reachable-ip.ts';
import { validateClusterIpFields, validateClusterIpUpdate } from './service-cluster-ips.ts';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const affinities = ['ClientIP', 'None'];
const trafficPolicies = ['Cluster', 'Local'];
const trafficDistributions = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];
const maxAffinitySeconds = 86_400;
/** At which nodes' agents listen: a balancer must not lead there from outside. */
const kubeletPort = 10_250;
const sourceRanges = 'service.beta.kubernetes.io/load-balancer-source-ranges';
const onlyForBalancers = "may only be used when `type` is 'LoadBalancer'";

/** Checks a Service with defaults set and addresses allocated. Complaints come in the order Kubernetes has them in. */
export function validateService(service: Service, errors: FieldErrors): void {
  const spec = service.spec ?? {};
  validateTopologyAnnotations(service, errors);
  const isHeadless = spec.clusterIPs?.[0] === 'None';
  if ((spec.ports ?? []).length === 0 && !isHeadless && spec.type !== 'ExternalName') errors.required('spec.ports');
  validateByType(spec, isHeadless, errors);
  validatePorts(spec, errors);
  validateLabels(spec.selector, 'spec.selector', errors);
  validateAffinity(spec, errors);
  validateClusterIpFields(spec, errors);
  for (const [i, text] of (spec.externalIPs ?? []).entries())
    validateReachableIp(text, `spec.externalIPs[${i}]`, errors);
  if (!spec.type) errors.required('spec.type');
  else if (!types.includes(spec.type)) errors.notSupported('spec.type', spec.type, types);
  validateNodePorts(spec, errors);
  validateDuplicatePorts(spec, errors);
  validateSourceRanges(service, errors);
  validateLoadBalancer(spec, errors);
  validateExternalTraffic(service, errors);
  validateInternalTraffic(spec, errors);
}

/** The older annotation still counts; two that contradict each other do not. */
function validateTopologyAnnotations({ metadata }: Service, errors: FieldErrors): void {
  const mode = metadata?.annotations?.[topologyMode];
  const hints = metadata?.annotations?.[topologyHints];
  if (mode === undefined || hints === undefined || mode === hints) return;
  const problem = `must match annotations[${topologyHints}] when both are specified`;
  errors.invalid(`metadata.annotations[${topologyMode}]`, mode, problem);
}

function validateByType(spec: ServiceSpec, isHeadless: boolean, errors: FieldErrors): void {
  if (spec.type === 'LoadBalancer') {
    for (const [i, { port }] of (spec.ports ?? []).entries()) {
      const problem = `may not expose port ${kubeletPort} externally since it is used by kubelet`;
      if (port === kubeletPort) errors.invalid(`spec.ports[${i}]`, port, problem);
    }
  }
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless)
    errors.invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`);
  if (spec.type === 'ExternalName') validateExternalName(spec, errors);
}

function validateExternalName(spec: ServiceSpec, errors: FieldErrors): void {
  for (const field of ['clusterIPs', 'ipFamilies', 'ipFamilyPolicy'] as const)
    if ((spec[field] ?? '').length > 0) errors.forbidden(`spec.${field}`, 'may not be set for ExternalName services');
  // A trailing dot says only that the name is complete.
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  if (name === '') errors.required('spec.externalName');
  else errors.invalidEach('spec.externalName', name, dns1123Subdomain(name));
}

function validatePorts({ ports = [] }: ServiceSpec, errors: FieldErrors): void {
  const names = new Set<string>();
  for (const [i, port] of ports.entries())
    validatePort(port, `spec.ports[${i}]`, { errors, names, nameRequired: ports.length > 1 });
}

interface PortContext {
  readonly errors: FieldErrors;
  /** Of the ports before. */
  readonly names: Set<string>;
  readonly nameRequired: boolean;
}

function validatePort(port: ServicePort, field: string, { errors, names, nameRequired }: PortContext): void {
  if (port.name) {
    errors.invalidEach(`${field}.name`, port.name, dns1123Label(port.name));
    if (names.has(port.name)) errors.duplicate(`${field}.name`, port.name);
    names.add(port.name);
  } else if (nameRequired) errors.required(`${field}.name`);
  errors.invalidEach(`${field}.port`, port.port ?? 0, portNumber(port.port ?? 0));
  if (!port.protocol) errors.required(`${field}.protocol`);
  else if (!isProtocol(port.protocol)) errors.notSupported(`${field}.protocol`, port.protocol, [...protocols].sort());
  const { targetPort } = port;
  if (typeof targetPort === 'number') errors.invalidEach(`${field}.targetPort`, targetPort, portNumber(targetPort));
  else if (targetPort !== undefined) errors.invalidEach(`${field}.targetPort`, targetPort, ianaServiceName(targetPort));
  if (port.appProtocol !== undefined)
    errors.invalidEach(`${field}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol));
}

function validateNodePorts({ type, ports = [] }: ServiceSpec, errors: FieldErrors): void {
  const seen = new Set<string>();
  for (const [i, { nodePort, protocol }] of ports.entries()) {
    if (!nodePort) continue;
    const field = `spec.ports[${i}].nodePort`;
    if (type === 'ClusterIP' || type === 'ExternalName')
      errors.forbidden(field, `may not be used when \`type\` is '${type}'`);
    const key = `${protocol}/${nodePort}`;
    if (seen.has(key)) errors.duplicate(field, nodePort);
    seen.add(key);
  }
}

function validateDuplicatePorts({ ports = [] }: ServiceSpec, errors: FieldErrors): void {
  const seen = new Set<string>();
  for (const [i, { port, protocol }] of ports.entries()) {
    const key = `${protocol}/${port}`;
    // Shown as the structure that Kubernetes compares by, in which no target port is 0.
    if (seen.has(key)) errors.duplicate(`spec.ports[${i}]`, { protocol, port, targetPort: 0 });
    seen.add(key);
  }
}

function validateAffinity({ sessionAffinity, sessionAffinityConfig }: ServiceSpec, errors: FieldErrors): void {
  const field = 'spec.sessionAffinityConfig';
  if (!sessionAffinity) errors.required('spec.sessionAffinity');
  else if (!affinities.includes(sessionAffinity))
    errors.notSupported('spec.sessionAffinity', sessionAffinity, affinities);
  if (sessionAffinity === 'None' && sessionAffinityConfig !== undefined)
    errors.forbidden(field, 'must not be set when session affinity is None');
  if (sessionAffinity !== 'ClientIP') return;
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  const path = `${field}.clientIP.timeoutSeconds`;
  if (seconds === undefined) errors.required(path, 'when session affinity type is ClientIP');
  else if (seconds <= 0 || seconds > maxAffinitySeconds)
    errors.invalid(path, seconds, `must be greater than 0 and less than ${maxAffinitySeconds}`);
}

/** Given as a field, or by an annotation that is older. */
function validateSourceRanges({ metadata, spec = {} }: Service, errors: FieldErrors): void {
  const { type, loadBalancerSourceRanges = [] } = spec;
  const annotation = metadata?.annotations?.[sourceRanges];
  // Kubernetes spells the field so here.
  const field =
    loadBalancerSourceRanges.length > 0 ? 'spec.LoadBalancerSourceRanges' : `metadata.annotations[${sourceRanges}]`;
  if (loadBalancerSourceRanges.length === 0 && annotation === undefined) return;
  if (type !== 'LoadBalancer') errors.forbidden(field, onlyForBalancers);
  const blocks = loadBalancerSourceRanges.map((text, i) => ({ text: text.trim(), path: `${field}[${i}]` }));
  if (blocks.length === 0 && annotation?.trim())
    blocks.push(...annotation.split(',').map((text) => ({ text: text.trim(), path: field })));
  for (const { text, path } of blocks) errors.invalidEach(path, text, cidrText(text));
}

function validateLoadBalancer(spec: ServiceSpec, errors: FieldErrors): void {
  const isBalanced = spec.type === 'LoadBalancer';
  const { allocateLoadBalancerNodePorts: allocates, loadBalancerClass } = spec;
  if (allocates !== undefined && !isBalanced) errors.forbidden('spec.allocateLoadBalancerNodePorts', onlyForBalancers);
  if (allocates === undefined && isBalanced) errors.required('spec.allocateLoadBalancerNodePorts');
  if (loadBalancerClass === undefined) return;
  if (isBalanced) errors.invalidEach('spec.loadBalancerClass', loadBalancerClass, qualifiedName(loadBalancerClass));
  else errors.forbidden('spec.loadBalancerClass', onlyForBalancers);
}

function validateExternalTraffic(service: Service, errors: FieldErrors): void {
  const { externalTrafficPolicy: policy, healthCheckNodePort, type } = service.spec ?? {};
  const field = 'spec.externalTrafficPolicy';
  if (!isExternallyReachable(service)) {
    if (policy) errors.invalid(field, policy, 'may only be set for externally-accessible services');
  } else if (!policy) errors.required(field);
  else if (!trafficPolicies.includes(policy)) errors.notSupported(field, policy, trafficPolicies);
  if (type === 'LoadBalancer' && policy === 'Local') {
    if (!healthCheckNodePort) errors.required('spec.healthCheckNodePort');
    else errors.invalidEach('spec.healthCheckNodePort', healthCheckNodePort, portNumber(healthCheckNodePort));
  } else if (healthCheckNodePort) {
    errors.invalid(
      'spec.healthCheckNodePort',
      healthCheckNodePort,
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    );
  }
}

function validateInternalTraffic(spec: ServiceSpec, errors: FieldErrors): void {
  const { internalTrafficPolicy: policy, trafficDistribution, type } = spec;
  const field = 'spec.internalTrafficPolicy';
  if (policy === undefined) {
    if (type === 'ClusterIP' || type === 'NodePort' || type === 'LoadBalancer') errors.required(field);
  } else if (!trafficPolicies.includes(policy)) errors.notSupported(field, policy, trafficPolicies);
  if (trafficDistribution !== undefined && !trafficDistributions.includes(trafficDistribution))
    errors.notSupported('spec.trafficDistribution', trafficDistribution, trafficDistributions);
}

/** The fields that stay once set, as long as the Service's type keeps them. */
export function validateServiceUpdate(next: Service, old: Service, errors: FieldErrors): void {
  validateLoadBalancerStatus(next, old, errors);
  const spec = next.spec ?? {};
  const before = old.spec ?? {};
  validateClusterIpUpdate(spec, before, errors);
  const isBalanced = spec.type === 'LoadBalancer' && before.type === 'LoadBalancer';
  if (isBalanced && spec.loadBalancerClass !== before.loadBalancerClass)
    errors.invalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set');
  const keepsHealthCheck = spec.externalTrafficPolicy === 'Local' && before.externalTrafficPolicy === 'Local';
  if (isBalanced && keepsHealthCheck && spec.healthCheckNodePort !== before.healthCheckNodePort)
    errors.forbidden('spec.healthCheckNodePort', 'field is immutable');
}
