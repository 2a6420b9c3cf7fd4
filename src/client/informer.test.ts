import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { connect } from './client.ts';
import { createIndex } from './index-of.ts';
import { createInformer, type InformerOptions } from './informer.ts';
import type { ApiClient, Informer } from './types.ts';

interface Item {
  readonly metadata: { name: string; namespace: string; uid: string; resourceVersion: string; labels: { app: string } };
}
interface Step {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Item;
}

/** A collection with its history, served over HTTP; it can break connections and forget its past. */
class PodServer {
  readonly items = new Map<string, Item>();
  readonly history: Step[] = [];
  readonly watches = new Set<ServerResponse>();
  lists = 0;
  /** Statuses to answer the next requests with. */
  readonly failures: number[] = [];
  #version = 100;
  #forgotten = 100;
  #uids = 0;
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  put(name: string, app = 'x'): void {
    const before = this.items.get(name);
    const uid = before?.metadata.uid ?? `uid-${this.#uids++}`;
    const object = {
      metadata: { name, namespace: 'default', uid, resourceVersion: String(++this.#version), labels: { app } },
    };
    this.items.set(name, object);
    this.#tell({ type: before === undefined ? 'ADDED' : 'MODIFIED', object });
  }

  remove(name: string): void {
    const before = this.items.get(name);
    if (before === undefined) return;
    this.items.delete(name);
    const resourceVersion = String(++this.#version);
    this.#tell({ type: 'DELETED', object: { metadata: { ...before.metadata, resourceVersion } } });
  }

  bookmark(): void {
    const line = JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.#version) } } });
    for (const watch of this.watches) watch.write(`${line}\n`);
  }

  /** Watches from before now are answered with 410. */
  forget(): void {
    this.#forgotten = this.#version;
  }

  breakOff(): void {
    for (const watch of this.watches) watch.socket?.destroy();
    this.watches.clear();
  }

  end(): void {
    for (const watch of this.watches) watch.end();
    this.watches.clear();
  }

  #tell(step: Step): void {
    this.history.push(step);
    for (const watch of this.watches) watch.write(`${JSON.stringify(step)}\n`);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const query = new URL(request.url ?? '', 'http://server').searchParams;
    const failure = this.failures.shift();
    if (failure !== undefined) {
      response.writeHead(failure).end(JSON.stringify({ kind: 'Status', code: failure }));
    } else if (query.get('watch') === null) {
      this.lists++;
      response.end(
        JSON.stringify({ metadata: { resourceVersion: String(this.#version) }, items: [...this.items.values()] }),
      );
    } else {
      const from = Number(query.get('resourceVersion'));
      if (from < this.#forgotten) {
        response.end(
          `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`,
        );
        return;
      }
      response.flushHeaders();
      for (const step of this.history)
        if (Number(step.object.metadata.resourceVersion) > from) response.write(`${JSON.stringify(step)}\n`);
      this.watches.add(response);
    }
  }
}

type Fault = 'breakOff' | 'end' | 'bookmark' | 'forget' | 'fail' | 'wait';
type Happening = { readonly do: 'put' | 'remove'; readonly name: string } | { readonly do: Fault };
const name = fc.constantFrom('a', 'b', 'c');
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  fc.record({ do: fc.constantFrom<Fault>('breakOff', 'end', 'bookmark', 'forget', 'fail', 'wait') }),
);

async function take(server: PodServer, step: Happening, i: number): Promise<void> {
  if (step.do === 'put') server.put(step.name, `app-${i % 2}`);
  else if (step.do === 'remove') server.remove(step.name);
  else if (step.do === 'fail') server.failures.push(500);
  else if (step.do === 'wait') await new Promise((resolve) => setTimeout(resolve, 3));
  else server[step.do]();
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function following(prepare: (server: PodServer) => void = () => {}, options: InformerOptions<'pods'> = {}) {
  const server = new PodServer();
  prepare(server);
  const client: ApiClient = connect({ server: await server.listen() });
  const informer = createInformer(client, 'pods', options);
  const told: string[] = [];
  informer.onChange(({ key, previous, current }) =>
    told.push(`${key} ${previous?.metadata.resourceVersion ?? ''}→${current?.metadata.resourceVersion ?? ''}`),
  );
  const stop = () => {
    informer.stop();
    client.close();
    server.close();
  };
  cleanups.push(stop);
  return { server, informer, told, stop };
}

const versions = (informer: Informer<'pods'>) =>
  Object.fromEntries([...informer.store].map(([key, pod]) => [key, pod.metadata.resourceVersion]).sort());
const expected = (server: PodServer) =>
  Object.fromEntries(
    [...server.items].map(([name, item]) => [`default/${name}`, item.metadata.resourceVersion]).sort(),
  );

describe('createInformer', () => {
  test('createInformer lists, is synced, and follows changes in order', async () => {
    const { server, informer, told } = await following((s) => s.put('a'));
    expect(informer.hasSynced).toBe(false);
    await informer.synced;
    expect(informer.hasSynced).toBe(true);
    expect(told).toEqual(['default/a →101']);
    await expect.poll(() => server.watches.size).toBe(1);
    server.put('b');
    server.put('a');
    server.remove('b');
    await expect.poll(() => told).toEqual(['default/a →101', 'default/b →102', 'default/a 101→103', 'default/b 102→']);
    expect(informer.resourceVersion).toBe('104');
  });

  test('createInformer replays what is there to a late listener, and tells a removed one nothing more', async () => {
    const { server, informer } = await following((s) => s.put('a'));
    await informer.synced;
    const late: string[] = [];
    const remove = informer.onChange(({ key }) => late.push(key));
    expect(late).toEqual(['default/a']);
    remove();
    server.put('b');
    await expect.poll(() => informer.store.size).toBe(2);
    expect(late).toEqual(['default/a']);
  });

  test('createInformer goes on after a break where it broke off, without a new list', async () => {
    const { server, informer, told } = await following((s) => s.put('a'));
    await informer.synced;
    await expect.poll(() => server.watches.size).toBe(1);
    server.breakOff();
    server.put('b');
    await expect.poll(() => told.length).toBe(2);
    server.end();
    server.remove('a');
    await expect.poll(() => told).toEqual(['default/a →101', 'default/b →102', 'default/a 101→']);
    expect(server.lists).toBe(1);
  });

  test('createInformer says since when it is behind, and is not while a watch is open, however quiet', async () => {
    const began = Date.now();
    const { server, informer } = await following();
    expect(informer.behindSince).toBeGreaterThanOrEqual(began);
    await expect.poll(() => informer.behindSince).toBeUndefined();
    const broke = Date.now();
    server.failures.push(...Array.from({ length: 50 }, () => 503));
    server.breakOff();
    await expect.poll(() => informer.behindSince).toBeGreaterThanOrEqual(broke);
    server.failures.length = 0;
    await expect.poll(() => informer.behindSince).toBeUndefined();
  });

  test('createInformer goes on from a bookmark after a long quiet time', async () => {
    const { server, informer } = await following();
    await informer.synced;
    await expect.poll(() => server.watches.size).toBe(1);
    for (let i = 0; i < 3; i++) server.put('other');
    server.bookmark();
    await expect.poll(() => informer.resourceVersion).toBe('103');
    server.forget();
    server.breakOff();
    server.put('new');
    await expect.poll(() => versions(informer)).toEqual(expected(server));
    expect(server.lists).toBe(1);
  });

  test('createInformer compares a new list with its store when the server forgot the version', async () => {
    const { server, informer, told } = await following((s) => {
      for (const name of ['gone', 'same', 'changed', 'again']) s.put(name);
    });
    await informer.synced;
    told.length = 0;
    server.breakOff();
    server.failures.push(503);
    server.remove('gone');
    server.put('changed');
    server.remove('again');
    server.put('again');
    server.put('new');
    server.forget();
    await expect.poll(() => versions(informer)).toEqual(expected(server));
    expect(told).toEqual([
      'default/gone 101→',
      'default/again 104→',
      'default/changed 103→106',
      'default/again →108',
      'default/new →109',
    ]);
  });

  test('createInformer waits for a server that is not ready, and rejects when it is stopped before', async () => {
    const { informer } = await following((s) => s.failures.push(503, 500, 403));
    await informer.synced;
    const never = createInformer(connect({ server: 'http://127.0.0.1:9' }), 'pods');
    never.stop();
    await expect(never.synced).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  });

  test('createInformer keeps of each object what its reader wants, never managed fields', async () => {
    const { informer } = await following((s) => s.put('a', 'blue'), {
      keep: (pod) => ({ metadata: { ...pod.metadata, labels: {} } }),
    });
    await informer.synced;
    expect(informer.store.get('default/a')?.metadata.labels).toEqual({});
  });

  test('createInformer tells all listeners when one of them throws', async () => {
    const errors: unknown[] = [];
    const log = { error: (detail: unknown) => errors.push(detail), debug: () => {}, warn: () => {} };
    const { server, informer, told } = await following(() => {}, { log: log as never });
    const broken = informer.onChange(() => {
      throw new Error('broken listener');
    });
    await informer.synced;
    server.put('a');
    await expect.poll(() => errors.length).toBe(1);
    server.put('b');
    await expect.poll(() => told.length).toBe(2);
    expect(informer.store.size).toBe(2);
    broken();
  });

  test('createInformer tells every step once, whatever breaks in between', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 30 }), async (steps) => {
        const { server, informer, stop } = await following((s) => s.put('a'));
        const model = new Map<string, string>();
        const index = createIndex(informer, (pod) => [pod.metadata.labels?.app ?? '']);
        let highest = 0;
        informer.onChange(({ key, previous, current }) => {
          // What is told before must be what was told last: nothing lost, nothing twice.
          expect(previous?.metadata.uid).toBe(model.get(key));
          expect(previous === undefined && current === undefined).toBe(false);
          if (current === undefined) model.delete(key);
          else {
            model.set(key, current.metadata.uid);
            expect(Number(current.metadata.resourceVersion)).toBeGreaterThan(highest);
            highest = Number(current.metadata.resourceVersion);
          }
        });
        for (const [i, step] of steps.entries()) await take(server, step, i);
        await expect.poll(() => versions(informer), { interval: 2 }).toEqual(expected(server));
        for (const app of ['app-0', 'app-1', 'x']) {
          const inIndex = index
            .get(app)
            .map((pod) => pod.metadata.name)
            .sort();
          expect(inIndex).toEqual(
            [...server.items.values()]
              .filter((p) => p.metadata.labels.app === app)
              .map((p) => p.metadata.name)
              .sort(),
          );
        }
        stop();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
