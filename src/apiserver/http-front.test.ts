import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
/** Connections of a test, to be ended whatever became of it. */
const open = new Set<{ destroy(): void }>();

/** Lets the tests beside it have a server that gives requests so long to arrive, and clients to take answers. */
function serving(requestMs: number): void {
  beforeAll(async () => {
    const limits = { reads: 1, writes: 1, streams: 2, requestMs, answerBytes: 16 << 20 };
    server = await startTestServer({ limits, authenticate });
    const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list', 'watch', 'create'] }];
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'maps' }, rules };
    const subjects = [{ kind: 'Group', name: 'readers', apiGroup: 'rbac.authorization.k8s.io' }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'maps' };
    await post('/apis/rbac.authorization.k8s.io/v1/clusterroles', role);
    await post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      ...{ apiVersion: role.apiVersion, kind: 'ClusterRoleBinding', metadata: { name: 'maps' }, subjects, roleRef },
    });
  });
  afterEach(() => {
    for (const socket of open) socket.destroy();
  });
  afterAll(() => server.close());
}

function authenticate({ headers }: IncomingMessage) {
  const name = headers['x-user'];
  if (typeof name !== 'string') return undefined;
  return { name, groups: name === 'admin' ? ['system:masters'] : ['system:authenticated', 'readers'] };
}

async function post(url: string, body: object, user = 'admin') {
  const headers = { 'x-user': user, 'content-type': 'application/json' };
  return server.inject({ method: 'POST', url, headers, payload: JSON.stringify(body) });
}
const configMap = (name: string, value = '') => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } },
});
const get = (url: string, user = 'admin') => server.inject({ method: 'GET', url, headers: { 'x-user': user } });

/** A TLS connection of its own, ended with the test. */
async function dial(): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(server.admin.server);
  const socket = connect({ host, port: Number(port), ca: server.admin.certificateAuthority });
  socket.on('error', () => {});
  open.add(socket);
  socket.once('close', () => open.delete(socket));
  await once(socket, 'secureConnect');
  return socket;
}

/** All that comes until the connection ends. */
async function readAll(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
  });
  socket.resume();
  if (!socket.closed) await once(socket, 'close');
  return text;
}

/** Sends bytes, and returns what comes until the server ends the connection. */
async function exchange(...pieces: readonly (string | Buffer)[]): Promise<{ code: number; status: unknown }> {
  const socket = await dial();
  const all = readAll(socket);
  for (const piece of pieces) socket.write(piece);
  const text = await all;
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  return { code: Number(text.split(' ')[1]), status: JSON.parse(body) };
}
const failure = (code: number, reason: string) => ({
  ...{ code, status: expect.objectContaining({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason }) },
});
const head = (method: string, path: string, ...more: string[]) =>
  `${[`${method} ${path} HTTP/1.1`, 'host: x', 'x-user: reader', ...more].join('\r\n')}\r\n\r\n`;
const json = 'content-type: application/json';

/** More of them than the kernel takes from the server before a client reads. */
async function makeLongList(): Promise<void> {
  for (let i = 0; i < 12; i++) await post(maps, configMap(`large-${i}`, 'x'.repeat(1_000_000)));
}

async function openWatches(): Promise<number> {
  const { body } = await get('/metrics');
  const values = body.matchAll(/^apiserver_longrunning_requests\{.*\} (\d+)$/gm);
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

describe('HttpFront that gives up soon', () => {
  serving(800);

  test('HttpFront gives up on headers and bodies that do not arrive, and says so', async () => {
    const late = failure(408, 'RequestTimeout');
    const begin = performance.now();
    const body = exchange(head('POST', maps, json, 'content-length: 100'), '{"a');
    const headers = [exchange('GET / HT'), exchange('GET / HTTP/1.1\r\nhost: x\r\n')];
    expect(await Promise.all([body, ...headers])).toEqual([late, late, late]);
    expect(await exchange(head('POST', maps, json, 'transfer-encoding: chunked'), '1\r\n{\r\n')).toEqual(late);
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  test('HttpFront gives up on a client that trickles, however often it sends', async () => {
    const socket = await dial();
    const all = readAll(socket);
    socket.write(head('POST', maps, json, 'content-length: 100000'));
    const timer = setInterval(() => socket.write('x'), 20);
    expect(await all).toMatch(/^HTTP\/1.1 408 /);
    clearInterval(timer);
  });

  test('HttpFront ends a connection whose handshake does not go on', async () => {
    const { hostname, port } = new URL(server.admin.server);
    const socket = connectTcp(Number(port), hostname);
    socket.on('error', () => {});
    await once(socket, 'close');
  });

  test('HttpFront has room for so many watches, and again when one is over', async () => {
    const watch = async () => {
      const socket = await dial();
      socket.write(head('GET', `${maps}?watch=1&resourceVersion=0`));
      const [first] = (await once(socket, 'data')) as [Buffer];
      return { socket, code: Number(first.toString().split(' ')[1]) };
    };
    const all = [await watch(), await watch(), await watch()];
    expect(all.map(({ code }) => code)).toEqual([200, 200, 429]);
    expect((await get(maps, 'reader')).statusCode).toBe(200);
    for (const { socket } of all.slice(1)) socket.destroy();
    await expect
      .poll(async () => {
        const { socket, code } = await watch();
        socket.destroy();
        return code;
      })
      .toBe(200);
    // The first one outlives the time in which a request has to arrive: nothing waits for its client.
    expect(all[0]?.socket.closed).toBe(false);
    all[0]?.socket.destroy();
  });

  test('HttpFront cuts off a client that takes nothing of a list or a watch', { timeout: 60_000 }, async () => {
    await makeLongList();
    for (const path of [maps, `${maps}?watch=1`, `${maps}?watch=1&resourceVersion=0&timeoutSeconds=1`]) {
      const socket = await dial();
      socket.write(head('GET', path));
      await once(socket, 'readable');
      socket.pause();
      const begin = performance.now();
      // The server is done with it, although the client never said a word.
      await expect.poll(openWatches, { timeout: 20_000 }).toBe(0);
      const again = async () => (await get(`${maps}?limit=1`, 'reader')).statusCode;
      await expect.poll(again, { timeout: 20_000 }).toBe(200);
      expect(performance.now() - begin).toBeLessThan(20_000);
      // What the kernel holds comes, and then the end, before the whole.
      const text = await readAll(socket);
      expect(text.length).toBeLessThan(12_000_000);
    }
  });
});

describe('HttpFront that is patient', () => {
  serving(60_000);

  test('HttpFront refuses a body above 3 MB, announced or not, and takes one below', async () => {
    const tooLarge = failure(413, 'RequestEntityTooLarge');
    const big = 'x'.repeat(3 * 1024 * 1024 + 1);
    const headers = { 'x-user': 'admin', 'content-type': 'application/json' };
    const announced = await server.inject({ method: 'POST', url: maps, headers, payload: big });
    expect(announced).toMatchObject({ statusCode: 413 });
    expect(JSON.parse(announced.body)).toMatchObject({ kind: 'Status', reason: 'RequestEntityTooLarge' });
    const chunk = `${(1 << 20).toString(16)}\r\n${'x'.repeat(1 << 20)}\r\n`;
    const chunked = head('POST', maps, json, 'transfer-encoding: chunked', 'connection: close');
    expect(await exchange(chunked, chunk, chunk, chunk, chunk, '0\r\n\r\n')).toEqual(tooLarge);
    const fits = await post(maps, configMap('fits', 'x'.repeat(900_000)));
    expect(fits.statusCode).toBe(201);
  });

  test.each([
    ['what is not HTTP', 'hello\r\n\r\n', failure(400, 'BadRequest')],
    ['TLS within TLS', Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), failure(400, 'BadRequest')],
    ['two lengths', 'POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', failure(400, 'BadRequest')],
    [
      'a length and chunks',
      head('POST', maps, 'content-length: 4', 'transfer-encoding: chunked'),
      failure(400, 'BadRequest'),
    ],
    ['a NUL byte in a header', head('GET', '/', 'x-a: a\0b', 'connection: close'), failure(400, 'BadRequest')],
    ['too long a header', head('GET', '/', `x-a: ${'a'.repeat(70_000)}`), failure(431, 'RequestHeaderFieldsTooLarge')],
    [
      'too long a selector',
      head('GET', `${maps}?labelSelector=${'a,'.repeat(40_000)}a`),
      failure(431, 'RequestHeaderFieldsTooLarge'),
    ],
    ['a broken escape', head('GET', '/api/v1/%zz', 'connection: close'), failure(400, 'BadRequest')],
    ['an escape that is no UTF-8', head('GET', '/api/v1/%ff', 'connection: close'), failure(400, 'BadRequest')],
    ['an unknown method', head('TRACE', maps, 'connection: close'), failure(403, 'Forbidden')],
    ['the same method where nothing is', head('TRACE', '/', 'connection: close'), failure(403, 'Forbidden')],
  ])('HttpFront answers %s with a Status', async (_, request, expected) => {
    expect(await exchange(request)).toEqual(expected);
  });

  test('HttpFront takes a target that names the server too, and ignores an upgrade that means nothing', async () => {
    const absolute = await exchange(head('GET', `https://x:1${maps}`, 'connection: close'));
    expect(absolute).toMatchObject({ code: 200, status: { kind: 'ConfigMapList' } });
    const upgraded = await exchange(head('GET', maps, 'connection: upgrade', 'upgrade: websocket'));
    expect(upgraded).toMatchObject({ code: 200, status: { kind: 'ConfigMapList' } });
  });

  test('HttpFront has room for so many requests, says when there is none, and lets administrators and health through', async () => {
    const slow = await dial();
    slow.write(head('POST', maps, json, 'content-length: 100'));
    slow.write('{');
    // Tried only: it may get in before the slow one has.
    const refused = () => post(`${maps}?dryRun=All`, configMap('busy'), 'reader');
    await expect.poll(async () => (await refused()).statusCode).toBe(429);
    const answer = await refused();
    expect(answer.headers['retry-after']).toBe('1');
    expect(JSON.parse(answer.body)).toMatchObject({ kind: 'Status', reason: 'TooManyRequests', code: 429 });
    expect((await get(maps, 'reader')).statusCode).toBe(200);
    expect((await post(maps, configMap('mine'), 'admin')).statusCode).toBe(201);
    expect((await get('/readyz', '')).body).toBe('ok');
    slow.destroy();
    await expect.poll(async () => (await refused()).statusCode).toBe(201);
  });

  test('HttpFront holds so much of long answers for slow clients, and says when it is too much', async () => {
    await makeLongList();
    const slow = await dial();
    slow.write(head('GET', maps));
    await once(slow, 'readable');
    slow.pause();
    // What is short is answered all the same.
    expect((await get(maps, 'admin')).statusCode).toBe(429);
    expect((await get(`${maps}?fieldSelector=metadata.name=none`, 'admin')).statusCode).toBe(200);
    slow.destroy();
    await expect.poll(async () => (await get(maps, 'admin')).statusCode).toBe(200);
  });
});
