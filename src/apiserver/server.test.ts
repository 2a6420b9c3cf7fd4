import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { defaultLimits } from './in-flight.ts';
import type { ClusterPki } from './pki.ts';
import { runApiServer, startApiServer } from './server.ts';
import { startTestServer, type TestClientConfig, type TestServer } from './test-server.ts';

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer();
});
afterEach(() => server.close());

function open(method: string, path: string, body?: object): Promise<IncomingMessage> {
  const { admin } = server;
  return new Promise((resolve, reject) => {
    // A connection of its own: one kept from before a restart may break under it.
    const options = {
      agent: false,
      method,
      ca: admin.certificateAuthority,
      cert: admin.clientCertificate,
      key: admin.clientKey,
    };
    request(`${admin.server}${path}`, { ...options, headers: { 'content-type': 'application/json' } }, resolve)
      .on('error', reject)
      .end(body === undefined ? undefined : JSON.stringify(body));
  });
}
async function text(response: IncomingMessage): Promise<string> {
  let all = '';
  for await (const chunk of response.setEncoding('utf8')) all += chunk;
  return all;
}
const configMaps = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string, data = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

test('startApiServer ends watches cleanly when it stops, and keeps what was acknowledged', async () => {
  const made = JSON.parse(await text(await open('POST', configMaps, configMap('kept'))));
  const watch = await open('GET', `${configMaps}?watch=1&resourceVersion=${made.metadata.resourceVersion}`);
  const ended = text(watch);
  const begin = performance.now();
  await server.restart();
  expect(await ended).toBe('');
  expect(watch.complete).toBe(true);
  expect(performance.now() - begin).toBeLessThan(4_000);
  expect(JSON.parse(await text(await open('GET', `${configMaps}/kept`)))).toEqual(made);
});

test('startApiServer answers what is under way when it stops, and soon, whoever comes again', {
  timeout: 60_000,
}, async () => {
  const { admin } = server;
  const { port } = new URL(admin.server);
  const tls = { ca: admin.certificateAuthority, cert: admin.clientCertificate, key: admin.clientKey };
  const agent = new Agent({ keepAlive: true, maxSockets: 32, ...tls });
  /** The status code; nothing when there was no connection. */
  const send = (method: string, path: string, body?: object) =>
    new Promise<number | undefined>((resolve) => {
      const headers = { 'content-type': 'application/json' };
      request({ agent, port, host: '127.0.0.1', method, path, headers }, (answer) => {
        // 'end' does not come when the connection ends in the middle of an answer.
        answer.resume().once('close', () => resolve(answer.complete ? answer.statusCode : undefined));
        answer.once('error', () => {});
      })
        .once('error', () => resolve(undefined))
        .end(body === undefined ? undefined : JSON.stringify(body));
    });
  let stopped = false;
  const watchAgain = async () => {
    while (!stopped) if ((await send('GET', `${configMaps}?watch=1`)) === undefined) await setTimeout(5);
  };
  const codes = new Set<number | undefined>();
  const created: string[] = [];
  const write = async (worker: number) => {
    for (let i = 0; !stopped; i++) {
      const name = `w-${worker}-${i}`;
      const code = await send('POST', configMaps, configMap(name));
      codes.add(code);
      if (code === 201) created.push(name);
      if (code === undefined) await setTimeout(5);
    }
  };
  const clients = [...Array.from({ length: 8 }, watchAgain), ...Array.from({ length: 16 }, (_, i) => write(i))];
  await expect.poll(() => created.length, { timeout: 20_000 }).toBeGreaterThan(100);
  const begin = performance.now();
  await server.api.close();
  expect(performance.now() - begin).toBeLessThan(4_000);
  stopped = true;
  await Promise.all(clients);
  agent.destroy();
  expect([201, 503, undefined]).toEqual(expect.arrayContaining([...codes]));
  await server.restart();
  const { items } = JSON.parse(await text(await open('GET', configMaps))) as {
    items: { metadata: { name: string } }[];
  };
  const names = new Set(items.map(({ metadata }) => metadata.name));
  expect(created.filter((name) => !names.has(name))).toEqual([]);
});

test('a watch from before what the store still knows ends with 410', async () => {
  const made = JSON.parse(await text(await open('POST', configMaps, configMap('old'))));
  await text(await open('DELETE', `${configMaps}/old`));
  await server.api.close();
  const store = await openLmdbStore(join(server.dir, 'data'));
  await store.compact(await store.revision());
  await store.close();
  await server.restart();
  const watch = await text(await open('GET', `${configMaps}?watch=1&resourceVersion=${made.metadata.resourceVersion}`));
  expect(JSON.parse(watch)).toMatchObject({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } });
});

test('a watcher that does not read is dropped, and the others see everything', { timeout: 60_000 }, async () => {
  const { metadata } = JSON.parse(await text(await open('GET', configMaps)));
  const path = `${configMaps}?watch=1&resourceVersion=${metadata.resourceVersion}`;
  const idle = await open('GET', path);
  idle.pause();
  const dropped = new Promise((resolve) => idle.socket.once('close', resolve));
  idle.on('error', () => {});
  const busy = await open('GET', path);
  let lines = 0;
  busy.on('data', (chunk: Buffer) => {
    lines += chunk.filter((byte) => byte === 10).length;
  });
  const value = 'x'.repeat(900_000);
  for (let i = 0; i < 40; i++) {
    await text(await open('POST', configMaps, configMap(`big-${i}`, { value })));
    // Who reads, but nine such events late, is dropped too.
    while (lines <= i) await once(busy, 'data');
  }
  expect(lines).toBe(40);
  idle.resume();
  await dropped;
  busy.destroy();
});

test('runApiServer resolves when its signal aborts', async () => {
  const { admin } = server;
  const stop = new AbortController();
  const config = {
    listen: [{ host: '127.0.0.1', port: 0 }],
    store: { lmdb: { dir: join(server.dir, 'other') } },
    pki: pkiOf(admin),
    serviceAccountIssuer: 'https://issuer',
    disabledAdmission: [],
    serviceCidrs: ['10.96.0.0/12'],
    nodePortRange: { from: 30_000, to: 32_767 },
    limits: defaultLimits,
    apiServerAddress: { ip: parseIp('10.0.0.1'), port: 6443 },
  };
  const running = runApiServer(config, stop.signal);
  const stopping = setTimeout(100).then(() => stop.abort());
  await running;
  await stopping;
});

test('startApiServer names the address that is taken', async () => {
  const { port } = new URL(server.admin.server);
  const { admin } = server;
  const starting = startApiServer({
    listen: [{ host: '127.0.0.1', port: Number(port) }],
    store: { lmdb: { dir: join(server.dir, 'other') } },
    pki: pkiOf(admin),
    serviceAccountIssuer: 'https://issuer',
    disabledAdmission: [],
    serviceCidrs: ['10.96.0.0/12'],
    nodePortRange: { from: 30_000, to: 32_767 },
    limits: defaultLimits,
  });
  await expect(starting).rejects.toThrow(new RegExp(`127.0.0.1:${port} cannot be listened on .* \\[LISTEN_FAILED\\]`));
});

function pkiOf({ certificateAuthority, clientCertificate, clientKey }: TestClientConfig): ClusterPki {
  const pair = { serverCert: clientCertificate, serverKey: clientKey };
  return { caCert: certificateAuthority, ...pair, serviceAccountKey: clientKey };
}
