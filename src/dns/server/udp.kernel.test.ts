import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { decode } from 'dns-packet';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { soon } from '../../../test/soon.ts';
import { bindSocket, boundPort } from '../../kernel/bound-sockets.ts';
import { setSocketOption } from '../../kernel/ffi.ts';
import { openRoutes, type Routes } from '../../kernel/links.ts';
import { createNetns, deleteNetns, inNetns, spawnIn } from '../../kernel/netns.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import { parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { lines, questionPacket } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { newForwarder } from '../testing/forwarding.ts';
import { responderOf } from '../testing/responder.ts';
import { a, otherServer, silent } from '../testing/servers.ts';
import { listenAt } from './listen.ts';
import { type Listener, serveUdp } from './udp.ts';

/**
 * A server here, which listens everywhere, and a client in a namespace of its own that routes to it: at its addresses on
 * their link (two of each family, and one of the link alone), on loopback, and at blocks of which no device has an address.
 */
const folder = mkdtempSync(join(tmpdir(), 'dns-udp-'));
const client = join(folder, 'client');
const hello = 'hello-service.default.svc.cluster.local';
const ends: (() => void | Promise<void>)[] = [];
let routes: Routes;
let responder: Responder;
let port: number;

beforeAll(async () => {
  createNetns(client);
  routes = openRoutes();
  routes.createVeth({ name: 'server', up: true, peer: { name: 'client', netns: { path: client } } });
  inNetns(client, () => {
    const theirs = openRoutes();
    theirs.setLink('client', { up: true });
    for (const at of ['192.0.2.2/24', '2001:db8::2/64', 'fe80::2/64']) addAddress(theirs, 'client', at);
    for (const to of ['198.51.100.0/24', '203.0.113.0/24'])
      theirs.addRoute({ destination: parseCidr(to), gateway: parseIp('192.0.2.1') });
    theirs.addRoute({ destination: parseCidr('2001:db8:a::/48'), gateway: parseIp('2001:db8::1') });
    theirs.close();
  });
  for (const at of ['192.0.2.1/24', '192.0.2.9/24', '2001:db8::1/64', '2001:db8::9/64', 'fe80::1/64'])
    addAddress(routes, 'server', at);
  addAddress(routes, 'lo', '198.51.100.1/32');
  for (const block of ['203.0.113.0/24', '2001:db8:a::/48']) ownBlock(block);

  const upstream = await otherServer(({ questions }) => ({ answers: [a(questions?.[0]?.name ?? '', '192.0.2.1')] }));
  const forwarder = newForwarder({ upstreams: [upstream.address] });
  responder = responderOf({ zone: exampleZone(), forwarder });
  const listener = await listenEverywhere();
  port = listener.address.port;
  ends.push(
    () => listener.close(),
    () => forwarder.close(),
    () => upstream.close(),
  );
});
afterAll(async () => {
  for (const end of ends) await end();
  routes.close();
  deleteNetns(client);
  rmSync(folder, { recursive: true });
});

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function listenEverywhere(): Promise<Listener> {
  const everywhere = { ip: undefined, port: 0, transport: 'dns' } as const;
  return listenAt(everywhere, { responder, log: silent, tls: undefined, bind: bindSocket });
}

/** Makes all addresses of a block this machine's, though they are on no device. */
function ownBlock(block: string): void {
  routes.addRoute({ destination: parseCidr(block), device: 'lo', type: 'local', table: 255 });
}

function addAddress(where: Routes, link: string, block: string): void {
  const [ip = '', prefix] = block.split('/');
  where.addAddress(link, { ip: parseIp(ip), prefix: Number(prefix) });
}

/** What dig of the client says, which takes no answer from anybody it has not asked. */
async function dig(server: string, ...rest: readonly string[]): Promise<string> {
  const args = [`@${server}`, '-p', String(port), '+tries=1', '+time=20', '+short', ...rest];
  const child = spawnIn(client, 'dig', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  return child.stdout === null ? '' : await text(child.stdout);
}

/** A socket here that takes datagrams from one address alone. */
async function connected(server: string): Promise<Socket> {
  const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4');
  closers.push(() => socket.close());
  socket.connect(port, server);
  await once(socket, 'connect');
  return socket;
}

/** A socket of the client at one of its addresses. */
async function clientSocket(ip: string): Promise<Socket> {
  const fd = inNetns(client, () => bindSocket('udp', parseIp(ip), 0));
  const socket = createSocket('udp4');
  closers.push(() => socket.close());
  const listening = once(socket, 'listening');
  socket.bind({ fd });
  await listening;
  return socket;
}

async function answers(server: string): Promise<string[]> {
  const socket = await connected(server);
  const answer = once(socket, 'message', { signal: AbortSignal.timeout(20_000) });
  socket.send(questionPacket({ name: hello, type: 'A' }));
  return lines(decode((await answer)[0]).answers);
}

describe('listenAt', () => {
  test.each([
    ['an address of the link', '192.0.2.1'],
    ['a second one', '192.0.2.9'],
    ['one that is on loopback', '198.51.100.1'],
    ['one that is on no device', '203.0.113.77'],
    ['an IPv6 address', '2001:db8::1'],
    ['a second one of IPv6', '2001:db8::9'],
    ['an IPv6 address that is on no device', '2001:db8:a::77'],
    ['an address of the link alone', 'fe80::1%client'],
  ])('answers from where it was asked: %s', async (_, server) => {
    expect(await dig(server, hello)).toBe('10.96.0.20\n');
    expect(await dig(server, hello, '+tcp')).toBe('10.96.0.20\n');
  });

  test('answers from where it was asked what it had to ask others for', async () => {
    expect(await dig('192.0.2.9', 'www.example.com')).toBe('192.0.2.1\n');
    expect(await dig('2001:db8::9', 'example.com')).toBe('192.0.2.1\n');
  });

  test('answers from each address of loopback', async () => {
    for (const server of ['127.0.0.1', '127.0.0.53', '127.255.4.2', '::1'])
      expect(await answers(server)).toEqual([`${hello} A 10.96.0.20`]);
  });

  test('answers a batch to many addresses, each from its own', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, (_, i) => connected(`127.0.1.${i + 1}`)));
    const heard = sockets.map((socket) => once(socket, 'message', { signal: AbortSignal.timeout(20_000) }));
    for (const [id, socket] of sockets.entries()) socket.send(questionPacket({ name: hello, type: 'A' }, { id }));
    const ids = (await Promise.all(heard)).map(([reply]) => decode(reply).id);
    expect(ids).toEqual(sockets.map((_, id) => id));
  });

  test('answers at addresses that come, go and come again while it serves', async () => {
    for (const at of ['192.0.2.77/24', '2001:db8::77/64']) {
      const [ip = '', prefix] = at.split('/');
      for (let i = 0; i < 2; i++) {
        addAddress(routes, 'server', at);
        expect(await dig(ip, hello)).toBe('10.96.0.20\n');
        routes.removeAddress('server', { ip: parseIp(ip), prefix: Number(prefix) });
      }
    }
  });

  test('answers over IPv6 on a machine that has no such address at first', async () => {
    writeSysctl('net.ipv6.conf.lo.disable_ipv6', 1);
    writeSysctl('net.ipv6.conf.server.disable_ipv6', 1);
    const before = port;
    const listener = await listenEverywhere();
    try {
      port = listener.address.port;
      for (const device of ['lo', 'server']) writeSysctl(`net.ipv6.conf.${device}.disable_ipv6`, 0);
      for (const at of ['2001:db8::1/64', '2001:db8::9/64', 'fe80::1/64']) addAddress(routes, 'server', at);
      ownBlock('2001:db8:a::/48');
      // The kernel lays the way to its own addresses of IPv6 a moment after they are there.
      await soon(async () => expect(await answers('::1')).toEqual([`${hello} A 10.96.0.20`]));
      expect(await dig('2001:db8::9', hello)).toBe('10.96.0.20\n');
    } finally {
      port = before;
      await listener.close();
    }
  });

  test('answers what is sent to all of a link from its own address there', async () => {
    const socket = await clientSocket('192.0.2.2');
    socket.setBroadcast(true);
    const answer = once(socket, 'message', { signal: AbortSignal.timeout(20_000) });
    socket.send(questionPacket({ name: hello, type: 'A' }), port, '192.0.2.255');
    expect((await answer)[1]).toMatchObject({ address: '192.0.2.1', port });
  });
});

describe('serveUdp', () => {
  test('keeps answers that the kernel has no room for, and sends them when it has', async () => {
    const count = 40;
    // The kernel holds what it sends to the client until it knows where that is, which the client does not say.
    const mac = routes.getLink('server')?.mac ?? '';
    const theirMac = inNetns(client, () => {
      const theirs = openRoutes();
      writeSysctl('net.ipv4.conf.all.arp_ignore', '8');
      addAddress(theirs, 'client', '192.0.2.200/24');
      theirs.addNeighbor('client', { ip: parseIp('192.0.2.1'), mac });
      const own = theirs.getLink('client')?.mac ?? '';
      theirs.close();
      return own;
    });
    // It gives up, and drops what it holds, after three times of asking where a host is: as a rule three seconds.
    writeSysctl('net.ipv4.neigh.server.mcast_solicit', 100);
    const fd = bindSocket('udp', parseIp('192.0.2.1'), 0);
    setSocketOption(fd, 1, 7 /* SO_SNDBUF */, 1);
    const answered = vi.spyOn(responder, 'answer');
    const listener = serveUdp(fd, { ip: parseIp('192.0.2.1'), responder });
    try {
      const socket = await clientSocket('192.0.2.200');
      const ids = new Set<number | undefined>();
      socket.on('message', (reply) => ids.add(decode(reply).id));
      for (let id = 0; id < count; id++)
        socket.send(questionPacket({ name: hello, type: 'A' }, { id }), boundPort(fd), '192.0.2.1');
      await soon(() => expect(answered).toHaveBeenCalledTimes(count));
      expect(ids.size).toBe(0);
      routes.addNeighbor('server', { ip: parseIp('192.0.2.200'), mac: theirMac });
      await soon(() => expect(ids.size).toBe(count));
    } finally {
      answered.mockRestore();
      await listener.close();
    }
  });
});
