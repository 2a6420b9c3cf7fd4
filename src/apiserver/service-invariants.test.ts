import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { IPAddress, Service } from '../api/generated/types.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    serviceCidrs: ['10.96.0.0/24', 'fd00:10:96::/112'],
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
  });
});
afterAll(() => server.close());

const path = '/api/v1/namespaces/default/services';
async function call<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, body?: object) {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const headers = body === undefined ? {} : { 'content-type': type };
  const payload = body === undefined ? {} : { payload: JSON.stringify(body) };
  const answer = await server.inject({ method, url, headers, ...payload });
  return { code: answer.statusCode, body: JSON.parse(answer.body) as T };
}

/** Mostly left out, so that not every Service contradicts itself. */
const some = <T>(...values: T[]) =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.constantFrom(...values) });
/** A field that is `undefined` would take the place of one that is there. */
const given = (spec: object): object => JSON.parse(JSON.stringify(spec));
const spec = fc.record({
  type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName', undefined),
  externalName: fc.constant('example.com'),
  clusterIP: some('', 'None', '10.96.0.2', '10.96.0.3', 'fd00:10:96::2', '10.0.0.1', 'x'),
  clusterIPs: some(['10.96.0.2', 'fd00:10:96::2'], ['10.96.0.3'], ['None'], [], ['', '']),
  ipFamilies: some(['IPv4'], ['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4'], ['IPv5']),
  ipFamilyPolicy: some('SingleStack', 'PreferDualStack', 'RequireDualStack'),
  externalTrafficPolicy: some('Cluster', 'Local'),
  healthCheckNodePort: some(0, 30_005, 30_006, 1),
  allocateLoadBalancerNodePorts: some(true, false),
  selector: some<object>({ a: 'b' }),
  ports: some(
    [{ port: 80 }],
    [{ port: 80, nodePort: 30_005 }],
    [
      { name: 'a', port: 53, protocol: 'UDP' },
      { name: 'b', port: 53, nodePort: 30_006 },
    ],
  ),
});
const name = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  fc.record({ method: fc.constant('POST' as const), name, spec }),
  fc.record({ method: fc.constant('PATCH' as const), name, spec }),
  fc.record({ method: fc.constant('DELETE' as const), name, spec: fc.constant({}) }),
);

test('ServiceAllocator: whatever is done to Services, every address and port has one owner, and an IPAddress says whose', {
  timeout: 120_000,
}, async () => {
  const counts = new Map<string, number>();
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 15 }), async (steps) => {
    for (const { method, name, spec } of steps) {
      const url = method === 'POST' ? path : `${path}/${name}`;
      const object = {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name },
        spec: { ports: [{ port: 80 }], ...given(spec) },
      };
      const { code, body } = await call(
        method,
        url,
        method === 'DELETE' ? undefined : method === 'POST' ? object : { spec },
      );
      expect(code, JSON.stringify(body)).toBeLessThan(500);
      counts.set(method, (counts.get(method) ?? 0) + (code < 300 ? 1 : 0));
    }
    const { body: services } = await call<{ items: Service[] }>('GET', path);
    const owners = services.items.flatMap(({ metadata, spec }) =>
      (spec?.clusterIPs ?? []).filter((ip) => ip !== 'None').map((ip) => [ip, metadata?.name]),
    );
    const { body: addresses } = await call<{ items: IPAddress[] }>('GET', '/apis/networking.k8s.io/v1/ipaddresses');
    const said = addresses.items.map(({ metadata, spec }) => [metadata?.name, spec.parentRef.name]);
    expect(said.sort()).toEqual(owners.sort());
    const ports = services.items.flatMap(({ spec }) => [
      ...new Set([...(spec?.ports ?? []).map(({ nodePort }) => nodePort), spec?.healthCheckNodePort].filter(Boolean)),
    ]);
    expect(new Set(ports).size).toBe(ports.length);
  });
  await fc.assert(property, { numRuns: 60, timeout: 30_000 });
  // It says something only of what was not refused.
  for (const method of ['POST', 'PATCH', 'DELETE']) expect(counts.get(method), method).toBeGreaterThan(10);
});
