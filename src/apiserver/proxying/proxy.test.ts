import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callServer, startTestServer, type TestServer } from '../test-server.ts';
import { startTestBackend, startTestNode, type TestBackend, type TestNode } from './test-backend.ts';

const base = '/api/v1/namespaces/default';
const web = `${base}/services/web/proxy`;
const limits = { reads: 20, writes: 20, streams: 20, requestMs: 2_000, answerBytes: 16 << 20 };
let server: TestServer;
let node: TestNode;
const backends: TestBackend[] = [];
/** Resolves when the connection of `/forever` has ended. */
let foreverEnded: Promise<unknown> = Promise.resolve();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://backend');
  switch (pathname) {
    case '/forever':
      foreverEnded = once(request.socket, 'close');
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: first\n\n');
      return;
    case '/redirect':
      response.writeHead(302, { location: searchParams.get('to') ?? '' }).end();
      return;
    case '/page': {
      const page = gzipSync('<p><a href="/a">');
      response.writeHead(200, {
        'content-type': 'text/html; charset=utf-8',
        'content-encoding': 'gzip',
        'content-length': page.length,
      });
      response.end(page);
      return;
    }
    case '/early':
      response.writeHead(413).end('too much');
      return;
    case '/cut':
      response.writeHead(200, { 'content-length': '100' }).write('some', () => response.destroy());
      return;
    case '/hash': {
      const hash = createHash('sha256');
      for await (const piece of request) hash.update(piece as Buffer);
      response.end(hash.digest('hex'));
      return;
    }
    default: {
      const body = await text(request);
      const { method, url, rawHeaders } = request;
      response.setHeader('set-cookie', ['a=1', 'b=2']);
      response.setHeader('access-control-allow-origin', '*');
      response.statusCode = Number(searchParams.get('code') ?? 200);
      response.end(JSON.stringify({ method, url, headers: rawHeaders, body }));
    }
  }
}

const pod = (name: string, ip: string) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: {
    nodeName: 'node-1',
    containers: [
      { name: 'side', image: 'x' },
      { name: 'main', image: 'x', ports: [{ containerPort: 8080 }, { containerPort: 9090 }] },
    ],
  },
  status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] },
});
const service = (name: string, ports: readonly object[]) => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports } },
});
const endpoint = (ip: string, name: string, ready = true) => ({
  addresses: [ip],
  conditions: { ready },
  targetRef: { kind: 'Pod', namespace: 'default', name },
});
const slice = (of: string, ports: readonly object[], endpoints: readonly object[]) => ({
  ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4', ports, endpoints },
  metadata: { name: `${of}-1`, labels: { 'kubernetes.io/service-name': of } },
});

async function create(plural: string, object: object, path = `${base}/${plural}`): Promise<void> {
  const { code, body } = await call('POST', path, { body: object });
  if (code !== 201) throw new Error(body.message);
}
async function createPod(name: string, ip: string): Promise<void> {
  await create('pods', pod(name, ip));
  await call('PUT', `${base}/pods/${name}/status`, { body: pod(name, ip) });
}
const createSlice = (...args: Parameters<typeof slice>) =>
  create('', slice(...args), '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices');

beforeAll(async () => {
  const authenticate = ({ headers }: IncomingMessage) => {
    const name = headers['x-user'];
    return typeof name === 'string' ? { name, groups: name === 'admin' ? ['system:masters'] : [] } : undefined;
  };
  server = await startTestServer({ limits, authenticate });
  const plain = await startTestBackend((request, response) => void answer(request, response));
  const secure = await startTestBackend((request, response) => void answer(request, response), server.pki);
  backends.push(plain, secure);
  const ports = { 80: plain.port, 443: secure.port, 8080: plain.port, 8443: secure.port };
  node = await startTestNode(server.pki, ports);
  const status = {
    addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
    daemonEndpoints: { kubeletEndpoint: { Port: node.port } },
  };
  await create('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node-1' }, status }, '/api/v1/nodes');
  await createPod('one', '10.244.1.2');
  await createPod('two', '10.244.1.3');
  await create('services', service('web', [{ port: 80 }]));
  await createSlice(
    'web',
    [{ name: '', port: 8080 }],
    [
      ...[endpoint('10.244.1.2', 'one'), endpoint('10.244.1.3', 'two', false), endpoint('10.244.1.9', 'one')],
      ...[endpoint('10.244.1.3', 'nobody'), { addresses: ['10.244.1.8'] }],
    ],
  );
  const named = ['http', 'https', 'dead'].map((name, i) => ({ name, port: [80, 443, 81][i] }));
  await create('services', service('named', named));
  await createSlice(
    'named',
    [
      { name: 'http', port: 8080 },
      { name: 'https', port: 8443 },
      { name: 'dead', port: 81 },
    ],
    [endpoint('10.244.1.2', 'one'), endpoint('10.244.1.3', 'two')],
  );
  await create('services', service('empty', [{ port: 80 }]));
});
afterAll(async () => {
  await server.close();
  await Promise.all([node.close(), ...backends.map((one) => one.close())]);
});

type Sent = Parameters<typeof callServer>[3];
const call = (method: Parameters<typeof callServer>[1], path: string, { headers, ...sent }: Sent = {}) =>
  callServer(server, method, path, { ...sent, headers: { 'x-user': 'admin', ...headers } });
/** What the one behind the proxy saw. */
const seen = async (...args: Parameters<typeof call>) => JSON.parse((await call(...args)).body as string);
/** A request of its own connection, as it goes on. */
function open(path: string, options: RequestOptions = {}) {
  const { hostname, port } = new URL(server.admin.server);
  const { headers, ...rest } = options;
  const to = { hostname, port, path, ca: server.pki.caCert, agent: false, ...rest };
  return httpsRequest({ ...to, headers: { 'x-user': 'admin', ...headers } });
}
async function answered(sent: ReturnType<typeof open>): Promise<IncomingMessage> {
  const [message] = (await once(sent, 'response')) as [IncomingMessage];
  return message;
}

test('proxyRequest passes every method on, with query and body, and the answer back', async () => {
  for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
    const body = method === 'GET' ? {} : { body: 'text' };
    const { method: theirs, url, body: got } = await seen(method, `${web}/a%2Fb//c?x=%20&watch=true&path=/d`, body);
    expect({ theirs, url, got }).toEqual({
      theirs: method,
      url: '/a%2Fb//c?x=%20&watch=true&path=/d',
      got: body.body ?? '',
    });
  }
  const head = await call('HEAD', `${web}/a?code=404`);
  expect({ code: head.code, body: head.body }).toEqual({ code: 404, body: '' });
  const answer = await call('GET', `${web}/?code=503`);
  expect(answer.code).toBe(503);
  expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
});

test('proxyRequest sends clients below the proxy, and links with them', async () => {
  for (const method of ['GET', 'HEAD'] as const) {
    const { code, headers } = await call(method, `${web}?a=%20`);
    expect({ code, location: headers.location }).toEqual({ code: 301, location: `${web}/?a=%20` });
  }
  expect((await seen('POST', `${web}?a=1`)).url).toBe('/?a=1');
  expect((await seen('GET', `${web}/`)).url).toBe('/');
  expect((await seen('GET', `${web}/caf%E9`)).url).toBe('/caf%E9');
  expect((await seen('GET', `${web}/x/../../../y`)).url).toBe('/y');
  const location = async (to: string) =>
    (await call('GET', `${web}/redirect?to=${encodeURIComponent(to)}`)).headers.location;
  expect(await location('/login')).toBe(`${web}/login`);
  expect(await location('http://10.244.1.2:8080/login')).toBe(`${web}/login`);
  expect(await location(`${server.admin.server}/login`)).toBe(`${web}/login`);
  expect(await location('https://example.com/')).toBe('https://example.com/');
});

test('proxyRequest leads the links of pages through the proxy, compressed ones too', async () => {
  const { body, headers } = await call('GET', `${web}/page`);
  expect(body).toBe(`<p><a href="${web}/a">`);
  expect(headers).not.toHaveProperty('content-encoding');
  const head = await call('HEAD', `${web}/page`);
  expect({ code: head.code, type: head.headers['content-type'] }).toEqual({
    code: 200,
    type: 'text/html; charset=utf-8',
  });
  expect(head.headers).not.toHaveProperty('content-length');
});

test('proxyRequest tells the backend the way, and not who the client is', async () => {
  const { headers } = await seen('POST', `${web}/a?b`, {
    body: 'x',
    headers: { authorization: 'Bearer secret', 'x-remote-user': 'admin', 'x-forwarded-for': '9.9.9.9', cookie: 'c=1' },
  });
  const names = (headers as string[]).filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  expect(names).not.toContain('authorization');
  expect(names).not.toContain('x-remote-user');
  const value = (name: string) => headers[2 * names.indexOf(name) + 1];
  expect(value('x-forwarded-for')).toBe('9.9.9.9, 127.0.0.1');
  expect(value('x-forwarded-uri')).toBe(`${web}/a`);
  expect(value('cookie')).toBe('c=1');
  expect(value('host')).toBe(new URL(server.admin.server).host);
});

test('proxyRequest goes to ready Pods of the Service alone, at the port that is named', async () => {
  node.asked.length = 0;
  for (let i = 0; i < 10; i++) await call('GET', `${web}/`);
  expect(new Set(node.asked)).toEqual(new Set(['/connect/default/one 10.244.1.2 8080']));
  node.asked.length = 0;
  const names = ['web:', 'web:80', 'http:web:', 'http:web:80', 'named:http', 'named:80'];
  for (const name of names) expect((await call('GET', `${base}/services/${name}/proxy/`)).code).toBe(200);
  for (const name of ['https:named:https', 'https:named:443'])
    expect((await call('GET', `${base}/services/${name}/proxy/`)).code).toBe(200);
  const asked = node.asked.map((line) => line.split(' ')[2]);
  expect(asked).toEqual(['8080', '8080', '8080', '8080', '8080', '8080', '8443', '8443']);
});

test('proxyRequest goes to a Pod at its first port unless another is named', async () => {
  const to = async (name: string) => {
    node.asked.length = 0;
    const { code } = await call('GET', `${base}/pods/${name}/proxy/`);
    return `${code} ${node.asked[0]}`;
  };
  expect(await to('one')).toBe('200 /connect/default/one 10.244.1.2 8080');
  expect(await to('two:80')).toBe('200 /connect/default/two 10.244.1.3 80');
  expect(await to('https:one:8443')).toBe('200 /connect/default/one 10.244.1.2 8443');
});

test('proxyRequest says why there is no answer, as Kubernetes does', async () => {
  const said = async (path: string) => {
    const { code, body } = await call('GET', `${base}/${path}/proxy/`);
    return `${code} ${body.reason}: ${body.message}`;
  };
  const none = '503 ServiceUnavailable: no endpoints available for service';
  expect(await said('services/empty')).toBe(`${none} "empty"`);
  expect(await said('services/empty:80')).toBe(`${none} "empty"`);
  expect(await said('services/named')).toBe(`${none} "named"`);
  expect(await said('services/http:named:other')).toBe(`${none} "http:named:other"`);
  expect(await said('services/web:82')).toBe('503 ServiceUnavailable: no service port 82 found for service "web"');
  expect(await said('services/nobody')).toBe('404 NotFound: services "nobody" not found');
  expect(await said('pods/nobody')).toBe('404 NotFound: pods "nobody" not found');
  for (const name of ['ftp:web:80', 'a:b:c:d', ':80', 'https::443'])
    expect(await said(`services/${name}`)).toBe(`400 BadRequest: invalid service request "${name}"`);
  const failed = '503 ServiceUnavailable: error trying to reach service:';
  const refused = `${failed} dial tcp 10.244.1.2:81: connect: connection refused`;
  expect(await said('pods/one:81')).toBe(refused);
  expect(await said('pods/https:one:80')).toMatch(new RegExp(`^${failed} no TLS connection: `));
  expect(await said('pods/one:443')).toMatch(new RegExp(`^${failed} `));
  for (const port of ['http', '0', '70000', '-1', '%20']) expect(await said(`pods/one:${port}`)).toContain(failed);
});

test('proxyRequest refuses a Pod at an address that is none of a Pod', async () => {
  for (const [i, ip] of ['127.0.0.1', '169.254.169.254', '::1', ''].entries()) {
    await create('pods', pod(`odd-${i}`, ip));
    if (ip !== '') await call('PUT', `${base}/pods/odd-${i}/status`, { body: pod(`odd-${i}`, ip) });
    const { code, body } = await call('GET', `${base}/pods/odd-${i}/proxy/`);
    expect({ ip, code, message: body.message }).toEqual({ ip, code: 400, message: 'address not allowed' });
  }
});

test('proxyRequest lets in who may use the subresource by the verb of the method, under the name as it is asked', async () => {
  const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const rules = [{ apiGroups: [''], resources: ['services/proxy'], resourceNames: ['named:http'], verbs: ['get'] }];
  await create('', { apiVersion, kind: 'Role', metadata: { name: 'reader' }, rules }, `${rbac}/roles`);
  const subjects = [{ kind: 'User', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' };
  const binding = { apiVersion, kind: 'RoleBinding', metadata: { name: 'reader' }, subjects, roleRef };
  await create('', binding, `${rbac}/rolebindings`);
  const headers = { 'x-user': 'reader' };
  const code = async (method: Parameters<typeof call>[0], name: string) =>
    (await call(method, `${base}/services/${name}/proxy/?watch=true`, { headers })).code;
  expect(await code('GET', 'named:http')).toBe(200);
  expect(await code('HEAD', 'named:http')).toBe(200);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const)
    expect(await code(method, 'named:http')).toBe(403);
  expect(await code('GET', 'named:80')).toBe(403);
  expect(await code('GET', '%6eamed:http')).toBe(200);
  expect((await callServer(server, 'GET', `${web}/`)).code).toBe(401);
  for (const path of ['%70roxy/', 'prox%79', 'proxy/%zz'])
    expect([400, 404]).toContain((await call('GET', `${base}/services/web/${path}`)).code);
  expect((await call('GET', `${base}/configmaps/web/proxy/x`)).code).toBe(404);
});

test('proxyRequest streams bodies longer than the server would take, and slower', async () => {
  const sent = open(`${web}/hash`, { method: 'POST' });
  const hash = createHash('sha256');
  const piece = Buffer.alloc(1 << 20, 'x');
  for (let i = 0; i < 5; i++) {
    if (!sent.write(piece)) await once(sent, 'drain');
    hash.update(piece);
  }
  // Longer than a request of the API server's own may take.
  await new Promise((resolve) => setTimeout(resolve, limits.requestMs * 2));
  sent.end('end');
  hash.update('end');
  expect(await text(await answered(sent))).toBe(hash.digest('hex'));
});

test('proxyRequest passes on what an answer has so far, and ends it when the client is gone', async () => {
  const sent = open(`${web}/forever`);
  sent.end();
  const answer = await answered(sent);
  const [first] = (await once(answer, 'data')) as [Buffer];
  expect(first.toString()).toBe('data: first\n\n');
  answer.on('error', () => {});
  sent.destroy();
  await foreverEnded;
});

test('proxyRequest breaks off an answer that broke off, and gives one that came early', async () => {
  const cut = open(`${web}/cut`);
  cut.end();
  await expect(text(await answered(cut))).rejects.toThrow('aborted');
  const early = open(`${web}/early`, { method: 'POST', headers: { 'content-length': 64 << 20 } });
  early.on('error', () => {});
  early.write('a little');
  const answer = await answered(early);
  expect({ code: answer.statusCode, body: await text(answer) }).toEqual({ code: 413, body: 'too much' });
});

test('proxyRequest lets connections become others, both ways, plain and secure', async () => {
  for (const name of ['web', 'https:named:https']) {
    const headers = { connection: 'upgrade', upgrade: 'echo', origin: 'http://x' };
    const sent = open(`${base}/services/${name}/proxy/up`, { headers });
    sent.end();
    const [answer, socket, head] = (await once(sent, 'upgrade')) as [IncomingMessage, NodeJS.ReadWriteStream, Buffer];
    expect(answer.headers.upgrade).toBe('echo');
    socket.write('and back');
    let said = head.toString();
    while (said.length < 'hello and back'.length) said += ((await once(socket, 'data')) as [Buffer])[0].toString();
    expect(said).toBe('hello and back');
    socket.end();
  }
  const refused = open(`${web}/refused`, { headers: { connection: 'upgrade', upgrade: 'echo' } });
  refused.end();
  const answer = await answered(refused);
  expect({ code: answer.statusCode, mine: answer.headers['x-mine'], body: await text(answer) }).toEqual({
    ...{ code: 403, mine: '1', body: 'nope' },
  });
  const nobody = open(`${web}/up`, { headers: { 'x-user': 'nobody', connection: 'upgrade', upgrade: 'echo' } });
  nobody.end();
  expect((await answered(nobody)).statusCode).toBe(403);
});

test('discover lists the proxies with the kinds and verbs of Kubernetes', async () => {
  const { body } = await call('GET', '/api/v1');
  const verbs = ['create', 'delete', 'get', 'patch', 'update'];
  const found = (body.resources as { name: string }[]).filter(({ name }) => name.endsWith('/proxy'));
  expect(found).toEqual([
    { name: 'pods/proxy', singularName: '', namespaced: true, kind: 'PodProxyOptions', verbs },
    { name: 'services/proxy', singularName: '', namespaced: true, kind: 'ServiceProxyOptions', verbs },
  ]);
});
