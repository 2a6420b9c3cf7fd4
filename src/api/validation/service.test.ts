import { describe, expect, test } from 'vitest';
import { defaultService } from '../defaults/service.ts';
import { FieldErrors } from '../field-error.ts';
import type { LoadBalancerIngress, Service, ServiceSpec } from '../generated/types.ts';
import { validateService, validateServiceUpdate } from './service.ts';

const long = 'a'.repeat(64);
const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const notIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const notCidr = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
const topology = 'service.kubernetes.io/topology-';
const ranges = 'service.beta.kubernetes.io/load-balancer-source-ranges';

/** A Service as it is after defaults and allocation. */
function complete(spec: ServiceSpec, annotations: Record<string, string> = {}): Service {
  const service: Service = {
    metadata: { name: 'x', namespace: 'default', annotations },
    spec: { ports: [{ port: 80 }], ...structuredClone(spec) },
  };
  defaultService(service);
  return service;
}
const allocated: ServiceSpec = {
  clusterIP: '10.96.0.5',
  clusterIPs: ['10.96.0.5'],
  ipFamilies: ['IPv4'],
  ipFamilyPolicy: 'SingleStack',
};
const balanced: ServiceSpec = { ...allocated, type: 'LoadBalancer' };
const external: ServiceSpec = { type: 'ExternalName', externalName: 'example.com' };
const affine = (timeoutSeconds: number): ServiceSpec => ({
  ...allocated,
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds } },
});
const ports = (...all: object[]): ServiceSpec => ({ ...allocated, ports: all as ServiceSpec['ports'] & object });
const dual = (clusterIPs: string[], ipFamilies: string[]): ServiceSpec => ({
  clusterIP: clusterIPs[0] ?? '',
  clusterIPs,
  ipFamilies,
  ipFamilyPolicy: 'RequireDualStack',
});

function said(errors: FieldErrors): string[] {
  return errors.list.map(({ field, message }) => `${field}: ${message}`);
}

describe('validateService', () => {
  test.each<[string, ServiceSpec]>([
    ['one port', allocated],
    ['two ports with names', ports({ name: 'a', port: 1 }, { name: 'b', port: 2 })],
    ['one number by two protocols', ports({ name: 'a', port: 53 }, { name: 'b', port: 53, protocol: 'UDP' })],
    ['a target by name', ports({ port: 80, targetPort: 'http' })],
    ['a protocol of the application', ports({ port: 80, appProtocol: 'kubernetes.io/h2c' })],
    ['headless without ports', { ports: [], clusterIP: 'None', clusterIPs: ['None'] }],
    ['ExternalName without ports', { ...external, ports: [] }],
    ['ExternalName with the dot at the end', { ...external, externalName: 'example.com.' }],
    ['the longest affinity', affine(86_400)],
    ['two families', dual(['10.96.0.5', 'fd00::5'], ['IPv4', 'IPv6'])],
    ['external addresses', { ...allocated, externalIPs: ['192.0.2.1', '2001:db8::1'] }],
    ['ranges with blanks around', { ...balanced, loadBalancerSourceRanges: [' 192.0.2.0/24 ', '2001:db8::/64'] }],
    ['a class', { ...balanced, loadBalancerClass: 'example.com/fast' }],
    ['a local balancer', { ...balanced, externalTrafficPolicy: 'Local', healthCheckNodePort: 30_001 }],
    ['a distribution', { ...allocated, trafficDistribution: 'PreferSameZone' }],
    ['not ready addresses', { ...allocated, publishNotReadyAddresses: true }],
  ])('accepts %s', (_, spec) => {
    const errors = new FieldErrors();
    validateService(complete(spec), errors);
    expect(said(errors)).toEqual([]);
  });

  test.each<[ServiceSpec, ...string[]]>([
    [{ ...allocated, ports: [] }, 'spec.ports: Required value'],
    [
      { ...allocated, type: 'Odd' },
      'spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
    // Ports.
    [ports({ port: 80 }, { name: 'b', port: 81 }), 'spec.ports[0].name: Required value'],
    [ports({ name: 'A', port: 80 }), `spec.ports[0].name: Invalid value: "A": ${label}`],
    [ports({ name: long, port: 80 }), `spec.ports[0].name: Invalid value: "${long}": must be no more than 63 bytes`],
    [ports({ name: 'a', port: 1 }, { name: 'a', port: 2 }), 'spec.ports[1].name: Duplicate value: "a"'],
    [ports({ port: 0, targetPort: 1 }), 'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
    [
      ports({ port: 80, protocol: 'ICMP' }),
      'spec.ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      ports({ port: 80, targetPort: 65_536 }),
      'spec.ports[0].targetPort: Invalid value: 65536: must be between 1 and 65535, inclusive',
    ],
    [
      ports({ port: 80, targetPort: 'a--b' }),
      'spec.ports[0].targetPort: Invalid value: "a--b": must not contain consecutive hyphens',
    ],
    [
      ports({ port: 80, targetPort: '80' }),
      'spec.ports[0].targetPort: Invalid value: "80": must contain at least one letter (a-z)',
    ],
    [
      ports({ port: 80, targetPort: 'sixteen-letters-' }),
      'spec.ports[0].targetPort: Invalid value: "sixteen-letters-": must be no more than 15 characters',
      'spec.ports[0].targetPort: Invalid value: "sixteen-letters-": must not begin or end with a hyphen',
    ],
    [
      ports({ name: 'a', port: 80 }, { name: 'b', port: 80 }),
      'spec.ports[1]: Duplicate value: {"protocol":"TCP","port":80,"targetPort":0}',
    ],
    [
      ports({ port: 80, nodePort: 30_000 }),
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ],
    [
      {
        ...ports({ name: 'a', port: 1, nodePort: 30_000 }, { name: 'b', port: 2, nodePort: 30_000 }),
        type: 'NodePort',
      },
      'spec.ports[1].nodePort: Duplicate value: 30000',
    ],
    [
      { ...balanced, ports: [{ port: 10_250 }] },
      'spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet',
    ],
    // Addresses and families.
    [
      { ...allocated, clusterIP: 'None', clusterIPs: ['None'], type: 'NodePort' },
      'spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services',
    ],
    [
      { ...allocated, clusterIPs: ['10.96.0.6'] },
      'spec.clusterIPs: Invalid value: ["10.96.0.6"]: first value must match `clusterIP`',
    ],
    [
      { ...allocated, clusterIP: '' },
      'spec.clusterIPs: Invalid value: ["10.96.0.5"]: must be empty when `clusterIP` is not specified',
    ],
    [{ clusterIP: '10.96.0.5' }, 'spec.clusterIPs: Required value'],
    [
      { ...allocated, clusterIP: '10.96.0.05', clusterIPs: ['10.96.0.05'] },
      'spec.clusterIPs[0]: Invalid value: "10.96.0.05": must not have leading 0s',
    ],
    [
      dual(['None', 'fd00::5'], ['IPv4', 'IPv6']),
      'spec.clusterIPs: Invalid value: ["None","fd00::5"]: \'None\' must be the first and only value',
    ],
    [
      dual(['10.96.0.5', '10.96.0.6'], ['IPv4', 'IPv6']),
      'spec.clusterIPs: Invalid value: ["10.96.0.5","10.96.0.6"]: may specify no more than one IP for each IP family',
      'spec.clusterIPs[1]: Invalid value: "10.96.0.6": expected an IPv6 value as indicated by `ipFamilies[1]`',
    ],
    [
      dual(['10.96.0.5', 'fd00::5', 'fd00::6'], ['IPv4']),
      'spec.clusterIPs: Invalid value: ["10.96.0.5","fd00::5","fd00::6"]: may only hold up to 2 values',
    ],
    [
      { ...allocated, ipFamilies: ['IPv5'] },
      'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"',
    ],
    [{ ...allocated, ipFamilies: ['IPv4', 'IPv4'] }, 'spec.ipFamilies[1]: Duplicate value: "IPv4"'],
    [
      { ...allocated, ipFamilyPolicy: 'Both' },
      'spec.ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
    ],
    [
      { ...external, ...allocated },
      'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
      'spec.ipFamilies: Forbidden: may not be set for ExternalName services',
      'spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services',
    ],
    [{ ...external, externalName: '' }, 'spec.externalName: Required value'],
    [
      { ...allocated, externalIPs: ['x', '127.0.0.1', '0.0.0.0', '169.254.1.1', '224.0.0.1', 'febf::1', 'ff02:0:1::'] },
      `spec.externalIPs[0]: Invalid value: "x": ${notIp}`,
      'spec.externalIPs[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
      'spec.externalIPs[2]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)',
      'spec.externalIPs[3]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
      'spec.externalIPs[4]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
      'spec.externalIPs[5]: Invalid value: "febf::1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
      'spec.externalIPs[6]: Invalid value: "ff02:0:1::": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
    ],
    // Affinity and traffic.
    [
      { ...allocated, sessionAffinity: 'Cookie' },
      'spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"',
    ],
    [
      affine(0),
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400',
    ],
    [
      affine(86_401),
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400',
    ],
    [
      { ...allocated, externalTrafficPolicy: 'Local' },
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ],
    [
      { ...balanced, externalTrafficPolicy: 'Near' },
      'spec.externalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"',
    ],
    [
      { ...allocated, internalTrafficPolicy: 'Near' },
      'spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"',
    ],
    [
      { ...allocated, trafficDistribution: 'Near' },
      'spec.trafficDistribution: Unsupported value: "Near": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"',
    ],
    [
      { ...balanced, healthCheckNodePort: 30_001 },
      "spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    ],
    [{ ...balanced, externalTrafficPolicy: 'Local' }, 'spec.healthCheckNodePort: Required value'],
    // Balancers.
    [
      { ...allocated, loadBalancerSourceRanges: ['192.0.2.0/24'] },
      "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
    [
      { ...balanced, loadBalancerSourceRanges: ['192.0.2.0/24', '192.0.2.1'] },
      `spec.LoadBalancerSourceRanges[1]: Invalid value: "192.0.2.1": ${notCidr}`,
    ],
    [
      { ...allocated, allocateLoadBalancerNodePorts: true, loadBalancerClass: 'a/b' },
      "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
      "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
    ],
    [
      { ...balanced, loadBalancerClass: '' },
      'spec.loadBalancerClass: Invalid value: "": name part must be non-empty',
      expect.stringContaining(
        'spec.loadBalancerClass: Invalid value: "": name part must consist of',
      ) as unknown as string,
    ],
    [
      { ...allocated, selector: { 'a b': 'c' } },
      expect.stringContaining('spec.selector: Invalid value: "a b": name part must consist of') as unknown as string,
    ],
  ])('refuses %j', (spec, ...problems) => {
    const errors = new FieldErrors();
    validateService(complete(spec), errors);
    expect(said(errors)).toEqual(problems);
  });

  test.each<[Record<string, string>, ServiceSpec, ...string[]]>([
    [
      { [`${topology}mode`]: 'Auto', [`${topology}aware-hints`]: 'disabled' },
      allocated,
      `metadata.annotations[${topology}mode]: Invalid value: "Auto": must match annotations[${topology}aware-hints] when both are specified`,
    ],
    [{ [`${topology}mode`]: 'Auto', [`${topology}aware-hints`]: 'Auto' }, allocated],
    [
      { [ranges]: '192.0.2.0/24' },
      allocated,
      `metadata.annotations[${ranges}]: Forbidden: may only be used when \`type\` is 'LoadBalancer'`,
    ],
    [{ [ranges]: '192.0.2.0/24, x' }, balanced, `metadata.annotations[${ranges}]: Invalid value: "x": ${notCidr}`],
    [{ [ranges]: ' ' }, balanced],
  ])('of annotations %j says', (annotations, spec, ...problems) => {
    const errors = new FieldErrors();
    validateService(complete(spec, annotations), errors);
    expect(said(errors)).toEqual(problems);
  });
});

describe('validateServiceUpdate', () => {
  const headless: ServiceSpec = { ...allocated, clusterIP: 'None', clusterIPs: ['None'] };
  const both = dual(['10.96.0.5', 'fd00::5'], ['IPv4', 'IPv6']);
  const six: ServiceSpec = { ...allocated, clusterIP: 'fd00::5', clusterIPs: ['fd00::5'], ipFamilies: ['IPv6'] };
  const local = { ...balanced, externalTrafficPolicy: 'Local', healthCheckNodePort: 30_001 };
  test.each<[string, ServiceSpec, ServiceSpec, ...string[]]>([
    ['nothing', allocated, allocated],
    ['a second family', allocated, both],
    ['one family less', both, allocated],
    ['to ExternalName', allocated, external],
    ['from ExternalName', external, six],
    ['families of a headless Service', headless, { ...headless, ipFamilies: ['IPv6'] }],
    ['a class with the type', allocated, { ...balanced, loadBalancerClass: 'a/b' }],
    ['the health check with the policy', balanced, local],
    [
      'another address',
      allocated,
      { ...allocated, clusterIP: '10.96.0.6', clusterIPs: ['10.96.0.6'] },
      'spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set',
    ],
    [
      'another family',
      allocated,
      six,
      'spec.clusterIPs[0]: Invalid value: ["fd00::5"]: may not change once set',
      'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set',
    ],
    ['to headless', allocated, headless, 'spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set'],
    ['from headless', headless, allocated, 'spec.clusterIPs[0]: Invalid value: ["10.96.0.5"]: may not change once set'],
    [
      'one less against the policy',
      both,
      { ...allocated, ipFamilyPolicy: 'PreferDualStack' },
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary clusterIP',
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to \'SingleStack\' when releasing the secondary ipFamily',
    ],
    [
      'the class',
      { ...balanced, loadBalancerClass: 'a/b' },
      { ...balanced, loadBalancerClass: 'a/c' },
      'spec.loadBalancerClass: Invalid value: "a/c": may not change once set',
    ],
    [
      'the class away',
      { ...balanced, loadBalancerClass: 'a/b' },
      balanced,
      'spec.loadBalancerClass: Invalid value: null: may not change once set',
    ],
    [
      'the health check port',
      local,
      { ...local, healthCheckNodePort: 30_002 },
      'spec.healthCheckNodePort: Forbidden: field is immutable',
    ],
  ])('on a change of %s says', (_, before, after, ...problems) => {
    const errors = new FieldErrors();
    validateServiceUpdate(complete(after), complete(before), errors);
    expect(said(errors)).toEqual(problems);
  });

  test.each<[ServiceSpec, LoadBalancerIngress, ...string[]]>([
    [balanced, { ip: '192.0.2.1' }],
    [balanced, { ip: '192.0.2.1', ipMode: 'Proxy' }],
    [balanced, { hostname: 'lb.example.com' }],
    [
      allocated,
      { ip: '192.0.2.1' },
      'status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "LoadBalancer"',
    ],
    [
      balanced,
      { hostname: 'a', ipMode: 'VIP' },
      'status.loadBalancer.ingress[0].ipMode: Forbidden: may not be specified when `ip` is not set',
    ],
    [balanced, { ip: '1.2.3' }, `status.loadBalancer.ingress[0].ip: Invalid value: "1.2.3": ${notIp}`],
    [
      balanced,
      { hostname: '192.0.2.1' },
      'status.loadBalancer.ingress[0].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address',
    ],
  ])('of a %j balanced at %j says', (spec, ingress, ...problems) => {
    const next = complete(spec);
    next.status = { loadBalancer: { ingress: [ingress] } };
    defaultService(next);
    const errors = new FieldErrors();
    validateServiceUpdate(next, complete(spec), errors);
    expect(said(errors)).toEqual(problems);
  });
});

describe('defaultService', () => {
  test.each<[ServiceSpec, ServiceSpec]>([
    [{}, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' }],
    [
      { type: '', sessionAffinity: '' },
      { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' },
    ],
    [external, { ...external, sessionAffinity: 'None' }],
    [
      { externalIPs: ['192.0.2.1'] },
      {
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        externalIPs: ['192.0.2.1'],
        externalTrafficPolicy: 'Cluster',
      },
    ],
    [
      { type: 'LoadBalancer' },
      {
        type: 'LoadBalancer',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        externalTrafficPolicy: 'Cluster',
        allocateLoadBalancerNodePorts: true,
      },
    ],
    [
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: {} } },
      {
        type: 'ClusterIP',
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
        internalTrafficPolicy: 'Cluster',
      },
    ],
    [
      { sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } },
      { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' },
    ],
    [
      {
        ports: [
          { port: 80, targetPort: 0 },
          { port: 81, targetPort: '', protocol: 'UDP' },
          { port: 82, targetPort: 'x' },
        ],
      },
      {
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ports: [
          { port: 80, targetPort: 80, protocol: 'TCP' },
          { port: 81, targetPort: 81, protocol: 'UDP' },
          { port: 82, targetPort: 'x', protocol: 'TCP' },
        ],
      },
    ],
  ])('makes of %j', (given, expected) => {
    const service: Service = { spec: structuredClone(given) };
    defaultService(service);
    expect(service.spec).toEqual(expected);
  });
});
