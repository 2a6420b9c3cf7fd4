import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger } from '../../component/log.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import { parseIp } from '../../net/ip.ts';
import { parseProxyConfig } from '../config.ts';
import type { UserspaceBackend } from './backend.ts';
import { openUserspaceBackend } from './open.ts';

const ip = parseIp('192.0.2.1');
const clusterIp = parseIp('10.96.0.7');
const relayPort = 21_000;
const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [ip],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [] },
};
const web: ServicePort = {
  name: 'default/web',
  protocol: 'TCP',
  frontends: [
    {
      kind: 'cluster-ip',
      ip: clusterIp,
      port: 80,
      endpoints: [{ ip, port: 8080, local: true }],
      whenEmpty: 'reject',
      masquerade: 'never',
    },
  ],
};

let server: Server;
let backend: UserspaceBackend;
beforeEach(async () => {
  for (const command of ['link set lo up', `address replace ${ip}/32 dev lo`, 'route replace 10.96.0.0/12 dev lo'])
    spawnSync('ip', command.split(' '));
  server = createServer((socket) => socket.end('hello')).listen(8080, ip);
  await once(server, 'listening');
  const config = parseProxyConfig({ mode: 'userspace', portRange: `${relayPort}-${relayPort}` });
  backend = openUserspaceBackend({ config, log: createLogger('test') });
  await backend.prepare(node);
});
afterEach(async () => {
  await backend.cleanup();
  backend.close();
  server.close();
});

/** What somebody hears at an address, or how the connection failed. */
async function call(host: string, port: number): Promise<string> {
  const socket = connect({ host, port });
  try {
    const [data] = await once(socket, 'data', { signal: AbortSignal.timeout(20_000) });
    return String(data);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'nothing';
  } finally {
    socket.destroy();
  }
}

test('UserspaceBackend lets clients in through rules only', async () => {
  expect((await backend.sync(node, new Map([[web.name, web]]))).refused.size).toBe(0);
  expect(await call(clusterIp, 80)).toBe('hello');
  expect(await call(ip, relayPort)).toBe('ECONNREFUSED');
});

test('UserspaceBackend refuses a Service port for which no relay can listen, and serves it when one can', async () => {
  const other = createServer().listen(relayPort, ip);
  await once(other, 'listening');
  const { refused } = await backend.sync(node, new Map([[web.name, web]]));
  expect(refused.get(web.name)).toMatchObject({ code: 'RELAY_FAILED' });
  other.close();
  await once(other, 'close');
  expect((await backend.sync(node, new Map([[web.name, web]]))).refused.size).toBe(0);
  expect(await call(clusterIp, 80)).toBe('hello');
});

test('UserspaceBackend closes relays that no rule leads to, and leaves nothing at the end', async () => {
  await backend.sync(node, new Map([[web.name, web]]));
  await backend.sync(node, new Map([[web.name, undefined]]));
  expect(await call(ip, relayPort)).toBe('ECONNREFUSED');
  expect(await backend.cleanup()).toEqual(['table ip signalbox-userspace']);
  expect(spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' }).stdout).not.toContain('signalbox');
});
