import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CoreEvent, IPAddress, Service } from '../api/generated/types.ts';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
    serviceCidrs: ['10.96.0.0/18'],
  });
});
afterAll(() => server.close());

const services = '/api/v1/namespaces/default/services';

async function call<T>(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  payload?: object,
): Promise<{ code: number; body: T }> {
  const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await server.inject({
    method,
    url,
    headers,
    ...(payload && { payload: JSON.stringify(payload) }),
  });
  return { code: answer.statusCode, body: JSON.parse(answer.body) as T };
}

/** Fails when an address or port is with two Services at once; knows from the answers who has what. */
class Ledger {
  readonly #owners = new Map<string | number, string>();

  take(name: string, items: readonly (string | number)[]): void {
    for (const item of items) {
      if (this.#owners.has(item)) throw new Error(`${item} is with ${this.#owners.get(item)} and ${name}`);
      this.#owners.set(item, name);
    }
  }

  give(items: readonly (string | number)[]): void {
    for (const item of items) this.#owners.delete(item);
  }

  get size(): number {
    return this.#owners.size;
  }
}

const itemsOf = ({ spec }: Service): (string | number)[] => [
  ...(spec?.clusterIPs ?? []),
  ...(spec?.ports ?? []).flatMap(({ nodePort }) => nodePort ?? []),
];

describe('ServiceAllocator', { timeout: 120_000 }, () => {
  test('16 clients create and delete 5,000 Services: nothing is given twice, and all comes back', async () => {
    const ledger = new Ledger();
    let next = 0;
    const client = async () => {
      const mine: Service[] = [];
      while (next < 5_000) {
        const i = next++;
        const spec = { type: i % 4 === 0 ? 'NodePort' : 'ClusterIP', ports: [{ port: 80 }] };
        const made = await call<Service>('POST', services, {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: `r${i}` },
          spec,
        });
        expect(made.code).toBe(201);
        ledger.take(`r${i}`, itemsOf(made.body));
        mine.push(made.body);
        // About half of them go again while others come.
        const old = i % 2 === 0 ? undefined : mine.shift();
        if (old !== undefined) await remove(old, ledger);
      }
      for (const service of mine) await remove(service, ledger);
    };
    await Promise.all(Array.from({ length: 16 }, client));
    expect(ledger.size).toBe(0);
    const left = await call<{ items: IPAddress[] }>('GET', '/apis/networking.k8s.io/v1/ipaddresses');
    expect(left.body.items.map(({ spec }) => spec.parentRef.name)).toEqual(['kubernetes']);
    // Every node port is free again: as many Services as there are ports get one each.
    const ports = Array.from({ length: 2_768 }, (_, i) => ({ name: `p${i}`, port: i + 1 }));
    const all = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'all' }, spec: { type: 'NodePort', ports } };
    const made = await call<Service>('POST', services, all);
    expect(made.code).toBe(201);
    expect(new Set(made.body.spec?.ports?.map(({ nodePort }) => nodePort)).size).toBe(2_768);
    await call('DELETE', `${services}/all`);
  });

  async function remove(service: Service, ledger: Ledger): Promise<void> {
    // Given up before the answer: from the moment it is deleted another one may have it.
    ledger.give(itemsOf(service));
    expect((await call('DELETE', `${services}/${service.metadata?.name}`)).code).toBe(200);
  }
});

describe('reportDoubled', () => {
  test('says at start of an address with two Services; it is free when neither has it', async () => {
    const spec = { ports: [{ port: 80 }] };
    const { body } = await call<Service>('POST', services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'first' },
      spec,
    });
    await server.api.close();
    const store = await openLmdbStore(join(server.dir, 'data'));
    const twin = { ...body, metadata: { ...body.metadata, name: 'second', uid: 'another' } };
    const value = Buffer.from(JSON.stringify({ kind: 'Service', apiVersion: 'v1', ...twin }));
    await store.transact([{ type: 'put', key: '/registry/services/default/second', value, expect: 0 }]);
    await store.close();
    await server.restart();
    const { body: events } = await call<{ items: CoreEvent[] }>('GET', '/api/v1/namespaces/default/events');
    const clusterIP = body.spec?.clusterIP ?? '';
    expect(events.items).toMatchObject([
      {
        involvedObject: { kind: 'Service', name: 'second' },
        reason: 'ClusterIPAlreadyAllocated',
        type: 'Warning',
        message: `Cluster IP ${clusterIP} was assigned to multiple services, of which default/first has it; please recreate service`,
      },
    ]);
    const third = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'third' }, spec: { ...spec, clusterIP } };
    await call('DELETE', `${services}/first`);
    expect((await call('POST', services, third)).code).toBe(422);
    await call('DELETE', `${services}/second`);
    expect((await call('POST', services, third)).code).toBe(201);
    await call('DELETE', `${services}/third`);
  });
});
