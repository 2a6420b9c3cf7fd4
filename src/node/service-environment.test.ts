import { describe, expect, it } from 'vitest';
import type { Service, ServiceSpec } from '../api/generated/types.ts';
import { serviceEnvironment } from './service-environment.ts';

function service(name: string, spec: ServiceSpec, namespace = 'default'): Service {
  return { metadata: { name, namespace }, spec };
}

const kubernetes = service('kubernetes', {
  clusterIP: '10.96.0.1',
  ports: [{ name: 'https', port: 443, protocol: 'TCP' }],
});

describe('serviceEnvironment', () => {
  it('serviceEnvironment defines host, ports and link variables', () => {
    const redis = service('redis-primary', {
      clusterIP: '10.0.0.11',
      ports: [
        { name: 'client', port: 6379, protocol: 'TCP' },
        { name: 'gossip-x', port: 7000, protocol: 'UDP' },
      ],
    });
    expect(serviceEnvironment([redis], { namespace: 'default', serviceLinks: true })).toEqual({
      REDIS_PRIMARY_SERVICE_HOST: '10.0.0.11',
      REDIS_PRIMARY_SERVICE_PORT: '6379',
      REDIS_PRIMARY_SERVICE_PORT_CLIENT: '6379',
      REDIS_PRIMARY_SERVICE_PORT_GOSSIP_X: '7000',
      REDIS_PRIMARY_PORT: 'tcp://10.0.0.11:6379',
      REDIS_PRIMARY_PORT_6379_TCP: 'tcp://10.0.0.11:6379',
      REDIS_PRIMARY_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_PRIMARY_PORT_6379_TCP_PORT: '6379',
      REDIS_PRIMARY_PORT_6379_TCP_ADDR: '10.0.0.11',
      REDIS_PRIMARY_PORT_7000_UDP: 'udp://10.0.0.11:7000',
      REDIS_PRIMARY_PORT_7000_UDP_PROTO: 'udp',
      REDIS_PRIMARY_PORT_7000_UDP_PORT: '7000',
      REDIS_PRIMARY_PORT_7000_UDP_ADDR: '10.0.0.11',
    });
  });

  it('serviceEnvironment leaves out headless, external and not yet allocated Services', () => {
    const services = [
      service('headless', { clusterIP: 'None', ports: [{ port: 80 }] }),
      service('external', { type: 'ExternalName', externalName: 'example.com', clusterIP: '' }),
      service('fresh', { ports: [{ port: 80 }] }),
    ];
    expect(serviceEnvironment(services, { namespace: 'default', serviceLinks: true })).toEqual({});
  });

  it('serviceEnvironment is of the own namespace, and the API server of default', () => {
    const other = service('other', { clusterIP: '10.0.0.2', ports: [{ port: 80 }] }, 'b');
    const mine = service('mine', { clusterIP: '10.0.0.3', ports: [{ port: 80 }] }, 'a');
    const hosts = (namespace: string, serviceLinks = true) =>
      Object.keys(serviceEnvironment([other, mine, kubernetes], { namespace, serviceLinks })).filter((k) =>
        k.endsWith('_HOST'),
      );
    expect(hosts('a')).toEqual(['KUBERNETES_SERVICE_HOST', 'MINE_SERVICE_HOST']);
    expect(hosts('a', false)).toEqual(['KUBERNETES_SERVICE_HOST']);
    expect(hosts('default', false)).toEqual(['KUBERNETES_SERVICE_HOST']);
  });

  it('serviceEnvironment lets a Service named kubernetes override that of default, in either order', () => {
    const own = service('kubernetes', { clusterIP: '10.0.0.9', ports: [{ port: 1 }] }, 'a');
    for (const services of [
      [own, kubernetes],
      [kubernetes, own],
    ]) {
      const variables = serviceEnvironment(services, { namespace: 'a', serviceLinks: true });
      expect(variables.KUBERNETES_SERVICE_HOST).toBe('10.0.0.9');
      expect(variables.KUBERNETES_SERVICE_PORT).toBe('1');
    }
  });

  it('serviceEnvironment writes IPv6 addresses in brackets within URLs', () => {
    const six = service('six', { clusterIP: 'fd00::1', ports: [{ port: 80 }] });
    const variables = serviceEnvironment([six], { namespace: 'default', serviceLinks: true });
    expect(variables).toMatchObject({
      SIX_SERVICE_HOST: 'fd00::1',
      SIX_PORT: 'tcp://[fd00::1]:80',
      SIX_PORT_80_TCP_ADDR: 'fd00::1',
    });
  });
});
