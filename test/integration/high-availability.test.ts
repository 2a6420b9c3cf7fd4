import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfigMap } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import { apiServerNames, ensurePki } from '../../src/apiserver/pki.ts';
import { connect } from '../../src/client/client.ts';
import { createInformer } from '../../src/client/informer.ts';
import { runAsLeader } from '../../src/client/leader-election.ts';
import { compareResourceVersions } from '../../src/client/resource-version.ts';
import { type ApiClient, ApiError, type ClientConfig } from '../../src/client/types.ts';
import { aborted } from '../../src/component/abort.ts';
import { sleep } from '../../src/component/backoff.ts';
import { startEtcdCluster, type TestEtcd } from '../../src/store/etcd/start-etcd.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

let etcd: TestEtcd[] = [];
const servers: ServerProcess[] = [];
let pkiDir: string;
/** As a kubeconfig with all three servers says. */
let config: ClientConfig;
const clients: ApiClient[] = [];

beforeAll(async () => {
  pkiDir = await mkdtemp(join(tmpdir(), 'signalbox-pki-'));
  await ensurePki(pkiDir, apiServerNames({ clusterDomain: 'cluster.local', ips: ['10.96.0.1'] }));
  etcd = await startEtcdCluster(3);
  const endpoints = etcd.map(({ endpoint }) => endpoint);
  // Each asks another member first.
  const stores = endpoints.map((_, i) => [...endpoints.slice(i), ...endpoints.slice(0, i)]);
  // One after the other: they write their administrator's certificate to the same place.
  for (const endpoints of stores) servers.push(await startServerProcess({ pkiDir, store: { etcd: { endpoints } } }));
  const [first, ...others] = servers.map(({ admin }) => admin);
  if (first === undefined) throw new Error('no server runs');
  config = { ...first, otherServers: others.map(({ server }) => server) };
}, 60_000);
afterAll(async () => {
  for (const client of clients) client.close();
  for (const server of servers) await server.close();
  for (const member of etcd) await member.remove();
  await rm(pkiDir, { recursive: true });
}, 60_000);

function client(): ApiClient {
  const created = connect(config);
  clients.push(created);
  return created;
}

/** Writes that the API has acknowledged: name to number of the last one. */
type Acknowledged = Map<string, number>;

const at = (name: string) => ({ namespace: 'default', name });

/** Counts up in an object of its own, without pause but for others' turn, until the signal aborts. */
async function write(name: string, acknowledged: Acknowledged, signal: AbortSignal): Promise<void> {
  const own = client();
  let known: Stored<ConfigMap> | undefined;
  while (!signal.aborted) {
    const data = { count: String(Number(known?.data?.count ?? 0) + 1) };
    try {
      known =
        known === undefined
          ? await own.create('configMaps', { metadata: at(name), data })
          : await own.update('configMaps', { ...known, data });
      acknowledged.set(name, Number(known.data?.count));
      await sleep(3);
    } catch {
      // Nobody knows whether it was carried out: that is looked up.
      await sleep(10);
      known = await own.get('configMaps', at(name)).catch((error: unknown) => {
        if (error instanceof ApiError && error.code === 404) return undefined;
        return known;
      });
    }
  }
}

/** What an informer tells of each object, to be compared with what must have been told. */
function follow() {
  const told = new Map<string, Stored<ConfigMap>[]>();
  const informer = createInformer(client(), 'configMaps', { namespace: 'default' });
  informer.onChange(({ current }) => {
    if (current !== undefined) told.set(current.metadata.name, [...(told.get(current.metadata.name) ?? []), current]);
  });
  return { told, informer };
}

test('any API server and any etcd member may be killed: nothing acknowledged is lost, and watches and leases go on', {
  timeout: 120_000,
}, async () => {
  const acknowledged: Acknowledged = new Map();
  const stop = new AbortController();
  const followers = [follow(), follow(), follow()];
  const names = ['a', 'b', 'c', 'd'];
  const writing = names.map((name) => write(name, acknowledged, stop.signal));
  const terms: string[] = [];
  const times = { leaseDuration: 8_000, renewDeadline: 6_000, retryPeriod: 200 };
  const lease = { namespace: 'default', name: 'leader' };
  const stand = (identity: string, signal: AbortSignal) =>
    runAsLeader(
      { client: client(), lease, identity, times },
      async (until) => {
        terms.push(identity);
        await aborted(until);
      },
      signal,
    );
  const firstTerm = new AbortController();
  const first = stand('first', firstTerm.signal);
  await expect.poll(() => terms).toEqual(['first']);
  const second = stand('second', stop.signal);

  const goesOn = async () => {
    const before = new Map(acknowledged);
    await expect
      .poll(() => names.every((name) => (acknowledged.get(name) ?? 0) > (before.get(name) ?? 0) + 5), {
        timeout: 20_000,
      })
      .toBe(true);
  };
  for (const part of [...servers, ...etcd]) {
    await goesOn();
    await part.kill();
    await goesOn();
    await part.start();
  }
  await goesOn();
  // It has kept its lease through all that, and hands it over when it ends.
  expect(terms).toEqual(['first']);
  firstTerm.abort();
  await first;
  await expect.poll(() => terms).toEqual(['first', 'second']);
  stop.abort();
  await Promise.all([...writing, second]);

  const reader = client();
  const stored = await Promise.all(names.map((name) => reader.get('configMaps', at(name))));
  for (const { metadata, data } of stored)
    expect(Number(data?.count)).toBeGreaterThanOrEqual(acknowledged.get(metadata.name) ?? Number.POSITIVE_INFINITY);
  for (const { told, informer } of followers) {
    for (const { metadata, data } of stored) {
      await expect
        .poll(() => told.get(metadata.name)?.at(-1)?.metadata.resourceVersion, { timeout: 20_000 })
        .toBe(metadata.resourceVersion);
      const versions = (told.get(metadata.name) ?? []).map((each) => each.metadata.resourceVersion);
      // None twice, and none out of order.
      expect(
        versions.every((version, i) => i === 0 || compareResourceVersions(versions[i - 1] ?? '', version) < 0),
      ).toBe(true);
      const counts = (told.get(metadata.name) ?? []).map((each) => Number(each.data?.count));
      expect(counts.at(-1)).toBe(Number(data?.count));
      // None lost: the watch went on from where it broke off.
      expect(counts).toEqual(Array.from(counts, (_, i) => (counts[0] ?? 0) + i));
    }
    informer.stop();
  }
});
