import { describe, expect, it } from 'vitest';
import type { ServiceSpec } from '../generated/types.ts';
import { serviceWarnings } from './service-warnings.ts';

const ordinary: ServiceSpec = { type: 'ClusterIP', clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'] };
const headless: ServiceSpec = { type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'], sessionAffinity: 'None' };

describe('serviceWarnings', () => {
  it.each<[string, ServiceSpec, readonly string[]]>([
    ['an ordinary Service', ordinary, []],
    ['a headless one', headless, []],
    [
      'a headless one with what needs an address',
      { ...headless, sessionAffinity: 'ClientIP', loadBalancerIP: '192.0.2.1', externalIPs: ['192.0.2.2'] },
      [
        'spec.loadBalancerIP is ignored for headless services',
        'spec.externalIPs is ignored for headless services',
        'spec.SessionAffinity is ignored for headless services',
        'spec.externalIPs is deprecated',
      ],
    ],
    [
      'an alias with external IPs',
      { type: 'ExternalName', externalName: 'example.com', externalIPs: ['192.0.2.2'] },
      ['spec.externalIPs is deprecated', 'spec.externalIPs is ignored when spec.type is "ExternalName"'],
    ],
    [
      'a name for what has an address',
      { ...ordinary, externalName: 'example.com' },
      ['spec.externalName is ignored when spec.type is not "ExternalName"'],
    ],
    [
      'an older word',
      { ...ordinary, trafficDistribution: 'PreferClose' },
      ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
    ],
    [
      'another spelling of addresses',
      {
        ...ordinary,
        clusterIPs: ['10.96.0.7', 'FD00::1'],
        loadBalancerIP: '2001:db8:0::1',
        loadBalancerSourceRanges: ['2001:DB8::/64', '192.0.2.0/24'],
      },
      [
        'spec.clusterIPs[1]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
        'spec.loadBalancerIP: IPv6 address "2001:db8:0::1" should be in RFC 5952 canonical format ("2001:db8::1")',
        'spec.loadBalancerSourceRanges[0]: IPv6 CIDR value "2001:DB8::/64" should be in RFC 5952 canonical format ("2001:db8::/64")',
      ],
    ],
  ])('tells of %s what may surprise', (_, spec, warnings) => {
    expect(serviceWarnings({ spec })).toEqual(warnings);
  });

  it('tells of an annotation that has another name now', () => {
    const annotations = { 'service.kubernetes.io/topology-aware-hints': 'auto' };
    expect(serviceWarnings({ metadata: { annotations }, spec: ordinary })).toEqual([
      'annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead',
    ]);
  });
});
