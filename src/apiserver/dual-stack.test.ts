import { afterAll, beforeAll, expect, test } from 'vitest';
import { FieldErrors } from '../api/field-error.ts';
import type { Service, ServiceSpec } from '../api/generated/types.ts';
import { parseCidr } from '../net/cidr.ts';
import { ServiceAllocator } from './service-allocator.ts';
import { startTestServer, type TestServer } from './test-server.ts';

const cidrs = ['10.96.0.0/16', 'fd00:10:96::/112'];
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    serviceCidrs: cidrs,
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
  });
});
afterAll(() => server.close());

const path = '/api/v1/namespaces/default/services';
async function send(method: 'POST' | 'PATCH', url: string, body: object): Promise<ServiceSpec> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await server.inject({
    method,
    url,
    payload: JSON.stringify(body),
    headers: { 'content-type': type },
  });
  const { spec, message } = JSON.parse(answer.body);
  if (spec === undefined) throw new Error(message);
  return spec;
}
const service = (name: string, spec: ServiceSpec): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ port: 80 }], selector: { a: 'b' }, ...spec },
});

test('ServiceAllocator gives both families to those who want them, in the order they want', async () => {
  const prefer = await send('POST', path, service('prefer', { ipFamilyPolicy: 'PreferDualStack' }));
  expect(prefer.ipFamilies).toEqual(['IPv4', 'IPv6']);
  expect(prefer.clusterIPs).toEqual([expect.stringMatching(/^10\.96\./), expect.stringMatching(/^fd00:10:96::/)]);
  const six = await send('POST', path, service('six', { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] }));
  expect([six.ipFamilies, six.clusterIP]).toEqual([['IPv6', 'IPv4'], six.clusterIPs?.[0]]);
  expect((await send('POST', path, service('single', {}))).ipFamilies).toEqual(['IPv4']);
  const asked = await send('POST', path, service('asked', { clusterIP: 'fd00:10:96::5' }));
  expect([asked.ipFamilies, asked.ipFamilyPolicy]).toEqual([['IPv6'], 'SingleStack']);
});

test('ServiceAllocator adds the second family on an upgrade, and takes it back on a downgrade', async () => {
  const before = await send('POST', path, service('grows', {}));
  const up = await send('PATCH', `${path}/grows`, { spec: { ipFamilyPolicy: 'PreferDualStack' } });
  expect(up.clusterIPs).toEqual([before.clusterIP, expect.stringMatching(/^fd00:/)]);
  const down = await send('PATCH', `${path}/grows`, { spec: { ipFamilyPolicy: 'SingleStack' } });
  expect([down.clusterIPs, down.ipFamilies]).toEqual([[before.clusterIP], ['IPv4']]);
  const heir = await send('POST', path, service('heir', { clusterIP: up.clusterIPs?.[1] ?? '' }));
  expect(heir.clusterIP).toBe(up.clusterIPs?.[1]);
});

test('ServiceAllocator leaves headless Services without selector to both families, as their owner may', async () => {
  const spec = await send('POST', path, { ...service('own', {}), spec: { clusterIP: 'None', ports: [{ port: 80 }] } });
  expect([spec.ipFamilyPolicy, spec.ipFamilies, spec.clusterIPs]).toEqual([
    'RequireDualStack',
    ['IPv4', 'IPv6'],
    ['None'],
  ]);
});

test('ServiceAllocator gives back what a request took when it fails', () => {
  const allocator = new ServiceAllocator(['IPv4'], { from: 30_000, to: 30_001 });
  allocator.allocateFrom([parseCidr('10.0.0.0/28')]);
  const errors = new FieldErrors();
  const ports = [{ port: 80, nodePort: 1 }];
  const versions = (name: string, spec: ServiceSpec) => ({ service: service(name, spec), before: undefined });
  const asked = { clusterIP: '10.0.0.3', clusterIPs: ['10.0.0.3'] };
  allocator.allocate('a/x', versions('x', { type: 'NodePort', ...asked, ports }), errors);
  expect(errors.list.map((error) => error.field)).toEqual(['spec.ports[0].nodePort']);
  const again = new FieldErrors();
  allocator.allocate('a/y', versions('y', asked), again);
  expect(again.list).toEqual([]);
});
