import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type ConnectOptions, connect, type Exchange } from './client.ts';
import type { ApiClient } from './types.ts';

let server: Server | undefined;
let client: ApiClient | undefined;
afterEach(() => {
  client?.close();
  server?.closeAllConnections();
  server?.close();
});

interface Seen {
  readonly method: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly type: string | undefined;
  readonly body: unknown;
}

/** A client of a server that answers each request as `answer` says; the requests are kept. */
async function serving(answer: (seen: Seen, response: ServerResponse) => void, options: ConnectOptions = {}) {
  const seen: Seen[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    let text = '';
    for await (const part of request) text += part;
    const url = new URL(request.url ?? '', 'http://server');
    const got = {
      method: request.method,
      path: url.pathname,
      query: url.searchParams,
      type: request.headers['content-type'],
      body: text === '' ? undefined : JSON.parse(text),
    };
    seen.push(got);
    response.setHeader('content-type', 'application/json');
    answer(got, response);
  };
  server = createServer(handle);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  client = connect({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }, options);
  return { client, seen };
}

const json = (response: ServerResponse, body: unknown, status = 200) =>
  response.writeHead(status).end(JSON.stringify(body));
const status = (code: number, reason: string) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message: `it is ${reason}`,
});
const pod = (name: string) => ({ metadata: { name, namespace: 'default', uid: name, resourceVersion: '1' } });

describe('connect', () => {
  test('connect tells of every request, with the time it took', async () => {
    const exchanges: Exchange[] = [];
    const { client } = await serving(
      ({ path }, response) =>
        path.endsWith('/gone') ? json(response, status(404, 'NotFound'), 404) : json(response, pod('a')),
      { onExchange: (exchange) => exchanges.push(exchange) },
    );
    await client.create('pods', pod('a'));
    await expect(client.get('pods', { namespace: 'default', name: 'gone' })).rejects.toThrow();
    server?.closeAllConnections();
    server?.close();
    await expect(client.get('pods', { namespace: 'default', name: 'a' })).rejects.toThrow();
    expect(exchanges.map(({ method, code }) => `${method} ${code}`)).toEqual(['POST 200', 'GET 404', 'GET <error>']);
    expect(exchanges.every(({ milliseconds }) => milliseconds > 0)).toBe(true);
  });

  test('connect bounds requests, of which the pages of a list are one', async () => {
    const pages = 6;
    const { client, seen } = await serving(
      ({ query }, response) => {
        const page = Number(query.get('continue') ?? 0) + 1;
        const metadata = { resourceVersion: '1', ...(page < pages ? { continue: String(page) } : {}) };
        json(response, { metadata, items: [pod(`${page}`)] });
      },
      { rateLimit: { qps: 10, burst: 1 } },
    );
    const began = performance.now();
    await client.list('pods');
    const listed = performance.now() - began;
    await client.list('pods');
    await client.list('pods');
    const all = performance.now() - began;
    expect(seen).toHaveLength(3 * pages);
    // The second waits for 100 ms, and the third for as much again; the pages of the first for nothing.
    expect(all).toBeGreaterThan(190);
    expect(all - listed).toBeGreaterThan(90);
  });

  test('connect lists page by page, and gives items the kind that lists leave out', async () => {
    const { client, seen } = await serving(({ query }, response) => {
      const next = query.get('continue');
      if (next === null) json(response, { metadata: { resourceVersion: '7', continue: 'more/+' }, items: [pod('a')] });
      else json(response, { metadata: { resourceVersion: '7' }, items: [pod('b')] });
    });
    const list = await client.list('pods', {
      namespace: 'default',
      labelSelector: 'app in (a,b)',
      fieldSelector: 'x=y',
    });
    expect(list.resourceVersion).toBe('7');
    expect(list.items.map((item) => [item.metadata.name, item.kind, item.apiVersion])).toEqual([
      ['a', 'Pod', 'v1'],
      ['b', 'Pod', 'v1'],
    ]);
    expect(
      seen.map(({ path, query }) => [
        path,
        query.get('limit'),
        query.get('continue'),
        query.get('labelSelector'),
        query.get('fieldSelector'),
      ]),
    ).toEqual([
      ['/api/v1/namespaces/default/pods', '500', null, 'app in (a,b)', 'x=y'],
      ['/api/v1/namespaces/default/pods', '500', 'more/+', 'app in (a,b)', 'x=y'],
    ]);
  });

  test('connect lists anew when a page expired, at last in one piece, and takes null for no items', async () => {
    const { client, seen } = await serving(({ query }, response) => {
      if (query.has('continue')) json(response, status(410, 'Expired'), 410);
      else if (query.has('limit'))
        json(response, { metadata: { resourceVersion: '7', continue: 'c' }, items: [pod('a')] });
      else json(response, { metadata: { resourceVersion: '9' }, items: null });
    });
    expect(await client.list('pods')).toEqual({ items: [], resourceVersion: '9' });
    expect(seen).toHaveLength(7);
  });

  test('connect sends writes to the path of the object, each patch by its media type', async () => {
    const { client, seen } = await serving((_seen, response) => json(response, pod('a')));
    await client.create('pods', pod('a') as never);
    await client.update('pods', pod('a') as never, { subresource: 'status' });
    await client.patch('nodes', { name: 'n' }, { type: 'merge', body: { a: 1 } });
    await client.patch('pods', { namespace: 'x', name: 'n' }, { type: 'strategic', body: {} });
    await client.patch('pods', { namespace: 'x', name: 'n' }, { type: 'json', body: [{ op: 'remove', path: '/a' }] });
    await client.patch(
      'pods',
      { namespace: 'x', name: 'n' },
      { type: 'apply', body: {}, fieldManager: 'me', force: true },
    );
    await client.delete(
      'pods',
      { namespace: 'x', name: 'n' },
      { gracePeriodSeconds: 0, uid: 'u', propagationPolicy: 'Orphan' },
    );
    await client.raw({ method: 'POST', path: '/api/v1/namespaces/x/pods/n/binding', body: { target: 1 } });
    expect(seen.map(({ method, path, type }) => `${method} ${path} ${type}`)).toEqual([
      'POST /api/v1/namespaces/default/pods application/json',
      'PUT /api/v1/namespaces/default/pods/a/status application/json',
      'PATCH /api/v1/nodes/n application/merge-patch+json',
      'PATCH /api/v1/namespaces/x/pods/n application/strategic-merge-patch+json',
      'PATCH /api/v1/namespaces/x/pods/n application/json-patch+json',
      'PATCH /api/v1/namespaces/x/pods/n application/apply-patch+yaml',
      'DELETE /api/v1/namespaces/x/pods/n application/json',
      'POST /api/v1/namespaces/x/pods/n/binding application/json',
    ]);
    expect(seen[0]?.body).toMatchObject({ apiVersion: 'v1', kind: 'Pod' });
    expect(seen[5]?.query.toString()).toBe('fieldManager=me&force=true');
    expect(seen[6]?.body).toEqual({
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      gracePeriodSeconds: 0,
      propagationPolicy: 'Orphan',
      preconditions: { uid: 'u' },
    });
  });

  test('connect tells a failure by the status the server sends, or by what a proxy says', async () => {
    const { client } = await serving(({ path }, response) => {
      if (path.endsWith('/proxy')) response.writeHead(502).end('<h1>Bad Gateway</h1>');
      else if (path.endsWith('/cut')) response.end('{"metadata":');
      else json(response, status(409, 'Conflict'), 409);
    });
    await expect(client.get('nodes', { name: 'n' })).rejects.toMatchObject({
      name: 'ApiError',
      code: 409,
      reason: 'Conflict',
      message: 'it is Conflict',
    });
    await expect(client.get('nodes', { name: 'proxy' })).rejects.toMatchObject({
      code: 502,
      message: 'the server answered 502: <h1>Bad Gateway</h1>',
    });
    await expect(client.get('nodes', { name: 'cut' })).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
    await expect(client.raw({ method: 'GET', path: '/cut' })).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  });

  test('connect watches from a version until the server ends, bookmarks among the events', async () => {
    const events = [
      { type: 'ADDED', object: pod('ä') },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '9' } } },
    ];
    const { client, seen } = await serving((_seen, response) =>
      response.end(events.map((e) => `${JSON.stringify(e)}\n`).join('')),
    );
    const got = [];
    const options = { namespace: 'default', resourceVersion: '5', signal: new AbortController().signal };
    for await (const event of client.watch('pods', options)) got.push(event);
    expect(got).toEqual(events);
    const query = seen[0]?.query;
    expect([query?.get('watch'), query?.get('resourceVersion'), query?.get('allowWatchBookmarks')]).toEqual([
      'true',
      '5',
      'true',
    ]);
    expect(Number(query?.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300);
  });

  test('connect throws the status of a watch that is refused or ends with an error', async () => {
    const { client } = await serving(({ path }, response) => {
      if (path.endsWith('pods')) json(response, status(410, 'Expired'), 410);
      else response.end(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`);
    });
    const watch = async (resource: 'pods' | 'nodes') => {
      for await (const _ of client.watch(resource, { resourceVersion: '1', signal: new AbortController().signal }));
    };
    await expect(watch('pods')).rejects.toMatchObject({ code: 410 });
    await expect(watch('nodes')).rejects.toMatchObject({ code: 410 });
  });
});
