import type { CoreV1Api, Informer, KubeConfig, ObjectCache, V1ConfigMap } from 'kubernetes-models';
import { afterEach, describe, expect, test } from 'vitest';
import type { ConfigMap } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import { connect } from '../../src/client/client.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { sleep } from '../../src/component/backoff.ts';
import { loadClientNode } from './client-node.ts';
import { persistently } from './control-plane.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

let server: ServerProcess | undefined;
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await server?.close();
});

type ClientNode = Awaited<ReturnType<typeof loadClientNode>>;

const sources = 'sources';
const mirrors = 'mirrors';

/** What an informer said of one object, in order. */
type Story = { readonly what: 'add' | 'update' | 'delete'; readonly uid: string; readonly version: number }[];

/**
 * A controller as others write them, with the informers of @kubernetes/client-node: for every ConfigMap of one
 * namespace there is one of the same name in another, with its data in capitals; no others.
 */
class Mirror {
  readonly stories = new Map<string, Story>();
  readonly #api: CoreV1Api;
  readonly #informers: (Informer<V1ConfigMap> & ObjectCache<V1ConfigMap>)[];
  readonly #due = new Set<string>();
  #working = false;
  #stopped = false;

  constructor({ CoreV1Api: Core, makeInformer }: ClientNode, kubeconfig: KubeConfig) {
    this.#api = kubeconfig.makeApiClient(Core);
    this.#informers = [sources, mirrors].map((namespace) => {
      const list = () => this.#api.listNamespacedConfigMap({ namespace });
      const informer = makeInformer(kubeconfig, `/api/v1/namespaces/${namespace}/configmaps`, list);
      for (const what of ['add', 'update', 'delete'] as const)
        informer.on(what, (object) => this.#heard(namespace, what, object));
      // Its informers leave it to their users to begin again.
      informer.on('error', () => {
        void sleep(50).then(() => (this.#stopped ? undefined : informer.start()));
      });
      return informer;
    });
  }

  async start(): Promise<void> {
    for (const informer of this.#informers) await informer.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const informer of this.#informers) await informer.stop();
  }

  #heard(namespace: string, what: Story[number]['what'], { metadata }: V1ConfigMap): void {
    const name = metadata?.name ?? '';
    const key = `${namespace}/${name}`;
    const story = this.stories.get(key) ?? [];
    story.push({ what, uid: metadata?.uid ?? '', version: Number(metadata?.resourceVersion) });
    this.stories.set(key, story);
    this.#due.add(name);
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (const name of this.#due) {
      if (this.#stopped) break;
      this.#due.delete(name);
      try {
        await this.#reconcile(name);
      } catch {
        // The server is away, or another version came first: later once more.
        await sleep(20);
        this.#due.add(name);
      }
    }
    this.#working = false;
  }

  async #reconcile(name: string): Promise<void> {
    const [from, to] = this.#informers;
    const source = from?.get(name, sources);
    const mirror = to?.get(name, mirrors);
    if (source === undefined) {
      if (mirror !== undefined) await this.#api.deleteNamespacedConfigMap({ namespace: mirrors, name });
      return;
    }
    const data = Object.fromEntries(Object.entries(source.data ?? {}).map(([k, v]) => [k, v.toUpperCase()]));
    const body = { metadata: { ...mirror?.metadata, name, namespace: mirrors }, data };
    if (mirror === undefined) await this.#api.createNamespacedConfigMap({ namespace: mirrors, body });
    else if (JSON.stringify(mirror.data ?? {}) !== JSON.stringify(data))
      await this.#api.replaceNamespacedConfigMap({ namespace: mirrors, name, body });
  }
}

function kubeconfigOf({ KubeConfig: Config }: ClientNode, { admin }: ServerProcess): KubeConfig {
  const base64 = (text = '') => Buffer.from(text).toString('base64');
  const kubeconfig = new Config();
  kubeconfig.loadFromClusterAndUser(
    { name: 'c', server: admin.server, caData: base64(admin.certificateAuthority), skipTLSVerify: false },
    { name: 'u', certData: base64(admin.clientCertificate), keyData: base64(admin.clientKey) },
  );
  return kubeconfig;
}

/** Creates, changes and deletes ConfigMaps of 20 names. `expected` is what their mirrors are to be. */
async function write(client: ApiClient, i: number, expected: Map<string, string>): Promise<void> {
  const name = `map-${i % 20}`;
  const place = { namespace: sources, name };
  if (i % 7 === 6) {
    await persistently(() => client.delete('configMaps', place));
    expected.delete(name);
    return;
  }
  const text = `written-${i}`;
  const data = { text };
  await persistently(() => client.create('configMaps', { metadata: place, data }));
  await persistently(() => client.patch('configMaps', place, { type: 'merge', body: { data } }));
  expected.set(name, text.toUpperCase());
}

/** An object appears before it changes, changes only to newer versions, goes once. */
function checkStory(key: string, story: Story): void {
  for (const [n, { what, version }] of story.entries()) {
    const before = story[n - 1];
    const isThere = before !== undefined && before.what !== 'delete';
    const place = `${key}, step ${n}: ${before?.what} then ${what}`;
    if (!isThere) expect(what, place).toBe('add');
    else {
      expect(what, place).not.toBe('add');
      // The last state of what went while nobody watched is told at its own version.
      if (what === 'update') expect(version, place).toBeGreaterThan(before.version);
      else expect(version, place).toBeGreaterThanOrEqual(before.version);
    }
  }
}

describe('a controller of @kubernetes/client-node', () => {
  test('loses and repeats nothing over kills of the API server, and ends where it should', {
    timeout: 180_000,
  }, async () => {
    const library = await loadClientNode();
    server = await startServerProcess();
    const client = connect(server.admin);
    stops.push(() => client.close());
    for (const name of [sources, mirrors]) await client.create('namespaces', { metadata: { name } });
    const mirror = new Mirror(library, kubeconfigOf(library, server));
    stops.push(() => mirror.stop());
    await mirror.start();
    const expected = new Map<string, string>();
    for (let round = 0; round < 5; round++) {
      const killed = sleep(100 * (round + 1)).then(() => server?.killAndStart());
      for (let i = round * 60; i < (round + 1) * 60; i++) await write(client, i, expected);
      await killed;
    }
    const textOf = ({ metadata, data }: Stored<ConfigMap>): [string, string] => [metadata.name, data?.text ?? ''];
    const mirrored = async () => (await client.list('configMaps', { namespace: mirrors })).items.map(textOf).sort();
    await expect.poll(mirrored, { timeout: 60_000, interval: 100 }).toEqual([...expected].sort());
    for (const [key, story] of mirror.stories) checkStory(key, story);
    // And what was told last is what there is.
    const { items } = await client.list('configMaps', { namespace: sources });
    expect(items.length).toBe(expected.size);
    for (const { metadata } of items) {
      const last = mirror.stories.get(`${sources}/${metadata.name}`)?.at(-1);
      expect([metadata.name, last?.version]).toEqual([metadata.name, Number(metadata.resourceVersion)]);
    }
  });
});
