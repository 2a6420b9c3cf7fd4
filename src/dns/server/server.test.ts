import { execFile, execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { decode } from 'dns-packet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import type { Forwarder } from '../forward/forwarder.ts';
import { DnsMetrics } from '../metrics.ts';
import { lines, questionPacket } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { newForwarder } from '../testing/forwarding.ts';
import { service, slice } from '../testing/objects.ts';
import { responderOf } from '../testing/responder.ts';
import { a, anyPort, type OtherServer, otherServer, silent } from '../testing/servers.ts';
import { listenTcp } from './tcp.ts';
import { type Listener, listenUdp } from './udp.ts';

const run = promisify(execFile);
const limits = { connections: 4, idleMs: 1_000, pipelined: 3 };
const hello = { name: 'hello-service.default.svc.cluster.local', type: 'A' };

let upstream: OtherServer;
let forwarder: Forwarder;
let tcp: Listener;
let udp: Listener;
let metrics: DnsMetrics;

beforeAll(async () => {
  metrics = new DnsMetrics();
  // Slow for names that say so, otherwise at once.
  upstream = await otherServer(({ questions, id }) => {
    const name = questions?.[0]?.name ?? '';
    return name.startsWith('silent') ? undefined : { id: id ?? 0, answers: [a(name, '192.0.2.1')] };
  });
  forwarder = newForwarder({
    upstreams: [upstream.address],
    timeoutMs: 2_000,
    deadlineMs: 2_000,
    maxInFlight: 100,
    metrics,
  });
  const zone = exampleZone();
  const hosts = Array.from({ length: 250 }, (_, i) => `10.244.9.${i + 1}`);
  zone.setService('default/big', service(['None'], 'http:80'));
  zone.setEndpointSlice('default/big-a', slice('big', hosts, 'http:80'));
  const responder = responderOf({ zone, forwarder, metrics });
  tcp = await listenTcp(anyPort, { responder, limits, log: silent });
  udp = listenUdp(tcp.address, { responder });
});

afterAll(async () => {
  await udp.close();
  await tcp.close();
  forwarder.close();
  await upstream.close();
});

/** Sends packets over UDP and gives the answers that come back until there are so many. */
async function overUdp(packets: readonly Buffer[], answers = packets.length): Promise<Buffer[]> {
  const socket = createSocket('udp4');
  const received: Buffer[] = [];
  for (const packet of packets) socket.send(packet, udp.address.port, '127.0.0.1');
  for await (const [message] of EventEmitter.on(socket, 'message', { signal: AbortSignal.timeout(20_000) }))
    if (received.push(message) === answers) break;
  socket.close();
  return received;
}

function framed(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}

async function open(): Promise<Socket> {
  const socket = connect(tcp.address.port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Reads answers from a connection until there are so many or it ends. */
async function readAnswers(socket: Socket, count: number): Promise<Buffer[]> {
  let received = Buffer.alloc(0);
  const answers: Buffer[] = [];
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk as Buffer]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      answers.push(received.subarray(2, 2 + received.readUInt16BE(0)));
      received = received.subarray(2 + received.readUInt16BE(0));
    }
    if (answers.length >= count) break;
  }
  return answers;
}

describe('listenUdp', () => {
  test('answers each of a burst with its own answer, at once or later', async () => {
    // More than one batch; every other name is asked of the upstream, long after the packet's memory has served others.
    const names = Array.from({ length: 90 }, (_, i) => (i % 2 === 0 ? hello.name : `n${i}.example.com`));
    const packets = names.map((name, id) => questionPacket({ name, type: 'A' }, { id }));
    const answers = (await overUdp(packets)).map((reply) => decode(reply));
    const wanted = names.map((name) => `${name} A ${name === hello.name ? '10.96.0.20' : '192.0.2.1'}`);
    expect(answers.map(({ id }) => id).sort((x, y) => Number(x) - Number(y))).toEqual([...names.keys()]);
    for (const { id = 0, questions, answers: records } of answers) {
      expect(questions?.[0]?.name).toBe(names[id]);
      expect(lines(records)).toEqual([wanted[id]]);
    }
  });

  test('answers each client with its own id', async () => {
    const packets = Array.from({ length: 50 }, (_, id) => questionPacket(hello, { id }));
    const replies = await overUdp(packets);
    expect(replies.map((reply) => reply.readUInt16BE(0)).sort((x, y) => x - y)).toEqual(packets.map((_, id) => id));
    for (const reply of replies) expect(lines(decode(reply).answers)).toEqual([`${hello.name} A 10.96.0.20`]);
  });

  test('says nothing to what is no query, and goes on', async () => {
    const answer = questionPacket(hello);
    answer[2] = 0x81;
    const replies = await overUdp([Buffer.alloc(0), Buffer.from('x'), answer, questionPacket(hello, { id: 9 })], 1);
    expect(replies[0]?.readUInt16BE(0)).toBe(9);
  });

  test('refuses an address that is taken, by its code', async () => {
    const responder = {} as Responder;
    expect(() => listenUdp(udp.address, { responder })).toThrow(expect.objectContaining({ code: 'PORT_TAKEN' }));
    expect(() => listenUdp({ ip: parseIp('192.0.2.1'), port: 0 }, { responder })).toThrow(/192\.0\.2\.1/);
  });
});

describe('listenTcp', () => {
  test('answers several queries of one connection, also when they come in pieces', async () => {
    const socket = await open();
    const stream = Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8].map((id) => framed(questionPacket(hello, { id }))));
    for (let at = 0; at < stream.length; at += 37) {
      socket.write(stream.subarray(at, at + 37));
      await new Promise(setImmediate);
    }
    const answers = await readAnswers(socket, 8);
    expect(answers.map((reply) => reply.readUInt16BE(0))).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('does not let a slow answer hold up the next', async () => {
    const socket = await open();
    const slow = questionPacket({ name: 'silent.com', type: 'A' }, { id: 1 });
    socket.write(Buffer.concat([framed(slow), framed(questionPacket(hello, { id: 2 }))]));
    const answers = await readAnswers(socket, 2);
    expect(answers.map((reply) => reply.readUInt16BE(0))).toEqual([2, 1]);
  });

  test('stops reading from who has too many answers to wait for, and goes on after', async () => {
    const socket = await open();
    const before = upstream.asked.length;
    const queries = Array.from({ length: 9 }, (_, id) =>
      framed(questionPacket({ name: `silent${id}.org`, type: 'A' }, { id })),
    );
    socket.write(Buffer.concat(queries));
    await expect.poll(() => upstream.asked.length - before).toBe(limits.pipelined);
    const answers = await readAnswers(socket, 9);
    expect(answers.map((reply) => reply.readUInt16BE(0)).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('answers who closes its side after asking', async () => {
    const socket = await open();
    socket.end(framed(questionPacket({ name: 'www.example.org', type: 'A' })));
    expect(await readAnswers(socket, 1)).toHaveLength(1);
  });

  test('answers who closes its side after asking, however long that takes', async () => {
    const patient = newForwarder({ upstreams: [upstream.address], timeoutMs: 1_300, deadlineMs: 1_300 });
    const responder = responderOf({ zone: exampleZone(), forwarder: patient });
    const listener = await listenTcp(anyPort, { responder, limits, log: silent });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.end(framed(questionPacket({ name: 'silent.net', type: 'A' })));
    expect(await readAnswers(socket, 1)).toHaveLength(1);
    patient.close();
    await listener.close();
  });

  test('cuts an idle connection, and one that trickles', async () => {
    const idle = await open();
    const slow = await open();
    const octets = framed(questionPacket(hello));
    const timer = setInterval(() => slow.write(octets.subarray(0, 1)), 20);
    slow.on('error', () => undefined);
    idle.resume();
    slow.resume();
    await Promise.all([once(idle, 'close'), once(slow, 'close')]);
    clearInterval(timer);
  });

  test('keeps a connection that goes on asking', async () => {
    const socket = await open();
    const timer = setInterval(() => socket.write(framed(questionPacket(hello))), limits.idleMs / 3);
    const answers = await readAnswers(socket, 6);
    clearInterval(timer);
    expect(answers).toHaveLength(6);
  });

  test.each([
    ['a length below a header', Buffer.from([0, 3, 1, 2, 3])],
    ['a length beyond any query', Buffer.from([0xff, 0xff, 1, 2, 3])],
    ['an answer', framed(Buffer.concat([Buffer.from([0, 1, 0x80, 0]), Buffer.alloc(8)]))],
  ])('cuts a connection that sends %s', async (_what, octets) => {
    const responder = responderOf({ zone: exampleZone() });
    const patient = { ...limits, idleMs: 60_000 };
    const listener = await listenTcp(anyPort, { responder, limits: patient, log: silent });
    const socket = connect(listener.address.port, '127.0.0.1');
    socket.write(octets);
    socket.resume();
    await once(socket, 'close');
    await listener.close();
  });

  test('has room for who comes: of the client with the most connections who is idle has to go', async () => {
    const sockets: Socket[] = [];
    const arrive = (name: string, localAddress: string) => {
      const socket = connect({ port: tcp.address.port, host: '127.0.0.1', localAddress });
      sockets.push(socket);
      socket.write(framed(questionPacket({ name, type: 'A' })));
      return new Promise<boolean>((resolve) => {
        socket.on('data', () => resolve(true));
        socket.on('error', () => resolve(false)).on('close', () => resolve(false));
      });
    };
    expect(await arrive(hello.name, '127.0.0.2')).toBe(true);
    const busy = arrive('silent.info', '127.0.0.1');
    for (let i = 0; i < 6; i++) expect(await arrive(hello.name, '127.0.0.1')).toBe(true);
    const [modest, waiting, first] = sockets;
    expect([modest?.closed, waiting?.closed, first?.closed]).toEqual([false, false, true]);
    expect(await busy).toBe(true);
    for (const socket of sockets) socket.destroy();
  });

  test('refuses an address that is taken, by its code', async () => {
    const parts = { responder: {} as Responder, limits, log: silent };
    await expect(listenTcp(tcp.address, parts)).rejects.toMatchObject({ code: 'PORT_TAKEN' });
  });
});

describe.skipIf(!hasDig())('dig (skipped without it: Debian package bind9-dnsutils)', () => {
  const dig = async (...args: string[]) => {
    const { stdout } = await run('dig', ['@127.0.0.1', '-p', String(udp.address.port), '+tries=1', ...args]);
    return stdout;
  };

  test.each([
    [['hello-service.default.svc.cluster.local'], ['10.96.0.20']],
    [['-t', 'AAAA', 'dual.default.svc.cluster.local'], ['fd00:10:96::30']],
    [
      ['-t', 'SRV', '_http._tcp.hello-service.default.svc.cluster.local'],
      ['0 100 80 hello-service.default.svc.cluster.local.'],
    ],
    [['-x', '10.96.0.20'], ['hello-service.default.svc.cluster.local.']],
    [['-x', 'fd00:10:244::3'], ['rex.pets.default.svc.cluster.local.']],
    [['-t', 'TXT', 'dns-version.cluster.local'], ['"1.1.0"']],
    [['-t', 'NS', 'cluster.local'], ['ns.dns.cluster.local.']],
    [['inner.shop.svc.cluster.local'], ['hello-service.default.svc.cluster.local.', '10.96.0.20']],
    [['search-engine.shop.svc.cluster.local'], ['search.example.com.', '192.0.2.1']],
    [['www.example.com'], ['192.0.2.1']],
    [['+tcp', 'www.example.com'], ['192.0.2.1']],
    [['+noedns', 'hello-service.default.svc.cluster.local'], ['10.96.0.20']],
    [['+cookie=0123456789abcdef', 'hello-service.default.svc.cluster.local'], ['10.96.0.20']],
    [['+search', '+domain=default.svc.cluster.local', '+ndots=5', 'hello-service'], ['10.96.0.20']],
    [['+search', '+domain=svc.cluster.local', '+ndots=5', 'hello-service.shop'], ['10.96.0.40']],
  ])('%j +short', async (args, expected) => {
    const output = await dig('+short', ...args);
    expect(output.trim().split('\n').sort()).toEqual([...expected].sort());
  });

  test('goes on to TCP for what does not fit', async () => {
    const output = await dig('+short', 'big.default.svc.cluster.local');
    expect(new Set(output.trim().split('\n')).size).toBe(250);
  });

  test('finds nothing to complain of', async () => {
    for (const args of [
      ['hello-service.default.svc.cluster.local'],
      ['foo.default.svc.cluster.local'],
      ['+dnssec', 'cluster.local', 'SOA'],
    ]) {
      const output = await dig(...args);
      // The one warning that any name under .local gets.
      expect(output.replace(/^.*mDNS|^.*Multicast DNS$/gim, '')).not.toMatch(/WARNING|malformed|extra bytes|BAD/i);
      expect(output).toMatch(/flags: qr aa rd ra/);
    }
  });

  test.each([
    ['foo.default.svc.cluster.local', 'NXDOMAIN'],
    ['svc.cluster.local', 'NOERROR'],
    ['+opcode=notify cluster.local', 'NOTIMP'],
    ['-c CH version.bind TXT', 'REFUSED'],
    ['+edns=1 +noednsnegotiation cluster.local', 'BADVERS'],
  ])('%s: %s', async (args, status) => {
    expect(await dig(...args.split(' '))).toContain(`status: ${status}`);
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((all = []) => all.some(({ address }) => address === '::1'));

describe.skipIf(!hasIpv6)('over IPv6 (skipped where ::1 is not up)', () => {
  test('answers UDP and TCP', async () => {
    const zone = exampleZone();
    const responder = responderOf({ zone, metrics });
    const tcp6 = await listenTcp({ ip: parseIp('::1'), port: 0 }, { responder, limits, log: silent });
    const udp6 = listenUdp(tcp6.address, { responder });
    const socket = createSocket('udp6');
    socket.send(questionPacket(hello), udp6.address.port, '::1');
    const [reply] = (await once(socket, 'message')) as [Buffer];
    expect(lines(decode(reply).answers)).toEqual([`${hello.name} A 10.96.0.20`]);
    const connection = connect(tcp6.address.port, '::1');
    connection.write(framed(questionPacket(hello)));
    expect(await readAnswers(connection, 1)).toHaveLength(1);
    socket.close();
    await Promise.all([udp6.close(), tcp6.close()]);
  });
});

test('metrics count what was asked, and nothing was lost', async () => {
  const count = (labels: string) =>
    [...metrics.registry.text().matchAll(new RegExp(`^coredns_dns_${labels}(,[^}]*)?\\} (\\d+)$`, 'gm'))].reduce(
      (total, [, , value]) => total + Number(value),
      0,
    );
  const counted = () => ({
    requests: count('requests_total\\{[^}]*'),
    responses: count('responses_total\\{[^}]*'),
    tcp: count('requests_total\\{server="dns://:53",zone="\\.",view="",proto="tcp",family="1",type="A"'),
    https: count('requests_total\\{[^}]*,proto="udp",family="1",type="HTTPS"'),
    other: count('requests_total\\{[^}]*,proto="udp",family="1",type="other"'),
  });
  const before = counted();
  await overUdp([65, 65280, 13].map((type) => questionPacket({ ...hello, type: `UNKNOWN_${type}` })));
  const socket = await open();
  socket.write(framed(questionPacket(hello)));
  expect(await readAnswers(socket, 1)).toHaveLength(1);
  socket.destroy();
  const after = counted();
  const more = Object.fromEntries(
    Object.entries(after).map(([what, n]) => [what, n - before[what as keyof typeof before]]),
  );
  expect(more).toEqual({ requests: 4, responses: 4, tcp: 1, https: 1, other: 2 });
});

function hasDig(): boolean {
  try {
    execFileSync('dig', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
