import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { soon } from '../../test/soon.ts';
import type { Logger } from '../component/log.ts';
import type { HealthCheck } from '../model/types.ts';
import { parseIp } from '../net/ip.ts';
import { ServiceHealthServers } from './service-health.ts';

const here = parseIp('127.0.0.1');
const log = { debug: () => {}, warn: () => {} } as unknown as Logger;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A port that was free a moment ago, with who holds it. */
async function heldPort() {
  const holder = createServer();
  await once(holder.listen(0, here), 'listening');
  const { port } = holder.address() as AddressInfo;
  return { port, free: () => new Promise((resolve) => holder.close(resolve)) };
}

function servers(options: Partial<{ isHealthy: () => boolean }> = {}) {
  const taken: HealthCheck[] = [];
  const all = new ServiceHealthServers({
    log,
    after: Promise.resolve(),
    isHealthy: () => true,
    onTaken: (check) => taken.push(check),
    ...options,
  });
  closers.push(() => all.close());
  const update = (checks: readonly HealthCheck[], ips: readonly string[] = [here]) =>
    all.update(checks, { nodePortAddresses: ips.map(parseIp), nodePortsEverywhere: [] });
  return { update, taken, close: () => all.close() };
}

const check = (port: number, localEndpoints: number): HealthCheck => ({
  namespace: 'shop',
  name: 'web',
  port,
  localEndpoints,
});

async function ask(port: number, { host = '127.0.0.1', path = '/' } = {}) {
  const response = await fetch(`http://${host}:${port}${path}`);
  return {
    status: response.status,
    weight: response.headers.get('x-load-balancing-endpoint-weight'),
    type: response.headers.get('content-type'),
    body: await response.json(),
  };
}

describe('ServiceHealthServers', () => {
  it('answers on any path how many endpoints are here, and follows', async () => {
    const port = await freePort();
    const { update } = servers();
    update([check(port, 2)]);
    await soon(async () =>
      expect(await ask(port, { path: '/any/path' })).toEqual({
        status: 200,
        weight: '2',
        type: 'application/json',
        body: { service: { namespace: 'shop', name: 'web' }, localEndpoints: 2, serviceProxyHealthy: true },
      }),
    );
    update([check(port, 0)]);
    expect(await ask(port)).toMatchObject({ status: 503, weight: '0', body: { localEndpoints: 0 } });
  });

  it('answers 503 while the proxy does not keep up', async () => {
    const port = await freePort();
    servers({ isHealthy: () => false }).update([check(port, 1)]);
    await soon(async () =>
      expect(await ask(port)).toMatchObject({ status: 503, body: { localEndpoints: 1, serviceProxyHealthy: false } }),
    );
  });

  it('moves with the port and the addresses, and ends with the Service', async () => {
    const [first, second] = [await freePort(), await freePort()];
    const { update } = servers();
    update([check(first, 1)]);
    await soon(async () => expect((await ask(first)).status).toBe(200));
    update([check(second, 1)], ['127.0.0.2']);
    await soon(async () => expect((await ask(second, { host: '127.0.0.2' })).status).toBe(200));
    await expect(ask(first)).rejects.toThrow();
    await expect(ask(second)).rejects.toThrow();
    update([]);
    await soon(() => expect(ask(second, { host: '127.0.0.2' })).rejects.toThrow());
    update([check(second, 1)]);
    await soon(async () => expect((await ask(second)).status).toBe(200));
  });

  it('tells of a port that somebody else holds, and takes it when it is free', async () => {
    const { port, free } = await heldPort();
    closers.push(free);
    const { update, taken } = servers();
    update([check(port, 1)]);
    await soon(() => expect(taken).toEqual([check(port, 1)]));
    await free();
    await soon(async () => expect((await ask(port)).status).toBe(200));
  });
});
