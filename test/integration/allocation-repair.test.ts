import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Service } from '../../src/api/generated/types.ts';
import type { StoreConfig } from '../../src/apiserver/config.ts';
import { startTestServer, type TestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { openEtcdStore } from '../../src/store/etcd/etcd-store.ts';
import { startEtcd, type TestEtcd } from '../../src/store/etcd/start-etcd.ts';
import { openLmdbStore } from '../../src/store/lmdb-store.ts';
import type { Store } from '../../src/store/store.ts';

/** What a store that somebody else wrote is like after that. */
interface Case {
  readonly start: () => Promise<TestServer>;
  readonly open: (server: TestServer) => Promise<Store>;
  readonly end: () => Promise<void>;
}

let etcd: TestEtcd | undefined;
const etcdConfig = async () => {
  etcd ??= await startEtcd();
  return { endpoints: [etcd.endpoint], prefix: '/repair' };
};
const cases: { readonly [store: string]: Case } = {
  lmdb: {
    start: () => startTestServer(),
    open: ({ dir }) => openLmdbStore(join(dir, 'data')),
    end: async () => {},
  },
  etcd: {
    start: async () => startTestServer({ store: { etcd: await etcdConfig() } satisfies StoreConfig }),
    open: async () => openEtcdStore(await etcdConfig()),
    end: async () => etcd?.remove(),
  },
};

const place = (name: string) => ({ namespace: 'default', name });
const balanced = (name: string, spec: Service['spec'] = {}): Service => ({
  metadata: place(name),
  spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }], ...spec },
});
const servicesAt = '/registry/services/default/';
const addressesAt = '/registry/ipaddresses/';

describe.each(Object.entries(cases))('repair at start over %s', { timeout: 60_000 }, (_, { start, open, end }) => {
  let server: TestServer;
  let client: ApiClient;
  beforeAll(async () => {
    server = await start();
    client = connect(server.admin);
  }, 30_000);
  afterAll(async () => {
    client.close();
    await server.close();
    await end();
  }, 30_000);

  /** Changes what is stored while no server runs. */
  async function tamper(change: (store: Store) => Promise<unknown>): Promise<void> {
    await server.api.close();
    const store = await open(server);
    await change(store);
    await store.close();
    await server.restart();
  }
  const addresses = async () => (await client.list('ipAddresses')).items.map(({ metadata }) => metadata.name).sort();

  test('what two Services have is reported and stays the first one’s; what no Service has is free', async () => {
    const { spec } = await client.create('services', balanced('first'));
    const ip = spec?.clusterIP ?? '';
    const nodePort = spec?.ports?.[0]?.nodePort ?? 0;
    const healthCheckNodePort = spec?.healthCheckNodePort ?? 0;
    await client.create('services', balanced('lost'));
    const lost = (await client.get('services', place('lost'))).spec;
    await tamper(async (store) => {
      const first = await store.get(`${servicesAt}first`);
      const twin = Buffer.from(first?.value ?? '')
        .toString()
        .replace('"name":"first"', '"name":"second"');
      await store.transact([{ type: 'put', key: `${servicesAt}second`, value: Buffer.from(twin) }]);
      // Its address and ports stay behind.
      await store.transact([{ type: 'delete', key: `${servicesAt}lost` }]);
      await store.transact([{ type: 'delete', key: `${addressesAt}${ip}` }]);
    });
    expect(await addresses()).toEqual(['10.96.0.1', ip].sort());
    const { items: events } = await client.list('events', { namespace: 'default' });
    const messages = events.map(({ reason, message }) => `${reason}: ${message}`).sort();
    const owned = 'was assigned to multiple services, of which default/first has it; please recreate service';
    expect(messages).toEqual(
      [
        `ClusterIPAlreadyAllocated: Cluster IP ${ip} ${owned}`,
        `PortAlreadyAllocated: Node port ${nodePort} ${owned}`,
        `PortAlreadyAllocated: Node port ${healthCheckNodePort} ${owned}`,
      ].sort(),
    );
    // What was left behind can be had again.
    const again = {
      clusterIP: lost?.clusterIP ?? '',
      healthCheckNodePort: lost?.healthCheckNodePort ?? 0,
      ports: [{ port: 80, nodePort: lost?.ports?.[0]?.nodePort ?? 0 }],
    };
    await client.create('services', balanced('found', again));
    // What two have is free when neither has it.
    const heir = { clusterIP: ip, healthCheckNodePort, ports: [{ port: 80, nodePort }] };
    await client.delete('services', place('first'));
    await expect(client.create('services', balanced('heir', heir))).rejects.toMatchObject({ code: 422 });
    await client.delete('services', place('second'));
    expect((await client.create('services', balanced('heir', heir))).spec?.clusterIP).toBe(ip);
    for (const name of ['heir', 'found']) await client.delete('services', place(name));
    expect(await addresses()).toEqual(['10.96.0.1']);
  });

  test('node ports come back from every type a Service changes to', async () => {
    const { spec } = await client.create('services', balanced('changing'));
    const taken = {
      healthCheckNodePort: spec?.healthCheckNodePort ?? 0,
      ports: [{ port: 80, nodePort: spec?.ports?.[0]?.nodePort ?? 0 }],
    };
    await expect(client.create('services', balanced('other', taken))).rejects.toMatchObject({ code: 422 });
    await client.patch('services', place('changing'), {
      type: 'merge',
      body: { spec: { type: 'ExternalName', externalName: 'example.com' } },
    });
    await client.create('services', balanced('other', taken));
    await client.patch('services', place('changing'), { type: 'merge', body: { spec: { type: 'NodePort' } } });
    const { spec: back } = await client.get('services', place('changing'));
    expect(back?.ports?.[0]?.nodePort).not.toBe(taken.ports[0]?.nodePort);
    for (const name of ['changing', 'other']) await client.delete('services', place(name));
    expect(await addresses()).toEqual(['10.96.0.1']);
  });
});
