import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Endpoints } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import { apiServerNames, ensurePki } from '../../src/apiserver/pki.ts';
import { connect } from '../../src/client/client.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { sleep } from '../../src/component/backoff.ts';
import { ask, endpoints, serveEndpoints } from '../../src/proxy/testing/loopback-bed.ts';
import { startEtcd, type TestEtcd } from '../../src/store/etcd/start-etcd.ts';
import { type ComponentProcess, startComponent } from '../integration/joined-cluster.ts';
import { type ServerProcess, startServerProcess } from '../integration/server-process.ts';

/** Its slices are written here, so that its rules depend on nobody but API server and proxy. */
const direct = { name: 'direct', ip: '10.96.0.7' };
/** Its slices come from the controllers. */
const mirrored = { name: 'mirrored', ip: '10.96.0.8' };
const [one, other] = endpoints;

let folder: string;
let etcd: TestEtcd;
let client: ApiClient;
const servers: ServerProcess[] = [];
const running: ComponentProcess[] = [];
let closeEndpoints = () => {};

beforeAll(async () => {
  closeEndpoints = await serveEndpoints();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-ha-'));
  const pkiDir = join(folder, 'pki');
  await ensurePki(pkiDir, apiServerNames({ clusterDomain: 'cluster.local', ips: ['10.96.0.1'] }));
  etcd = await startEtcd();
  const store = { etcd: { endpoints: [etcd.endpoint] } };
  for (let i = 0; i < 2; i++) servers.push(await startServerProcess({ pkiDir, store }));
  const [first, second] = servers.map(({ admin }) => admin);
  if (first === undefined || second === undefined) throw new Error('no servers run');
  client = connect({ ...first, otherServers: [second.server] });
  const base64 = (text: string | undefined) => Buffer.from(text ?? '').toString('base64');
  const extension = { name: 'signalbox/other-servers', extension: { servers: [second.server] } };
  const ca = base64(first.certificateAuthority);
  const user = {
    'client-certificate-data': base64(first.clientCertificate),
    'client-key-data': base64(first.clientKey),
  };
  const kubeconfig = {
    'current-context': 'ha',
    clusters: [
      { name: 'ha', cluster: { server: first.server, 'certificate-authority-data': ca, extensions: [extension] } },
    ],
    users: [{ name: 'ha', user }],
    contexts: [{ name: 'ha', context: { cluster: 'ha', user: 'ha' } }],
  };
  await write('kubeconfig', kubeconfig);
  await client.create('nodes', { metadata: { name: 'node-1' } });
  for (const { name, ip } of [direct, mirrored])
    await client.create('services', { metadata: at(name), spec: { clusterIP: ip, ports: [{ port: 80 }] } });
}, 120_000);
afterAll(async () => {
  for (const each of running) await each.stop();
  client.close();
  for (const server of servers) await server.close();
  await etcd.remove();
  closeEndpoints();
  await rm(folder, { recursive: true });
}, 120_000);

const at = (name: string) => ({ namespace: 'default', name });

async function write(name: string, content: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

async function startControllers(): Promise<ComponentProcess> {
  const config = await write('controllers.json', { controllers: ['endpointslicemirroring'] });
  const started = startComponent(['controllers', '--kubeconfig', join(folder, 'kubeconfig'), '--config', config]);
  running.push(started);
  return started;
}

async function startProxy(): Promise<void> {
  const config = await write('proxy.json', {
    clientConnection: { kubeconfig: join(folder, 'kubeconfig') },
    clusterCIDR: '10.244.0.0/16',
    hostnameOverride: 'node-1',
    conntrack: { maxPerCore: 0 },
    oomScoreAdj: 0,
  });
  running.push(startComponent(['proxy', '--config', config]));
}

/** Tries until the API acknowledges it. */
async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 500) throw error;
      await sleep(20);
    }
  }
}

/** Makes these the endpoints of the Service whose slice is written here. */
async function serveFrom(...ips: readonly string[]): Promise<void> {
  const slice = {
    metadata: { ...at(direct.name), labels: { 'kubernetes.io/service-name': direct.name } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: ips.map((ip) => ({ addresses: [ip] })),
  };
  await persistently(async () => {
    const { items } = await client.list('endpointSlices', { namespace: 'default' });
    const known = items.find(({ metadata }) => metadata.name === direct.name);
    if (known === undefined) await client.create('endpointSlices', slice);
    else await client.update('endpointSlices', { ...known, ...slice, metadata: known.metadata });
  });
}

/** Until these endpoints answer, and no others. */
function isServedBy(ip: string, ips: readonly string[]): Promise<void> {
  return vi.waitFor(
    async () => {
      const answers = new Set<string>();
      for (let i = 0; i < 24; i++) answers.add(await ask(ip, 80, 5_000));
      expect([...answers].sort()).toEqual([...ips].sort());
    },
    { timeout: 60_000 },
  );
}

const choices = [[one], [other], [one, other]] as const;

const enough = 100;

/**
 * Changes the other Service's endpoints without pause, and counts in an annotation, until it is told to end and has done so
 * often enough; resolves with the last count acknowledged.
 */
async function changeEndpoints(signal: AbortSignal): Promise<number> {
  let acknowledged = 0;
  let known: Stored<Endpoints> | undefined;
  while (!signal.aborted || acknowledged <= enough) {
    const count = Number(known?.metadata.annotations?.count ?? 0) + 1;
    const addresses = (choices[count % choices.length] ?? []).map((ip) => ({ ip }));
    const content = {
      metadata: { ...(known?.metadata ?? at(mirrored.name)), annotations: { count: `${count}` } },
      subsets: [{ addresses, ports: [{ port: 8080 }] }],
    };
    try {
      known =
        known === undefined ? await client.create('endpoints', content) : await client.update('endpoints', content);
      acknowledged = count;
      await sleep(20);
    } catch {
      // Nobody knows whether it was carried out: that is looked up.
      await sleep(20);
      known = await client.get('endpoints', at(mirrored.name)).catch(() => known);
    }
  }
  return acknowledged;
}

async function lease() {
  const { spec = {} } = await persistently(() =>
    client.get('leases', { namespace: 'kube-system', name: 'signalbox-controllers' }),
  );
  return { holder: spec.holderIdentity, seconds: spec.leaseDurationSeconds ?? 0 };
}

test('whoever is killed, rules converge: each API server, and the controllers that lead', {
  timeout: 300_000,
}, async () => {
  const leading = await startControllers();
  await vi.waitFor(async () => expect((await lease()).holder).toBeTruthy(), { timeout: 60_000 });
  const { holder: killed, seconds } = await lease();
  await startControllers();
  await startProxy();
  await serveFrom(one);
  await isServedBy(direct.ip, [one]);
  const stop = new AbortController();
  const changing = changeEndpoints(stop.signal);

  await leading.stop('SIGKILL');
  const killedAt = Date.now();
  for (const [i, server] of servers.entries()) {
    await server.kill();
    const now = i === 0 ? [other] : [one, other];
    await serveFrom(...now);
    await isServedBy(direct.ip, now);
    await server.start();
  }

  // Then its time is over; who stands by looks every two seconds or a little less often.
  const followsBy = killedAt + (seconds + 5) * 1_000;
  await vi.waitFor(
    async () => {
      const { holder } = await lease();
      expect(holder).not.toBe(killed);
      expect(holder).toBeTruthy();
    },
    { timeout: Math.max(20_000, followsBy - Date.now()), interval: 100 },
  );
  stop.abort();
  const acknowledged = await changing;
  const { metadata, subsets = [] } = await client.get('endpoints', at(mirrored.name));
  expect(Number(metadata.annotations?.count)).toBeGreaterThanOrEqual(acknowledged);
  const last = subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));
  await isServedBy(mirrored.ip, last);
  await isServedBy(direct.ip, [one, other]);
});
