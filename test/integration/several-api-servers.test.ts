import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Service } from '../../src/api/generated/types.ts';
import { startTestServer, type TestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { startEtcd, type TestEtcd } from '../../src/store/etcd/start-etcd.ts';

let etcd: TestEtcd;
let servers: TestServer[] = [];
let clients: ApiClient[] = [];
beforeAll(async () => {
  etcd = await startEtcd();
  servers = await Promise.all(
    [2, 3].map((last) =>
      startTestServer({
        store: { etcd: { endpoints: [etcd.endpoint], prefix: '/several' } },
        // 126 addresses, so that choices meet.
        serviceCidrs: ['10.96.0.0/25'],
        apiServerAddress: { ip: `192.168.101.${last}`, port: 6443 },
      }),
    ),
  );
  clients = servers.map(({ admin }) => connect(admin));
}, 30_000);
afterAll(async () => {
  for (const client of clients) client.close();
  for (const server of servers) await server.close();
  await etcd.remove();
}, 30_000);

const client = (i: number): ApiClient => {
  const found = clients[i % clients.length];
  if (found === undefined) throw new Error('no server runs');
  return found;
};

const service = (name: string, spec: Service['spec'] = {}): Service => ({
  metadata: { namespace: 'default', name },
  spec: { type: 'NodePort', ports: [{ port: 80 }], ...spec },
});

test('a write that one server acknowledged is in what the others list and get', { timeout: 30_000 }, async () => {
  for (let i = 0; i < 20; i++) {
    const made = await client(i).create('configMaps', { metadata: { namespace: 'default', name: `seen-${i}` } });
    const place = { namespace: 'default', name: `seen-${i}` };
    expect((await client(i + 1).get('configMaps', place)).metadata.uid).toBe(made.metadata.uid);
    const version = made.metadata.resourceVersion;
    const path = `/api/v1/namespaces/default/configmaps?resourceVersion=${version}`;
    const list = (await client(i + 1).raw({ method: 'GET', path })) as { items: { metadata: { name: string } }[] };
    expect(list.items.map(({ metadata }) => metadata.name)).toContain(`seen-${i}`);
  }
  const path = '/api/v1/namespaces/default/configmaps?resourceVersion=999999999';
  await expect(client(0).raw({ method: 'GET', path })).rejects.toMatchObject({ code: 504, reason: 'Timeout' });
});

test('servers never give one address or node port to two Services, and get all of them back', {
  timeout: 60_000,
}, async () => {
  for (let round = 0; round < 2; round++) {
    const names = Array.from({ length: 110 }, (_, i) => `s-${round}-${i}`);
    const made: Service[] = [];
    const todo = [...names.entries()];
    const work = async () => {
      for (let next = todo.shift(); next !== undefined; next = todo.shift())
        made.push(await client(next[0]).create('services', service(next[1])));
    };
    await Promise.all(Array.from({ length: 16 }, work));
    expect(new Set(made.map(({ spec }) => spec?.clusterIP)).size).toBe(names.length);
    expect(new Set(made.map(({ spec }) => spec?.ports?.[0]?.nodePort)).size).toBe(names.length);
    await Promise.all(names.map((name, i) => client(i + 1).delete('services', { namespace: 'default', name })));
  }
});

test('an address asked for at two servers at once is given to one, and the other is told', {
  timeout: 30_000,
}, async () => {
  for (let round = 0; round < 10; round++) {
    const tries = [0, 1].map((i) =>
      client(i).create(
        'services',
        service(`asked-${round}-${i}`, { type: 'ClusterIP', clusterIP: `10.96.0.${2 + round}` }),
      ),
    );
    const results = await Promise.allSettled(tries);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({
      code: 422,
      reason: 'Invalid',
    });
  }
});

test('a ServiceCIDR made at one server gives addresses at the other, and is given up by both', {
  timeout: 60_000,
}, async () => {
  const place = { name: 'more' };
  await client(0).create('serviceCidrs', { metadata: place, spec: { cidrs: ['10.97.0.0/28'] } });
  const asked = service('far', { type: 'ClusterIP', clusterIP: '10.97.0.5' });
  const create = () => client(1).create('services', asked);
  // The other server hears of it a moment later.
  await expect
    .poll(() =>
      create().then(
        ({ spec }) => spec?.clusterIP,
        () => '',
      ),
    )
    .toBe('10.97.0.5');
  await client(1).delete('serviceCidrs', place);
  await expect
    .poll(async () => (await client(0).get('serviceCidrs', place)).status?.conditions?.[0]?.reason)
    .toBe('Terminating');
  await client(0).delete('services', { namespace: 'default', name: 'far' });
  const names = async () => (await client(0).list('serviceCidrs')).items.map(({ metadata }) => metadata.name);
  await expect.poll(names, { timeout: 40_000, interval: 250 }).toEqual(['kubernetes']);
});

test('the Service kubernetes leads to every server there is', { timeout: 30_000 }, async () => {
  const place = { namespace: 'default', name: 'kubernetes' };
  await expect
    .poll(async () => {
      const slice = await client(0).get('endpointSlices', place);
      return (slice.endpoints ?? []).flatMap(({ addresses }) => addresses).sort();
    })
    .toEqual(['192.168.101.2', '192.168.101.3']);
});
