import { once } from 'node:events';
import { createServer, ServerResponse } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import WebSocket, { type ClientOptions } from 'ws';
import type { ApiRequest } from './requests.ts';
import { startTestServer, type TestServer } from './test-server.ts';
import { openMessages } from './web-socket.ts';

const maps = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
let admin: { readonly ca: string; readonly cert: string; readonly key: string };
let anybody: { readonly ca: string };
beforeAll(async () => {
  server = await startTestServer({ disabledAdmission: [] });
  const { certificateAuthority: ca, clientCertificate: cert, clientKey: key } = server.admin;
  admin = { ca, cert, key };
  anybody = { ca };
});
afterAll(() => server.close());

interface Event {
  readonly type: string;
  readonly object: { readonly kind: string; readonly metadata: { readonly name?: string } };
}

/** A watch by WebSocket: what has come so far, and why it was over. */
function watch(query: string, options: ClientOptions, protocols: readonly string[] = []) {
  const url = `${server.admin.server.replace('https', 'wss')}${maps}?watch=1&${query}`;
  const socket = new WebSocket(url, [...protocols], options);
  const events: Event[] = [];
  socket.on('message', (data, isBinary) => {
    expect(isBinary).toBe(false);
    events.push(JSON.parse(String(data)) as Event);
  });
  const over = new Promise<number | string>((resolve) => {
    socket.once('error', ({ message }) => resolve(message));
    socket.once('close', resolve);
  });
  return { socket, events, over };
}

async function send(method: string, path: string, body?: object): Promise<{ status: { token: string } }> {
  const headers = { 'content-type': 'application/json' };
  const sent = request(`${server.admin.server}${path}`, { ...admin, method, headers });
  sent.end(body && JSON.stringify(body));
  const [answer] = await once(sent, 'response');
  let text = '';
  for await (const piece of answer) text += piece;
  return JSON.parse(text);
}
const configMap = (name: string) => ({ metadata: { name } });

describe('openMessages', () => {
  test('sends a watcher each event as one message', async () => {
    await send('POST', maps, configMap('before'));
    const { events, socket } = watch('', admin, ['base64.binary.k8s.io']);
    await once(socket, 'open');
    expect(socket.protocol).toBe('base64.binary.k8s.io');
    await send('POST', maps, configMap('after'));
    await send('DELETE', `${maps}/before`);
    await expect
      .poll(() => events.map(({ type, object }) => [type, object.metadata.name]))
      .toEqual([
        ['ADDED', 'before'],
        ['ADDED', 'after'],
        ['DELETED', 'before'],
      ]);
    socket.terminate();
  });

  test('closes when the time of a watch is over, after a bookmark', async () => {
    const query = 'timeoutSeconds=1&allowWatchBookmarks=1&fieldSelector=metadata.name=none';
    const { events, over } = watch(query, admin);
    expect(await over).toBe(1000);
    expect(events.map(({ type }) => type)).toEqual(['BOOKMARK']);
  });

  test('refuses as plain HTTP does, before the connection becomes another', async () => {
    expect(await watch('resourceVersion=x', admin).over).toBe('Unexpected server response: 400');
    expect(await watch('', anybody).over).toBe('Unexpected server response: 401');
  });

  test('tells a client that its handshake is wrong', async () => {
    const headers = { connection: 'upgrade', upgrade: 'websocket' };
    const sent = request(`${server.admin.server}${maps}?watch=1`, { ...admin, headers });
    sent.on('error', () => {}).end();
    const [answer] = await once(sent, 'response');
    expect(answer.statusCode).toBe(400);
    answer.resume();
  });

  test('is over when the client goes', async () => {
    const { socket, over } = watch('', admin);
    await once(socket, 'open');
    socket.close();
    expect(await over).toBe(1005);
  });
});

describe('openMessages of bytes', () => {
  test.each([
    ['base64.binary.k8s.io', ['aGk=', 'IQ==']],
    ['binary.k8s.io', [Buffer.from('hi'), Buffer.from('!')]],
    [undefined, [Buffer.from('hi'), Buffer.from('!')]],
  ])('in the protocol %s', async (protocol, expected) => {
    const plain = createServer().on('upgrade', async (request, socket, head) => {
      const response = new ServerResponse(request);
      const messages = await openMessages('bytes', { response } as ApiRequest, { take: () => socket, head });
      messages?.write('hi');
      messages?.end('!');
    });
    await once(plain.listen(0, '127.0.0.1'), 'listening');
    const socket = new WebSocket(`ws://127.0.0.1:${(plain.address() as AddressInfo).port}`, protocol);
    const received: (Buffer | string)[] = [];
    socket.on('message', (data, isBinary) => received.push(isBinary ? (data as Buffer) : String(data)));
    await once(socket, 'close');
    plain.close();
    expect(received).toEqual(expected);
  });
});

describe('authenticateWith', () => {
  test('takes a token from the protocols of a WebSocket, and does not send it back', async () => {
    await send('POST', '/api/v1/namespaces/default/serviceaccounts', configMap('browser'));
    const { status } = await send('POST', '/api/v1/namespaces/default/serviceaccounts/browser/token', {});
    const token = `base64url.bearer.authorization.k8s.io.${Buffer.from(status.token).toString('base64url')}`;
    // Known, but not allowed to watch.
    expect(await watch('', anybody, [token, 'p']).over).toBe('Unexpected server response: 403');
    await send('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
      ...configMap('browser'),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'ServiceAccount', name: 'browser', namespace: 'default' }],
    });
    const { socket } = watch('', anybody, [token, 'p']);
    await once(socket, 'open');
    expect(socket.protocol).toBe('p');
    socket.terminate();
    expect(await watch('', anybody, [token]).over).toBe('Unexpected server response: 401');
  });
});
