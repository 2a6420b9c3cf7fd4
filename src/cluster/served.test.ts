import { describe, expect, test } from 'vitest';
import type { EndpointSlice, Endpoints, Pod, Service, ServiceSpec } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { behind, newestVersions, type ServiceWorld, withoutEndpoints } from './served.ts';

const metadata = (name: string, more: object = {}) => ({
  name,
  namespace: 'default',
  uid: name,
  resourceVersion: '1',
  ...more,
});

const service = (spec: ServiceSpec, more: object = {}): Stored<Service> => ({
  metadata: metadata('web', more),
  spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }], ...spec },
});

const pod = (name: string, podIP: string, isReady = true): Stored<Pod> => ({
  metadata: metadata(name, { labels: { app: 'web' } }),
  status: { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
});

const slice = (ips: readonly string[], more: object = {}): Stored<EndpointSlice> => ({
  metadata: metadata('web-a', { labels: { 'kubernetes.io/service-name': 'web' }, ...more }),
  addressType: 'IPv4',
  endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
});

const endpoints = (ip: string, more: object = {}): Stored<Endpoints> => ({
  metadata: metadata('web', more),
  subsets: [{ addresses: [{ ip }], ports: [{ port: 80 }] }],
});

const missing = (world: Partial<ServiceWorld>) =>
  withoutEndpoints({ services: [], slices: [], pods: [], endpoints: [], ...world }).map(
    ({ what, why }) => `${what} ${why}`,
  );

describe('withoutEndpoints', () => {
  const services = [service({ selector: { app: 'web' } })];
  const pods = [pod('a', '10.244.1.2'), pod('b', '10.244.2.2'), pod('c', '10.244.3.2', false)];

  test('wants just the Ready Pods a Service selects in its slices', () => {
    expect(missing({ services, pods, slices: [slice(['10.244.1.2', '10.244.2.2'])] })).toEqual([]);
    expect(missing({ services, pods, slices: [slice(['10.244.1.2', '10.244.9.9'])] })).toEqual([
      'service/default/web 10.244.2.2 is no endpoint yet, 10.244.9.9 is an endpoint still',
    ]);
    expect(missing({ services, pods: pods.slice(2) })).toEqual([]);
  });

  test('wants Pods of the families of the Service only', () => {
    expect(missing({ services: [service({ selector: { app: 'web' }, ipFamilies: ['IPv6'] })], pods })).toEqual([]);
  });

  test('wants Endpoints made by hand to be mirrored, unless nobody does that', () => {
    const byHand = { services: [service({})], endpoints: [endpoints('192.0.2.1')] };
    expect(missing(byHand)).toEqual(['service/default/web 192.0.2.1 is no endpoint yet']);
    expect(missing({ ...byHand, slices: [slice(['192.0.2.1'])] })).toEqual([]);
    const labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' };
    expect(missing({ ...byHand, endpoints: [endpoints('192.0.2.1', { labels })] })).toEqual([]);
    expect(missing({ services: [service({})], slices: [slice(['192.0.2.9'])] })).toEqual([]);
  });
});

describe('newestVersions', () => {
  test('wants of proxies only what they follow', () => {
    const other = { labels: { 'service.kubernetes.io/service-proxy-name': 'another' }, resourceVersion: '90' };
    const headless = { labels: { 'service.kubernetes.io/headless': '' }, resourceVersion: '80' };
    expect(
      newestVersions({
        services: [service({}, { resourceVersion: '10' }), service({}, other)],
        slices: [slice([], { resourceVersion: '9' }), slice([], headless)],
      }),
    ).toEqual({ proxy: { services: 10, endpointslices: 9 }, dns: { services: 90, endpointslices: 80 } });
  });
});

describe('behind', () => {
  const newest = { proxy: { services: 10, endpointslices: 9 }, dns: { services: 10, endpointslices: 12 } };
  const verdict = (...followers: Parameters<typeof behind>[0]) => behind(followers, newest).map(({ what }) => what);

  test('is who does not have the newest version of everything', () => {
    const name = 'x';
    expect(verdict({ kind: 'proxy', name, versions: { services: 10, endpointslices: 9 } })).toEqual([]);
    expect(verdict({ kind: 'proxy', name, versions: { services: 100, endpointslices: 8 } })).toEqual([name]);
    expect(verdict({ kind: 'dns', name, versions: { services: 10, endpointslices: 11, namespaces: 1 } })).toEqual([
      name,
    ]);
  });

  test('is who does not answer, and a proxy that says nothing yet', () => {
    expect(verdict({ kind: 'proxy', name: 'p' }, { kind: 'dns', name: 'd' })).toEqual(['p', 'd']);
    expect(verdict({ kind: 'proxy', name: 'p', versions: {} }, { kind: 'dns', name: 'd', versions: {} })).toEqual([
      'p',
    ]);
  });
});
