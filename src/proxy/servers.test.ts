import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../component/log.ts';
import { parseIp } from '../net/ip.ts';
import { serve } from './servers.ts';

const host = parseIp('127.0.0.1');
const routes = new Map([['/mode', () => ({ status: 200, type: 'text/plain', body: 'nftables' })]]);
const stop = new AbortController();
const served: Promise<void>[] = [];
const warn = vi.fn();
const log = { debug: () => {}, warn } as unknown as Logger;

/** Serves, and gives the address once there is one. */
function start(port: number): Promise<string> {
  return new Promise((resolve) => {
    const onListening = (taken: number) => resolve(`http://127.0.0.1:${taken}`);
    served.push(serve(routes, { host, port }, { signal: stop.signal, log, onListening }));
  });
}

afterAll(() => stop.abort());

describe('serve', () => {
  it('answers GET and HEAD of its paths, and nothing else', async () => {
    const url = await start(0);
    const answers = async (path: string, method: string) => {
      const response = await fetch(url + path, { method });
      return [response.status, await response.text()];
    };
    expect(await answers('/mode?verbose', 'GET')).toEqual([200, 'nftables']);
    expect(await answers('/mode', 'HEAD')).toEqual([200, '']);
    expect(await answers('/mode', 'POST')).toEqual([405, 'only GET is answered\n']);
    expect(await answers('/', 'GET')).toEqual([404, 'no such path; there are /mode\n']);
  });

  it('waits for a port that somebody else has', async () => {
    const other = createServer();
    await once(other.listen(0, host), 'listening');
    const { port } = other.address() as AddressInfo;
    const listening = start(port);
    await vi.waitFor(() => expect(warn).toHaveBeenCalled());
    other.close();
    expect((await fetch(`${await listening}/mode`)).status).toBe(200);
  });

  it('ends with the signal', async () => {
    const url = await start(0);
    stop.abort();
    await Promise.all(served);
    await expect(fetch(url)).rejects.toThrow();
  });
});
