import { parseCidr } from '../../net/cidr.ts';
import { tryParseIp } from '../../net/ip.ts';
import { isProtocol, protocols } from '../../net/port.ts';
import { isExternallyReachable } from '../defaults/service.ts';
import type { FieldErrors } from '../field-error.ts';
import type { Service, ServicePort, ServiceSpec } from '../generated/types.ts';
import { dns1123Label, dns1123Subdomain, ianaServiceName, portNumber, qualifiedName } from '../names.ts';
import { validateLoadBalancerStatus } from './load-balancer-status.ts';
import { validateLabels } from './metadata.ts';
import { validateReachableIp } from './reachable-ip.ts';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const maxAffinitySeconds = 86_400;

/** Checks a Service with defaults set and addresses allocated. */
export function validateService(service: Service, errors: FieldErrors): void {
  const spec = service.spec ?? {};
  const headless = spec.clusterIP === 'None';
  if (spec.type === undefined || spec.type === '') errors.required('spec.type');
  else if (!types.includes(spec.type)) errors.notSupported('spec.type', spec.type, types);
  if ((spec.ports ?? []).length === 0 && !headless && spec.type !== 'ExternalName') errors.required('spec.ports');
  validateByType(spec, headless, errors);
  validatePorts(spec, errors);
  validateLabels(spec.selector, 'spec.selector', errors);
  validateAffinity(spec, errors);
  validateClusterIps(spec, errors);
  validateExternalIps(spec, errors);
  validateTrafficPolicies(service, errors);
  validateLoadBalancer(spec, errors);
}

function validateByType(spec: ServiceSpec, headless: boolean, errors: FieldErrors): void {
  if (spec.type === 'LoadBalancer' && headless) {
    errors.invalid('spec.clusterIPs', spec.clusterIPs, "may not be set to 'None' for LoadBalancer services");
  }
  if (spec.type === 'NodePort' && headless) {
    errors.invalid('spec.clusterIPs', spec.clusterIPs, "may not be set to 'None' for NodePort services");
  }
  if (spec.type === 'ExternalName') {
    for (const field of ['clusterIPs', 'ipFamilies', 'ipFamilyPolicy'] as const) {
      const value = spec[field];
      if (value !== undefined && value.length > 0)
        errors.forbidden(`spec.${field}`, 'may not be set for ExternalName services');
    }
    if (spec.externalName === undefined || spec.externalName === '') errors.required('spec.externalName');
    else
      errors.invalidEach(
        'spec.externalName',
        spec.externalName,
        dns1123Subdomain(spec.externalName.replace(/\.$/, '')),
      );
  }
}

function validatePorts(spec: ServiceSpec, errors: FieldErrors): void {
  const ports = spec.ports ?? [];
  const names = new Set<string>();
  const portProtocols = new Set<string>();
  const nodePorts = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const field = `spec.ports[${i}]`;
    validatePort(port, field, { errors, nameRequired: ports.length > 1 });
    if (port.name !== undefined && port.name !== '') {
      if (names.has(port.name)) errors.duplicate(`${field}.name`, port.name);
      names.add(port.name);
    }
    const key = `${port.protocol}/${port.port}`;
    if (portProtocols.has(key)) errors.duplicate(field, { port: port.port, protocol: port.protocol, targetPort: 0 });
    portProtocols.add(key);
    if (port.nodePort === undefined || port.nodePort === 0) continue;
    if (spec.type === 'ClusterIP' || spec.type === 'ExternalName') {
      errors.forbidden(`${field}.nodePort`, `may not be used when \`type\` is '${spec.type}'`);
    }
    const nodeKey = `${port.protocol}/${port.nodePort}`;
    if (nodePorts.has(nodeKey)) errors.duplicate(`${field}.nodePort`, port.nodePort);
    nodePorts.add(nodeKey);
  }
}

function validatePort(
  port: ServicePort,
  field: string,
  { errors, nameRequired }: { readonly errors: FieldErrors; readonly nameRequired: boolean },
): void {
  if (port.name === undefined || port.name === '') {
    if (nameRequired) errors.required(`${field}.name`);
  } else errors.invalidEach(`${field}.name`, port.name, dns1123Label(port.name));
  errors.invalidEach(`${field}.port`, port.port ?? 0, portNumber(port.port ?? 0));
  if (port.protocol === undefined || port.protocol === '') errors.required(`${field}.protocol`);
  else if (!isProtocol(port.protocol)) errors.notSupported(`${field}.protocol`, port.protocol, [...protocols].sort());
  const { targetPort } = port;
  if (typeof targetPort === 'number') errors.invalidEach(`${field}.targetPort`, targetPort, portNumber(targetPort));
  else if (targetPort !== undefined) errors.invalidEach(`${field}.targetPort`, targetPort, ianaServiceName(targetPort));
  if (port.appProtocol !== undefined)
    errors.invalidEach(`${field}.appProtocol`, port.appProtocol, qualifiedName(port.appProtocol));
}

function validateAffinity(spec: ServiceSpec, errors: FieldErrors): void {
  const { sessionAffinity, sessionAffinityConfig } = spec;
  if (sessionAffinity !== 'None' && sessionAffinity !== 'ClientIP') {
    errors.notSupported('spec.sessionAffinity', sessionAffinity ?? '', ['ClientIP', 'None']);
  }
  const seconds = sessionAffinityConfig?.clientIP?.timeoutSeconds;
  if (sessionAffinity === 'ClientIP' && seconds !== undefined && (seconds <= 0 || seconds > maxAffinitySeconds)) {
    errors.invalid(
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds',
      seconds,
      `must be greater than 0 and less than ${maxAffinitySeconds}`,
    );
  }
}

function validateClusterIps(spec: ServiceSpec, errors: FieldErrors): void {
  const ips = spec.clusterIPs ?? [];
  const first = spec.clusterIP ?? '';
  if (ips.length > 0 && ips[0] !== first) {
    errors.invalid('spec.clusterIPs', ips, 'first value must match `clusterIP`');
  }
  if (ips.length > 2) errors.tooMany('spec.clusterIPs', ips.length, 2);
  for (const [i, ip] of ips.entries()) {
    if (ip === 'None' && ips.length > 1) {
      errors.invalid(`spec.clusterIPs[${i}]`, ip, "'None' must be the first and only value");
    } else if (ip !== 'None' && tryParseIp(ip) === undefined) {
      errors.invalid(`spec.clusterIPs[${i}]`, ip, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
    }
  }
  validateFamilies(spec, errors);
}

function validateFamilies(spec: ServiceSpec, errors: FieldErrors): void {
  const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
  if (spec.ipFamilyPolicy !== undefined && !policies.includes(spec.ipFamilyPolicy)) {
    errors.notSupported('spec.ipFamilyPolicy', spec.ipFamilyPolicy, policies);
  }
  const families = spec.ipFamilies ?? [];
  for (const [i, family] of families.entries()) {
    if (family !== 'IPv4' && family !== 'IPv6') errors.notSupported(`spec.ipFamilies[${i}]`, family, ['IPv4', 'IPv6']);
    if (families.indexOf(family) < i) errors.duplicate(`spec.ipFamilies[${i}]`, family);
  }
}

function validateExternalIps(spec: ServiceSpec, errors: FieldErrors): void {
  for (const [i, text] of (spec.externalIPs ?? []).entries())
    validateReachableIp(text, `spec.externalIPs[${i}]`, errors);
}

function validateTrafficPolicies(service: Service, errors: FieldErrors): void {
  const spec = service.spec ?? {};
  const values = ['Cluster', 'Local'];
  const { externalTrafficPolicy, internalTrafficPolicy, healthCheckNodePort, trafficDistribution } = spec;
  if (externalTrafficPolicy !== undefined && externalTrafficPolicy !== '') {
    if (!isExternallyReachable(service)) {
      errors.invalid(
        'spec.externalTrafficPolicy',
        externalTrafficPolicy,
        'may only be set for externally-accessible services',
      );
    } else if (!values.includes(externalTrafficPolicy)) {
      errors.notSupported('spec.externalTrafficPolicy', externalTrafficPolicy, values);
    }
  }
  if (internalTrafficPolicy !== undefined && !values.includes(internalTrafficPolicy)) {
    errors.notSupported('spec.internalTrafficPolicy', internalTrafficPolicy, values);
  }
  const needsHealthCheck = spec.type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
  if (healthCheckNodePort !== undefined && healthCheckNodePort !== 0 && !needsHealthCheck) {
    errors.invalid(
      'spec.healthCheckNodePort',
      healthCheckNodePort,
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    );
  }
  const distributions = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];
  if (trafficDistribution !== undefined && !distributions.includes(trafficDistribution)) {
    errors.notSupported('spec.trafficDistribution', trafficDistribution, distributions);
  }
}

function validateLoadBalancer(spec: ServiceSpec, errors: FieldErrors): void {
  if ((spec.loadBalancerSourceRanges ?? []).length > 0 && spec.type !== 'LoadBalancer') {
    errors.forbidden('spec.LoadBalancerSourceRanges', "may only be used when `type` is 'LoadBalancer'");
  }
  for (const [i, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    if (!isCidr(range.trim())) {
      errors.invalid(
        `spec.loadBalancerSourceRanges[${i}]`,
        range,
        'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      );
    }
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined && spec.type !== 'LoadBalancer') {
    errors.forbidden('spec.allocateLoadBalancerNodePorts', "may only be used when `type` is 'LoadBalancer'");
  }
  if (spec.loadBalancerClass !== undefined) {
    if (spec.type !== 'LoadBalancer') {
      errors.forbidden('spec.loadBalancerClass', "may only be used when `type` is 'LoadBalancer'");
    }
    errors.invalidEach('spec.loadBalancerClass', spec.loadBalancerClass, qualifiedName(spec.loadBalancerClass));
  }
}

function isCidr(text: string): boolean {
  try {
    parseCidr(text);
    return true;
  } catch {
    return false;
  }
}

/** The fields that stay once set, as long as the Service's type keeps them. */
export function validateServiceUpdate(next: Service, old: Service, errors: FieldErrors): void {
  validateLoadBalancerStatus(next, old, errors);
  const spec = next.spec ?? {};
  const before = old.spec ?? {};
  const keepsAddress = spec.type !== 'ExternalName' && before.type !== 'ExternalName';
  if (
    keepsAddress &&
    before.clusterIP !== undefined &&
    before.clusterIP !== '' &&
    spec.clusterIP !== before.clusterIP
  ) {
    errors.invalid('spec.clusterIPs[0]', spec.clusterIPs ?? [spec.clusterIP], 'may not change once set');
  }
  if (keepsAddress && before.ipFamilies?.[0] !== undefined && spec.ipFamilies?.[0] !== before.ipFamilies[0]) {
    errors.invalid('spec.ipFamilies[0]', spec.ipFamilies, 'may not change once set');
  }
  const hadHealthCheck = before.type === 'LoadBalancer' && before.externalTrafficPolicy === 'Local';
  const hasHealthCheck = spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
  if (hadHealthCheck && hasHealthCheck && spec.healthCheckNodePort !== before.healthCheckNodePort) {
    errors.forbidden('spec.healthCheckNodePort', 'field is immutable');
  }
  if (
    before.type === 'LoadBalancer' &&
    spec.type === 'LoadBalancer' &&
    spec.loadBalancerClass !== before.loadBalancerClass
  ) {
    errors.invalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set');
  }
}
