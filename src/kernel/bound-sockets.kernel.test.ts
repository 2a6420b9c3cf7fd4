import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { bindSocket } from './bound-sockets.ts';
import { openRoutes } from './links.ts';

beforeAll(() => {
  const routes = openRoutes();
  routes.setLink('lo', { up: true });
  routes.addAddress('lo', { ip: parseIp('192.0.2.7'), prefix: 32 });
  routes.addAddress('lo', { ip: parseIp('fd00::7'), prefix: 128 });
  routes.close();
});

describe('bindSocket', () => {
  it.each(['192.0.2.7', 'fd00::7'])('listens at %s for whoever takes it over', async (address) => {
    const server = createServer((socket) => socket.end('here'));
    await once(server.listen({ fd: bindSocket('tcp', parseIp(address), 6443) }), 'listening');
    expect(server.address()).toMatchObject({ address, port: 6443 } satisfies Partial<AddressInfo>);
    const [said] = await once(connect(6443, address), 'data');
    expect(String(said)).toBe('here');
    server.close();
  });

  it('refuses an address that the namespace does not have', () => {
    expect(() => bindSocket('udp', parseIp('192.0.2.8'), 53)).toThrow(/EADDRNOTAVAIL/);
  });
});
