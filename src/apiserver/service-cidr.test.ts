import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { IPAddress, Service, ServiceCIDR, Status } from '../api/generated/types.ts';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
    // 14 addresses, of which `kubernetes` has the first.
    serviceCidrs: ['10.96.0.0/28'],
  });
});
afterAll(() => server.close());

const services = '/api/v1/namespaces/default/services';
const cidrs = '/apis/networking.k8s.io/v1/servicecidrs';
const addresses = '/apis/networking.k8s.io/v1/ipaddresses';
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

async function call<T>(method: Method, url: string, payload?: object): Promise<{ code: number; body: T }> {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await server.inject({
    method,
    url,
    headers: payload === undefined ? {} : { 'content-type': type },
    ...(payload && { payload: JSON.stringify(payload) }),
  });
  return { code: answer.statusCode, body: JSON.parse(answer.body) as T };
}
const createService = (name: string, spec: Service['spec'] = {}, query = '') =>
  call<Service & Status>('POST', services + query, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...spec },
  });
const createCidr = (name: string, ...blocks: string[]) =>
  call<ServiceCIDR & Status>('POST', cidrs, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name },
    spec: { cidrs: blocks },
  });
const createAddress = (name: string, parentRef: object, labels = {}) =>
  call<IPAddress & Status>('POST', addresses, {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IPAddress',
    metadata: { name, labels },
    spec: { parentRef },
  });
const getCidr = async (name: string) => (await call<ServiceCIDR & Status>('GET', `${cidrs}/${name}`)).body;
const namesOf = async (url: string) =>
  (await call<{ items: { metadata: { name: string } }[] }>('GET', url)).body.items.map(({ metadata }) => metadata.name);
/** Things are put right a moment later, and on a busy machine a longer moment. */
const eventually = { timeout: 15_000 };
const finalizer = 'networking.k8s.io/service-cidr-finalizer';

describe('ServiceCIDR', { timeout: 60_000 }, () => {
  test('kubernetes is of the configured block, is ready, and comes back', async () => {
    expect(await getCidr('kubernetes')).toMatchObject({
      metadata: { finalizers: [finalizer] },
      spec: { cidrs: ['10.96.0.0/28'] },
      status: {
        conditions: [
          { type: 'Ready', status: 'True', reason: '', message: 'Kubernetes default Service CIDR is ready' },
        ],
      },
    });
    // One that others contain goes; the Service `kubernetes` keeps its address.
    await createCidr('wider', '10.96.0.0/24');
    const { metadata } = await getCidr('kubernetes');
    await call('DELETE', `${cidrs}/kubernetes`);
    await expect.poll(async () => (await getCidr('kubernetes')).metadata?.uid, eventually).not.toBe(metadata?.uid);
    await call('DELETE', `${cidrs}/wider`);
    await expect.poll(() => namesOf(cidrs), eventually).toEqual(['kubernetes']);
  });

  test('more of them give more addresses at once; one whose addresses are in use waits for them', async () => {
    const made: string[] = [];
    let refused = '';
    while (refused === '' && made.length < 20) {
      const { code, body } = await createService(`fill-${made.length}`);
      if (code === 201) made.push(body.spec?.clusterIP ?? '');
      else refused = body.message ?? '';
    }
    expect([made.length, new Set(made).size]).toEqual([13, 13]);
    expect(refused).toContain('failed to allocate a serviceIP: range is full');
    expect((await createCidr('more', '10.97.0.0/28')).code).toBe(201);
    const { body: extra } = await createService('extra');
    expect(extra.spec?.clusterIP).toMatch(/^10\.97\.0\.\d+$/);
    // `extra` may have got any of the block.
    const named = await createService('named', {
      clusterIP: extra.spec?.clusterIP === '10.97.0.3' ? '10.97.0.7' : '10.97.0.3',
    });
    expect(named.code).toBe(201);

    expect((await call('DELETE', `${cidrs}/more`)).code).toBe(200);
    await expect
      .poll(async () => (await getCidr('more')).status?.conditions, eventually)
      .toMatchObject([
        {
          type: 'Ready',
          status: 'False',
          reason: 'Terminating',
          message:
            'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR',
        },
      ]);
    // Nothing comes from it any more, asked for or not.
    expect((await createService('late')).code).toBe(500);
    const late = await createService('late', { clusterIP: '10.97.0.4' });
    expect(late.body.message).toContain('The range of valid IPs is 10.96.0.0/28');
    for (const name of ['extra', 'named']) await call('DELETE', `${services}/${name}`);
    await expect.poll(() => namesOf(cidrs), eventually).toEqual(['kubernetes']);
    for (let i = 0; i < made.length; i++) await call('DELETE', `${services}/fill-${i}`);
    expect((await createService('late')).code).toBe(201);
    await call('DELETE', `${services}/late`);
  });

  test('says what is wrong with it, and stays as it is', async () => {
    const failure = async (...blocks: string[]) => (await createCidr('wrong', ...blocks)).body.details?.causes;
    expect(await failure()).toMatchObject([{ field: 'spec.cidrs', reason: 'FieldValueRequired' }]);
    expect(await failure('10.0.0.0/24', '10.0.1.0/24')).toMatchObject([
      { field: 'spec.cidrs', message: expect.stringContaining('no more than one IP for each IP family') },
    ]);
    expect(await failure('10.0.0.1/24')).toMatchObject([
      { field: 'spec.cidrs[0]', message: expect.stringContaining('must not have bits set beyond the prefix length') },
    ]);
    expect(await failure('FD00::/64')).toMatchObject([
      { field: 'spec.cidrs[0]', message: expect.stringContaining('must be in canonical form ("fd00::/64")') },
    ]);
    expect(await failure('10.0.0.0/33')).toMatchObject([{ field: 'spec.cidrs[0]', reason: 'FieldValueInvalid' }]);
    const changed = await call<Status>('PATCH', `${cidrs}/kubernetes`, { spec: { cidrs: ['10.0.0.0/8'] } });
    expect(changed.body.details?.causes).toMatchObject([
      { field: 'spec.cidrs[0]', message: 'Invalid value: "10.0.0.0/8": field is immutable' },
    ]);
  });
});

describe('IPAddress', { timeout: 60_000 }, () => {
  test('is made and removed with the Service that has the address', async () => {
    const { body } = await createService('owner');
    const ip = body.spec?.clusterIP ?? '';
    expect((await call<IPAddress>('GET', `${addresses}/${ip}`)).body).toMatchObject({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IPAddress',
      metadata: {
        name: ip,
        uid: expect.any(String),
        creationTimestamp: expect.any(String),
        labels: {
          'ipaddress.kubernetes.io/ip-family': 'IPv4',
          'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io',
        },
      },
      spec: { parentRef: { group: '', resource: 'services', namespace: 'default', name: 'owner' } },
    });
    expect(await namesOf(addresses)).toEqual(['10.96.0.1', ip].sort());
    await call('DELETE', `${services}/owner`);
    expect(await namesOf(addresses)).toEqual(['10.96.0.1']);
    expect((await createService('trial', {})).code).toBe(201);
    await call('PATCH', `${services}/trial`, { spec: { type: 'ExternalName', externalName: 'example.com' } });
    expect(await namesOf(addresses)).toEqual(['10.96.0.1']);
    await call('DELETE', `${services}/trial`);
    expect((await createService('dry', {}, '?dryRun=All')).code).toBe(201);
    expect(await namesOf(addresses)).toEqual(['10.96.0.1']);
  });

  test('made by hand keeps its address from Services, but for the one it names', async () => {
    const parentRef = { group: '', resource: 'services', namespace: 'default', name: 'heir' };
    expect((await createAddress('10.96.0.9', parentRef)).code).toBe(201);
    const other = await createService('other', { clusterIP: '10.96.0.9' });
    expect(other.body.message).toContain('failed to allocate IP 10.96.0.9: provided IP is already allocated');
    const { body: before } = await call<IPAddress>('GET', `${addresses}/10.96.0.9`);
    expect((await createService('heir', { clusterIP: '10.96.0.9' })).code).toBe(201);
    const { body: after } = await call<IPAddress>('GET', `${addresses}/10.96.0.9`);
    expect(after.metadata?.uid).toBe(before.metadata?.uid);
    expect((await createAddress('10.96.0.9', parentRef)).code).toBe(409);
    await call('DELETE', `${services}/heir`);
    expect((await call('GET', `${addresses}/10.96.0.9`)).code).toBe(404);
  });

  test('comes back when it is deleted from under its Service, and goes when nobody has the address', async () => {
    await call('DELETE', `${addresses}/10.96.0.1`);
    await expect.poll(() => namesOf(addresses), eventually).toEqual(['10.96.0.1']);
    const labels = { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' };
    const parentRef = { resource: 'services', namespace: 'default', name: 'nobody' };
    expect((await createAddress('10.96.0.8', parentRef, labels)).code).toBe(201);
    await expect.poll(() => namesOf(addresses), eventually).toEqual(['10.96.0.1']);
  });

  test('says what is wrong with it, and stays as it is', async () => {
    const parentRef = { resource: 'services', namespace: 'default', name: 'x' };
    const failure = async (name: string, parent: object) => (await createAddress(name, parent)).body.details?.causes;
    expect(await failure('fd00::0001', parentRef)).toMatchObject([
      { field: 'metadata.name', message: expect.stringContaining('must be a canonical format IP address') },
    ]);
    expect(await failure('none', parentRef)).toMatchObject([
      { field: 'metadata.name', message: 'Invalid value: "none": ParseAddr("none"): unable to parse IP' },
    ]);
    expect(await failure('10.0.0.1', { resource: '', name: '' })).toMatchObject([
      { field: 'spec.parentRef.resource', reason: 'FieldValueRequired' },
      { field: 'spec.parentRef.name', reason: 'FieldValueRequired' },
    ]);
    const patched = await call<Status>('PATCH', `${addresses}/10.96.0.1`, { spec: { parentRef: { name: 'mine' } } });
    expect(patched.body.details?.causes).toMatchObject([
      { field: 'spec.parentRef', message: expect.stringContaining('field is immutable') },
    ]);
  });

  test('columns are those that kubectl prints', async () => {
    const table = async (url: string) => {
      const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
      const answer = await server.inject({ method: 'GET', url, headers });
      const { columnDefinitions, rows } = JSON.parse(answer.body);
      return [columnDefinitions.map((c: { name: string }) => c.name), rows[0].cells.slice(0, 2)];
    };
    expect(await table(addresses)).toEqual([
      ['Name', 'ParentRef', 'Age'],
      ['10.96.0.1', 'services/default/kubernetes'],
    ]);
    expect(await table(cidrs)).toEqual([
      ['Name', 'CIDRs', 'Age'],
      ['kubernetes', '10.96.0.0/28'],
    ]);
  });
});

describe('repairIpAddresses', () => {
  test('makes what is missing at start and removes what is leaked', async () => {
    await server.api.close();
    const store = await openLmdbStore(join(server.dir, 'data'));
    const found = await store.get('/registry/ipaddresses/10.96.0.1');
    const leaked = (found === undefined ? '' : Buffer.from(found.value).toString()).replaceAll(
      '10.96.0.1',
      '10.96.0.7',
    );
    await store.transact([
      { type: 'delete', key: '/registry/ipaddresses/10.96.0.1' },
      {
        type: 'put',
        key: '/registry/ipaddresses/10.96.0.7',
        value: Buffer.from(leaked.replace('kubernetes"}', 'gone"}')),
      },
    ]);
    await store.close();
    await server.restart();
    expect(await namesOf(addresses)).toEqual(['10.96.0.1']);
  });
});

describe('ensureDefaultServiceCidr', () => {
  test('adds the second family of a cluster to the one it had; Services have it when they ask', {
    timeout: 60_000,
  }, async () => {
    const config = { authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) };
    const first = await startTestServer({ ...config, serviceCidrs: ['10.96.0.0/24'] });
    const previous = server;
    let second: TestServer | undefined;
    try {
      server = first;
      const prefer = { ipFamilyPolicy: 'PreferDualStack' };
      expect((await createService('early', prefer)).body.spec?.ipFamilies).toEqual(['IPv4']);
      await first.api.close();
      const store = { lmdb: { dir: join(first.dir, 'data') } };
      second = await startTestServer({ ...config, store, serviceCidrs: ['10.96.0.0/24', 'fd00::/112'] });
      server = second;
      expect((await getCidr('kubernetes')).spec?.cidrs).toEqual(['10.96.0.0/24', 'fd00::/112']);
      const early = `${services}/early`;
      const selected = await call<Service>('PATCH', early, { spec: { selector: { a: 'b' } } });
      expect(selected.body.spec?.clusterIPs).toHaveLength(1);
      const both = await call<Service>('PATCH', early, { spec: { ipFamilyPolicy: 'RequireDualStack' } });
      expect(both.body.spec?.clusterIPs?.[1]).toMatch(/^fd00::/);
      expect(await namesOf(addresses)).toContain(both.body.spec?.clusterIPs?.[1]);
    } finally {
      server = previous;
      await second?.close();
      await first.close();
    }
  });
});
