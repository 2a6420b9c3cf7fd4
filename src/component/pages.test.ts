import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { soon } from '../../test/soon.ts';
import { parseIp } from '../net/ip.ts';
import type { Logger } from './log.ts';
import { keepServingPages, type Pages, servePages } from './pages.ts';

const host = parseIp('127.0.0.1');
const pages: Pages = {
  '/mode': () => ({ body: 'nftables' }),
  '/ready': () => ({ status: 503, type: 'application/json', body: '{}' }),
};
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(): Promise<string> {
  const server = await servePages({ host, port: 0 }, pages);
  closers.push(server.close);
  return `http://127.0.0.1:${server.port}`;
}

/** A port that somebody else listens on, and how to make that end. */
async function takenPort(): Promise<{ port: number; free: () => void }> {
  const other = createServer();
  await once(other.listen(0, host), 'listening');
  closers.push(() => other.close());
  return { port: (other.address() as AddressInfo).port, free: () => other.close() };
}

describe('servePages', () => {
  it('serves one page whatever the path is, with its own headers', async () => {
    const server = await servePages({ host, port: 0 }, () => ({
      status: 503,
      headers: { 'x-weight': '0' },
      body: 'none',
    }));
    closers.push(server.close);
    for (const path of ['/', '/any/path?x=y']) {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
      expect([response.status, response.headers.get('x-weight'), await response.text()]).toEqual([503, '0', 'none']);
    }
  });

  it('leaves IPv4 to somebody else when it is told so', async () => {
    const any = parseIp('::');
    const { port, close } = await servePages({ host: any, port: 0, ipv6Only: true }, () => ({ body: 'six' }));
    closers.push(close);
    const four = await servePages({ host: parseIp('0.0.0.0'), port }, () => ({ body: 'four' }));
    closers.push(four.close);
    const at = async (of: string) => (await fetch(`http://${of}:${port}/`)).text();
    expect([await at('127.0.0.1'), await at('[::1]')]).toEqual(['four', 'six']);
  });

  it('answers GET and HEAD of its paths, and nothing else', async () => {
    const url = await start();
    const answers = async (path: string, method: string) => {
      const response = await fetch(url + path, { method });
      return [response.status, await response.text()];
    };
    expect(await answers('/mode?verbose', 'GET')).toEqual([200, 'nftables']);
    expect(await answers('/mode', 'HEAD')).toEqual([200, '']);
    expect(await answers('/mode', 'POST')).toEqual([405, 'only GET is answered\n']);
    expect(await answers('/', 'GET')).toEqual([404, 'no such path; there are /mode and /ready\n']);
    expect(await answers('/toString', 'GET')).toEqual([404, 'no such path; there are /mode and /ready\n']);
  });

  it('sends status and type', async () => {
    const url = await start();
    const ready = await fetch(`${url}/ready`);
    expect([ready.status, ready.headers.get('content-type')]).toEqual([503, 'application/json']);
    expect((await fetch(`${url}/mode`)).headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });

  it('says that a port is taken', async () => {
    const { port } = await takenPort();
    await expect(servePages({ host, port }, pages)).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      object: `127.0.0.1:${port}`,
    });
  });

  it('serves all addresses when no host is named', async () => {
    const server = await servePages({ port: 0 }, pages);
    closers.push(server.close);
    expect((await fetch(`http://127.0.0.1:${server.port}/mode`)).status).toBe(200);
  });

  it('does not wait for those who are connected when it closes', async () => {
    const server = await servePages({ host, port: 0 }, pages);
    const idle = connect(server.port, host);
    const ended = once(idle, 'close');
    await once(idle, 'connect');
    await server.close();
    await ended;
  });
});

describe('keepServingPages', () => {
  it('waits for a port that somebody else has, and ends with the signal', async () => {
    const { port, free } = await takenPort();
    const url = `http://127.0.0.1:${port}/mode`;
    const stop = new AbortController();
    const [warn, debug] = [vi.fn(), vi.fn()];
    const serving = keepServingPages({ host, port }, pages, {
      signal: stop.signal,
      log: { debug, warn } as unknown as Logger,
    });
    await soon(() => expect(warn).toHaveBeenCalled());
    free();
    await soon(() => expect(debug).toHaveBeenCalled());
    expect((await fetch(url)).status).toBe(200);
    stop.abort();
    await serving;
    await expect(fetch(url)).rejects.toThrow();
  });

  it('stops waiting for a port with the signal', async () => {
    const { port } = await takenPort();
    const stop = new AbortController();
    const log = { warn: () => stop.abort() } as unknown as Logger;
    await keepServingPages({ host, port }, pages, { signal: stop.signal, log });
  });
});
