import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { connect, createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { tableName } from '../../backends/nftables/names.ts';
import { type Conntrack, openConntrack } from '../../kernel/conntrack.ts';
import { openRoutes } from '../../kernel/links.ts';
import { openNetlink } from '../../kernel/netlink/socket.ts';
import { readGeneration } from '../../kernel/nftables/load.ts';
import type { Frontend, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { familyOf, type IpFamily, parseIp } from '../../net/ip.ts';
import { type NftablesBackend, openNftablesBackend } from './backend.ts';

/*
 * Packets of this very network namespace: servers on addresses of its loopback device, and clients that bind to other
 * ones. With Pods in namespaces of their own everything is tried in test/conformance.
 */

const port = 8080;
const addresses = {
  IPv4: {
    servers: ['10.2.0.1', '10.2.0.2', '10.2.0.3'],
    clients: ['10.1.0.1', '10.1.0.2', '10.1.16.1'],
    node: '10.3.0.1',
    service: '10.96.0.10',
    network: '10.96.0.0/16',
    range: '10.1.0.0/20',
  },
  IPv6: {
    servers: ['fd00:2::1', 'fd00:2::2', 'fd00:2::3'],
    clients: ['fd00:1::1', 'fd00:1::2', 'fd00:1:1::1'],
    node: 'fd00:3::1',
    service: 'fd00:96::10',
    network: 'fd00:96::/64',
    range: 'fd00:1::/49',
  },
} as const;
const families = ['IPv4', 'IPv6'] as const satisfies readonly IpFamily[];
const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'interface', name: 'cni0' },
};

let backend: NftablesBackend;
let conntrack: Conntrack;
const servers: Server[] = [];
const datagrams = families.map((family) => createSocket(family === 'IPv4' ? 'udp4' : 'udp6'));

/** Says on which of its addresses it was called. */
async function serve(host: string): Promise<void> {
  const server = createServer((socket) => socket.on('error', () => {}).end(host));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
}

beforeAll(async () => {
  const routes = openRoutes();
  routes.setLink('lo', { up: true });
  for (const { servers: own, clients, node: address, network } of Object.values(addresses)) {
    for (const text of [...own, ...clients, address]) {
      const ip = parseIp(text);
      routes.addAddress('lo', { ip, prefix: familyOf(ip) === 'IPv4' ? 32 : 128 });
    }
    // What is sent to a Service must have a way before it is translated.
    routes.addRoute({ destination: parseCidr(network), device: 'lo' });
  }
  routes.close();
  for (const { servers: own } of Object.values(addresses)) for (const host of own) await serve(host);
  conntrack = openConntrack();
});
beforeEach(() => {
  backend = openNftablesBackend();
});
afterEach(async () => {
  await backend.cleanup();
  backend.close();
  conntrack.delete(() => true);
});
afterAll(() => {
  for (const server of servers) server.close();
  for (const socket of datagrams) socket.close();
  conntrack.close();
});

/** Time enough for an answer, milliseconds. */
const patience = 30_000;
/** After that it is taken that there is none. */
const silence = 700;

/** Who answers a client, or the name of the error. */
function call(from: string, to: string, { number = 80, timeout = patience } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port: number, localAddress: from });
    let text = '';
    const timer = setTimeout(() => socket.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })), timeout);
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve(error.code ?? '');
    });
    socket.on('end', () => {
      clearTimeout(timer);
      resolve(text);
    });
  });
}

/** The number of the state all tables are in. */
function generation(): number {
  const socket = openNetlink('netfilter');
  const number = readGeneration(socket);
  socket.close();
  return number;
}

/** Whoever answers so many calls. */
async function answers(count: number, from: string, to: string, number?: number): Promise<Set<string>> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(await call(from, to, number === undefined ? {} : { number }));
  return seen;
}

describe.each(families)('NftablesBackend, packets of %s', (family) => {
  const at = addresses[family];
  const frontend = (overrides: Partial<Frontend> = {}, hosts: readonly string[] = at.servers): Frontend => ({
    kind: 'cluster-ip',
    ip: parseIp(at.service),
    port: 80,
    endpoints: hosts.map((host) => ({ ip: parseIp(host), port, local: true })),
    whenEmpty: 'reject',
    masquerade: 'never',
    ...overrides,
  });
  const nodePort: Partial<Frontend> = { kind: 'node-port', ip: parseIp(at.node), port: 30_080 };
  const service = (...frontends: readonly Frontend[]): ServicePort => ({
    name: 'default/web',
    protocol: 'TCP',
    frontends,
    affinitySeconds: 10_800,
  });
  const sync = (servicePort: ServicePort) => backend.sync(node, new Map([[servicePort.name, servicePort]]));
  const [first, second, outside] = at.clients;

  /** Milliseconds that the kernel remembers its only client for. */
  function remembered(): number {
    const map = ['list', 'map', family === 'IPv4' ? 'ip' : 'ip6', tableName, 'affinity'];
    const { stdout } = spawnSync('nft', map, { encoding: 'utf8' });
    const [, text = ''] = /expires (\S+)/.exec(stdout) ?? [];
    const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
    return [...text.matchAll(/(\d+)(h|ms|m|s)/g)].reduce(
      (sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units],
      0,
    );
  }

  test('session affinity: a client stays, at all frontends of the Service, until the endpoint goes', async () => {
    await sync(service(frontend(), frontend(nodePort)));
    const [own = '', ...others] = await answers(20, first, at.service);
    expect(others).toEqual([]);
    expect(at.servers).toContain(own);
    expect(await answers(10, first, at.node, 30_080)).toEqual(new Set([own]));
    const left = at.servers.filter((host) => host !== own);
    await sync(service(frontend({}, left), frontend(nodePort, left)));
    const [next = '', ...more] = await answers(20, first, at.node, 30_080);
    expect(left).toContain(next);
    expect(more).toEqual([]);
    // It does not go back to the one it left.
    await sync(service(frontend(), frontend(nodePort)));
    expect(await answers(10, first, at.service)).toEqual(new Set([next]));
  });

  test('session affinity: clients are spread over the endpoints', async () => {
    await sync(service(frontend({}, at.servers.slice(0, 2))));
    const seen = new Set<string>();
    // Each time as somebody new. The odds that all go one way are 1 in 2^39.
    for (let i = 0; i < 40; i++) {
      spawnSync('nft', ['flush', 'map', family === 'IPv4' ? 'ip' : 'ip6', tableName, 'affinity']);
      seen.add(await call(second, at.service));
    }
    expect([...seen].sort()).toEqual(at.servers.slice(0, 2));
  });

  test('session affinity: the time begins anew with each connection', async () => {
    await sync(service(frontend()));
    await call(first, at.service);
    await expect.poll(remembered, { timeout: 20_000 }).toBeLessThan(10_799_800);
    const began = performance.now();
    await call(first, at.service);
    const left = remembered();
    // What has gone since, and the kernel's own steps.
    expect(left).toBeGreaterThan(10_800_000 - (performance.now() - began) - 50);
    expect(left).toBeLessThanOrEqual(10_800_000);
  });

  test('session affinity: when its time is over the client is forgotten', async () => {
    await sync({ ...service(frontend()), affinitySeconds: 1 });
    await call(first, at.service);
    await expect.poll(remembered, { timeout: 20_000 }).toBe(0);
    // Another length of time is another rule; the one that nobody needs goes.
    await sync({ ...service(frontend()), affinitySeconds: 7 });
    await call(first, at.service);
    expect(remembered()).toBeGreaterThan(1000);
    const { stdout, status } = spawnSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(stdout).toContain('timeout 7s');
    expect(stdout).not.toContain('sticky-1 ');
  });

  test('session affinity of UDP', async () => {
    const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    const inboxes = at.servers.map((host) => ({ host, socket: createSocket(family === 'IPv4' ? 'udp4' : 'udp6') }));
    const got: string[] = [];
    for (const inbox of inboxes) {
      inbox.socket.on('message', () => got.push(inbox.host));
      await new Promise<void>((resolve) => inbox.socket.bind(port, inbox.host, resolve));
    }
    await new Promise<void>((resolve) => socket.bind(0, first, resolve));
    await sync({ ...service(frontend()), protocol: 'UDP' });
    for (let i = 1; i <= 15; i++) {
      // Each datagram is a flow of its own.
      conntrack.delete(() => true);
      socket.send('hello', 80, at.service);
      await expect.poll(() => got.length, { timeout: 20_000 }).toBe(i);
    }
    expect(new Set(got).size).toBe(1);
    for (const { socket: inbox } of inboxes) inbox.close();
    socket.close();
  });

  test('source ranges: who is in none of them gets no answer', async () => {
    const sourceRanges = [parseCidr(at.range)];
    const balancer: Partial<Frontend> = { kind: 'load-balancer-ip', sourceRanges };
    await sync(service(frontend(balancer)));
    expect(at.servers).toContain(await call(first, at.service));
    expect(await call(outside, at.service, { timeout: silence })).toBe('TIMEOUT');
    await sync(service(frontend(balancer, [])));
    expect(await call(first, at.service)).toBe('ECONNREFUSED');
    expect(await call(outside, at.service, { timeout: silence })).toBe('TIMEOUT');
  });

  test('a process of the node is led to where clients inside go', async () => {
    const [one, two = ''] = at.servers;
    const inside = frontend({}, [two]);
    await sync(service(frontend({ ...nodePort, inside }, [one])));
    expect(await answers(5, first, at.node, 30_080)).toEqual(new Set([two]));
    const nobody = { ...inside, endpoints: [] };
    await sync(service(frontend({ ...nodePort, inside: nobody }, [one])));
    expect(await call(first, at.node, { number: 30_080 })).toBe('ECONNREFUSED');
  });

  test('what others empty or delete of the memory is put back, and told', async () => {
    await sync(service(frontend()));
    const [own] = await answers(5, first, at.service);
    const word = family === 'IPv4' ? 'ip' : 'ip6';
    const table = `${word} ${tableName}`;
    const commands = [
      ...['sticky', 'inside-sticky', 'remember'].map((chain) => `flush chain ${table} ${chain}`),
      `flush set ${table} sticky-endpoints`,
      `delete map ${table} affinity`,
      `delete set ${table} sticky-10800`,
    ];
    const { status, stderr } = spawnSync('nft', [commands.join('; ')], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const check = async () => (await backend.check(new AbortController().signal)).repaired;
    const repaired = await check();
    for (const what of ['chain sticky', 'chain remember', 'set affinity', 'set sticky-10800', 'elements']) {
      expect(repaired.join('\n')).toContain(what);
    }
    expect(await check()).toEqual([]);
    const again = await answers(10, first, at.service);
    expect(again.size).toBe(1);
    expect(at.servers).toContain(own);
    // A table that is gone as a whole is made anew.
    spawnSync('nft', ['flush', 'ruleset']);
    expect(await check()).toContain(`${table}: was missing`);
    expect((await answers(10, first, at.service)).size).toBe(1);
  });

  test('what the kernel remembers of clients is nothing to repair', async () => {
    await sync(service(frontend()));
    for (const client of at.clients) await call(client, at.service);
    spawnSync('nft', ['add', 'table', 'ip', 'others']);
    expect((await backend.check(new AbortController().signal)).repaired).toEqual([]);
    spawnSync('nft', ['delete', 'table', 'ip', 'others']);
    expect(remembered()).toBeGreaterThan(0);
  });

  test('a thousand endpoints: many changes of a few, and at a restart none', async () => {
    const host = (i: number) => (family === 'IPv4' ? `10.9.${i >> 8}.${i & 255}` : `fd00:9::${i.toString(16)}`);
    let hosts = Array.from({ length: 1000 }, (_, i) => host(i));
    await sync(service(frontend({}, hosts)));
    for (let i = 0; i < 30; i++) {
      hosts = hosts.toSpliced((i * 37) % hosts.length, i % 3, ...(i % 2 === 0 ? [] : [host(2000 + i)]));
      await sync(service(frontend({}, hosts)));
    }
    const before = generation();
    const restarted = openNftablesBackend();
    await restarted.sync(node, new Map([['default/web', service(frontend({}, hosts))]]));
    // Nothing was written, though the order of indices is what 30 changes made of it.
    expect(generation()).toBe(before);
    restarted.close();
  });
});
