import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createHttpTransport, defaultTimeouts, type HttpTransport } from './http.ts';
import { ServerList } from './server-list.ts';

const servers: Server[] = [];
const transports: HttpTransport[] = [];
afterEach(() => {
  for (const transport of transports.splice(0)) transport.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Counts what it is asked, by method. */
async function serving(answer: RequestListener = (_, response) => response.end('{}')) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.method ?? '');
    answer(request, response);
  });
  return { url: await listening(server), asked };
}

/** An address at which nobody listens any more. */
async function gone(): Promise<string> {
  const server = createServer();
  const url = await listening(server);
  server.close();
  await once(server, 'close');
  return url;
}

function transport(urls: readonly string[], timeouts: Partial<typeof defaultTimeouts> = {}): HttpTransport {
  const [server = '', ...otherServers] = urls;
  const created = createHttpTransport({ server, otherServers }, { ...defaultTimeouts, ...timeouts });
  transports.push(created);
  return created;
}

const get = { method: 'GET', path: '/x' };
const post = { method: 'POST', path: '/x', body: '{}' };

describe('createHttpTransport of several servers', () => {
  test('createHttpTransport asks the next server when one is gone, for writes too, and stays with it', async () => {
    const there = await serving();
    const http = transport([await gone(), await gone(), there.url]);
    for (const request of [post, get, post]) expect((await http.request(request)).status).toBe(200);
    expect(there.asked).toEqual(['POST', 'GET', 'POST']);
  });

  test('createHttpTransport repeats at the next server what is read, and never a write that may have been seen', async () => {
    const broken = await serving((request) => request.socket.destroy());
    const there = await serving();
    for (let i = 0; i < 10; i++) {
      const http = transport([broken.url, there.url]);
      expect((await http.request(get)).status).toBe(200);
    }
    let failed = 0;
    for (let i = 0; i < 40 && failed === 0; i++) {
      const http = transport([broken.url, there.url]);
      const before = there.asked.length;
      await http.request(post).catch((error: unknown) => {
        failed++;
        expect(error).toMatchObject({ code: 'API_UNREACHABLE' });
        expect(there.asked.length).toBe(before);
      });
      // Whoever asked looks, and tries again: that goes to the other server.
      expect((await http.request(post)).status).toBe(200);
    }
    expect(failed).toBe(1);
  });

  test('createHttpTransport does not wait long for a server whose host is silent', async () => {
    const there = await serving();
    // Of a block for documents (RFC 5737): no answer comes, or a refusal where there is no route.
    const http = transport(['http://192.0.2.1:6443', there.url], { connect: 1_000 });
    for (let i = 0; i < 5; i++) expect((await http.request(post)).status).toBe(200);
    expect(there.asked.length).toBe(5);
  });

  test('createHttpTransport turns away from a server that says it cannot serve', async () => {
    const unable = await serving((_, response) => response.writeHead(503).end('no store'));
    const there = await serving();
    const http = transport([unable.url, there.url]);
    await http.request(get);
    for (let i = 0; i < 5; i++) expect((await http.request(get)).status).toBe(200);
  });

  test('createHttpTransport fails when all servers are gone', async () => {
    const http = transport([await gone(), await gone()]);
    await expect(http.request(get)).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
    await expect(http.stream(get, new AbortController().signal)).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  });

  test('createHttpTransport waits as the server asks before it opens a stream', async () => {
    let asked = 0;
    const { url } = await serving((_, response) => {
      if (++asked === 1) response.writeHead(429, { 'retry-after': '1' }).end('{}');
      else response.write('{"type":"BOOKMARK"}\n');
    });
    const began = performance.now();
    const stop = new AbortController();
    const answer = await transport([url]).stream(get, stop.signal);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(answer).not.toHaveProperty('status');
    stop.abort();
  });
});

describe('ServerList', () => {
  test('ServerList goes round, and once only for all who leave the same server', () => {
    const list = new ServerList('https://a', ['https://b', 'https://c']);
    const first = list.current;
    const second = list.leave(first);
    expect(second).not.toBe(first);
    expect(list.leave(first)).toBe(second);
    const third = list.leave(second);
    expect(list.leave(third)).toBe(first);
  });

  test('ServerList refuses what is no address, and http among https', () => {
    expect(() => new ServerList('https://a', ['b:6443'])).toThrow('server "b:6443" is not the address');
    expect(() => new ServerList('https://a', ['http://b'])).toThrow('use https for all');
  });
});
