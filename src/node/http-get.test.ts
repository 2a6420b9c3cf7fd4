import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpGetOptions, httpGet } from './http-get.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> {
  const started = createServer(answer);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return (started.address() as AddressInfo).port;
}

function options(port: number, rest: Partial<HttpGetOptions> = {}): HttpGetOptions {
  return { secure: false, host: '127.0.0.1', port, path: '/', headers: [], timeoutMs: 20_000, ...rest };
}

describe('httpGet', () => {
  it('httpGet asks as a probe does, with the headers given, and gives the status', async () => {
    let seen: IncomingMessage | undefined;
    const port = await serve((request, response) => {
      seen = request;
      response.writeHead(503).end('x'.repeat(1 << 20));
    });
    const headers = [
      ['Host', 'example.com'],
      ['X-A', '1'],
      ['X-A', '2'],
      ['Accept', ''],
    ] as const;
    expect(await httpGet(options(port, { path: 'a/b?c=d', headers }))).toBe(503);
    expect(seen?.url).toBe('/a/b?c=d');
    expect(seen?.headers).toMatchObject({ host: 'example.com', 'x-a': '1, 2', 'user-agent': 'kube-probe/1.36' });
    expect(seen?.headers).not.toHaveProperty('accept');
  });

  it('httpGet follows redirects on the same host, not to another', async () => {
    const port = await serve((request, response) => {
      if (request.url === '/first') response.writeHead(302, { location: '/second' }).end();
      else if (request.url === '/away') response.writeHead(301, { location: 'http://192.0.2.1/' }).end();
      else if (request.url === '/loop') response.writeHead(302, { location: '/loop' }).end();
      else response.writeHead(request.url === '/second' ? 204 : 500).end();
    });
    expect(await httpGet(options(port, { path: '/first' }))).toBe(204);
    expect(await httpGet(options(port, { path: '/away' }))).toBe(301);
    await expect(httpGet(options(port, { path: '/loop' }))).rejects.toThrow('stopped after 10 redirects');
  });

  it('httpGet gives up after the time limit, and when nobody listens', async () => {
    const port = await serve(() => {});
    await expect(httpGet(options(port, { timeoutMs: 100 }))).rejects.toThrow(/timeout/);
    await expect(httpGet(options(1))).rejects.toThrow(/ECONNREFUSED/);
  });
});
