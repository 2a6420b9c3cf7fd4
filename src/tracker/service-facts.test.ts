import { describe, expect, it } from 'vitest';
import type { Service, ServiceSpec } from '../api/generated/types.ts';
import { readService } from './service-facts.ts';

function service(spec: ServiceSpec, rest: Partial<Service> = {}): Service {
  return {
    metadata: { namespace: 'default', name: 'hello', creationTimestamp: '2026-01-02T03:04:05Z' },
    spec: { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'], ports: [{ port: 80 }], ...spec },
    ...rest,
  };
}

describe('readService', () => {
  it('reads what a plain Service says, with the defaults of the API', () => {
    expect(readService(service({}))).toEqual({
      key: 'default/hello',
      created: Date.UTC(2026, 0, 2, 3, 4, 5),
      clusterIps: ['10.96.0.7'],
      externalIps: [],
      loadBalancerIps: [],
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Cluster',
      ports: [{ name: '', protocol: 'TCP', port: 80 }],
    });
  });

  it('reads both families, node ports, external addresses and policies', () => {
    const facts = readService(
      service(
        {
          clusterIPs: ['10.96.0.7', 'fd00:10:96::7'],
          externalIPs: ['192.168.102.4'],
          externalTrafficPolicy: 'Local',
          internalTrafficPolicy: 'Local',
          loadBalancerSourceRanges: [' 10.0.0.0/8'],
          ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 }],
        },
        { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { ip: '192.0.2.2', ipMode: 'Proxy' }, {}] } } },
      ),
    );
    expect(facts).toMatchObject({
      clusterIps: ['10.96.0.7', 'fd00:10:96::7'],
      externalIps: ['192.168.102.4'],
      loadBalancerIps: ['192.0.2.1'],
      sourceRanges: [{ family: 'IPv4', base: '10.0.0.0', prefix: 8 }],
      internalTrafficPolicy: 'Local',
      externalTrafficPolicy: 'Local',
      ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 }],
    });
  });

  it('reads session affinity with its time-out, three hours by default', () => {
    expect(readService(service({ sessionAffinity: 'ClientIP' }))?.affinitySeconds).toBe(10_800);
    const sessionAffinityConfig = { clientIP: { timeoutSeconds: 60 } };
    expect(readService(service({ sessionAffinity: 'ClientIP', sessionAffinityConfig }))?.affinitySeconds).toBe(60);
    expect(readService(service({ sessionAffinity: 'None', sessionAffinityConfig }))?.affinitySeconds).toBeUndefined();
  });

  it('reads the health-check node port of a balancer that has to choose nodes', () => {
    const balanced = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } as const;
    expect(readService(service(balanced))?.healthCheckNodePort).toBe(32_000);
    for (const other of [{ type: 'NodePort' }, { externalTrafficPolicy: 'Cluster' }, { healthCheckNodePort: 0 }])
      expect(readService(service({ ...balanced, ...other }))).not.toHaveProperty('healthCheckNodePort');
  });

  it.each([
    ['headless', service({ clusterIP: 'None', clusterIPs: ['None'] })],
    ['not allocated yet', service({ clusterIP: '', clusterIPs: [] })],
    ['ExternalName', service({ type: 'ExternalName', externalName: 'google.com' })],
    [
      'of another proxy',
      service({}, { metadata: { name: 'x', labels: { 'service.kubernetes.io/service-proxy-name': 'other' } } }),
    ],
    ['marked as headless', service({}, { metadata: { name: 'x', labels: { 'service.kubernetes.io/headless': '' } } })],
  ])('ignores a Service that is %s', (_, ignored) => {
    expect(readService(ignored)).toBeUndefined();
  });

  it('lets nobody in when no source range can be read, instead of everybody', () => {
    expect(readService(service({ loadBalancerSourceRanges: ['all'] }))?.sourceRanges).toEqual([]);
  });

  it('leaves out ports and addresses that are not valid', () => {
    const facts = readService(
      service({ externalIPs: ['01.2.3.4', '192.0.2.1'], ports: [{ port: 0 }, { port: 53, protocol: 'IGMP' }] }),
    );
    expect(facts).toMatchObject({ externalIps: ['192.0.2.1'], ports: [] });
  });
});
