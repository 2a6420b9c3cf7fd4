import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { type DecodedPacket, decode } from 'dns-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { parseCidr } from '../../net/cidr.ts';
import type { Responder } from '../answer.ts';
import type { TransferRule } from '../config/types.ts';
import { listenTcp } from '../server/tcp.ts';
import { type Listener, listenUdp } from '../server/udp.ts';
import { answerTo, ask, line, lines, questionPacket, rcodeOf } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { emptyZone, name, service, slice } from '../testing/objects.ts';
import { responderOf } from '../testing/responder.ts';
import { anyPort, silent } from '../testing/servers.ts';
import { rootName } from '../wire/name.ts';
import type { ClusterZone } from '../zone.ts';

const toMe: TransferRule = { zones: [rootName], to: [parseCidr('127.0.0.1/32')], notify: [] };
const limits = { connections: 20, idleMs: 2_000, pipelined: 3 };

const opened: Listener[] = [];
afterEach(async () => {
  for (const listener of opened.splice(0)) await listener.close();
});

async function serve(responder: Responder): Promise<number> {
  const tcp = await listenTcp(anyPort, { responder, limits, log: silent });
  const udp = listenUdp(tcp.address, { responder });
  opened.push(tcp, udp);
  return tcp.address.port;
}

async function send(port: number, packet: Buffer): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  socket.write(Buffer.concat([length, packet]));
  return socket;
}

type Record = NonNullable<DecodedPacket['answers']>[number];

/** Reads messages until `isLast` says so of all their records. */
async function read(socket: Socket, isLast: (records: readonly Record[]) => boolean): Promise<DecodedPacket[]> {
  const messages: DecodedPacket[] = [];
  let received = Buffer.alloc(0);
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      messages.push(decode(received.subarray(2, end)));
      received = received.subarray(end);
      if (isLast(messages.flatMap(({ answers }) => answers ?? []))) return messages;
    }
  }
  throw new Error(`the connection ended after ${messages.length} messages`);
}

const isWhole = (records: readonly Record[]) => records.length > 1 && records.at(-1)?.type === 'SOA';

function transfer(port: number, zone = 'cluster.local', type = 'AXFR'): Promise<DecodedPacket[]> {
  return send(port, questionPacket({ name: zone, type })).then((socket) => read(socket, isWhole));
}

/** IXFR from a serial number: the SOA record in the authority section says what the client has. */
function incrementalPacket(serial: number): Buffer {
  const data = { mname: 'ns.dns.cluster.local', rname: 'hostmaster.cluster.local', serial };
  return questionPacket(
    { name: 'cluster.local', type: 'IXFR' },
    { authorities: [{ type: 'SOA', name: 'cluster.local', data: { ...data, refresh: 1, retry: 1, expire: 1 } }] },
  );
}

async function single(port: number, packet: Buffer): Promise<DecodedPacket> {
  const [message] = await read(await send(port, packet), () => true);
  if (message === undefined) throw new Error('no message');
  return message;
}

const recordsOf = (messages: readonly DecodedPacket[]) => messages.flatMap(({ answers }) => answers ?? []);

function large(services: number): ClusterZone {
  const zone = emptyZone();
  zone.setNamespace('default', true);
  for (let i = 0; i < services; i++) {
    zone.setService(`default/s${i}`, service([`10.97.${i >> 8}.${i & 255}`], 'http:80'));
    zone.setEndpointSlice(`default/s${i}-a`, slice(`s${i}`, [`10.245.${i >> 8}.${i & 255}`], 'http:8080'));
  }
  return zone;
}

describe('TransferHandler', () => {
  test.each(['cluster.local', 'in-addr.arpa', 'ip6.arpa'])('gives %s as single queries do', async (apex) => {
    const zone = exampleZone();
    const responder = responderOf({ zone, transfer: [toMe] });
    const records = recordsOf(await transfer(await serve(responder), apex));
    expect(records[0]).toEqual(records.at(-1));
    expect(records[0]).toMatchObject({ type: 'SOA', name: apex, data: { serial: zone.serial } });
    const transferred = new Map<string, Record[]>();
    for (const record of records.slice(0, -1)) {
      const question = `${record.name} ${record.type}`;
      transferred.set(question, [...(transferred.get(question) ?? []), record]);
    }
    for (const [question, found] of transferred) {
      const [asked = '', type = ''] = question.split(' ');
      const reply = await ask(responder, { name: asked, type, transport: 'tcp' });
      expect(found.map((record) => line(record as never)).sort()).toEqual(lines(reply.answers));
      const ttls = [...found, ...(reply.answers ?? [])].map((record) => (record as { ttl: number }).ttl);
      expect(new Set(ttls).size).toBe(1);
    }
    // And nothing is left out: each set of records in the tree is there.
    const { tree } = zone.zoneOf(name(apex)) ?? expect.fail('no zone');
    const sets = [...tree.entries()].reduce((sum, [, node]) => sum + node.sets.length, 0);
    expect(transferred.size).toBe(sets + 1);
  });

  test('gives a large zone in several messages, as it was at the first', async () => {
    const zone = large(3000);
    const responder = responderOf({ zone, transfer: [toMe] });
    const port = await serve(responder);
    const serial = zone.serial;
    const before = recordsOf(await transfer(port)).map((record) => line(record as never));
    expect(zone.serial).toBe(serial);
    const socket = await send(port, questionPacket({ name: 'cluster.local', type: 'AXFR' }));
    await once(socket, 'readable');
    for (let i = 0; i < 3000; i += 3) zone.setService(`default/s${i}`, undefined);
    for (let i = 3000; i < 3100; i++) zone.setService(`default/s${i}`, service([`10.98.0.${i & 255}`]));
    const messages = await read(socket, isWhole);
    expect(messages.length).toBeGreaterThan(10);
    expect(messages.every(({ id, flag_aa }) => id === 4711 && flag_aa)).toBe(true);
    expect(
      recordsOf(messages)
        .map((record) => line(record as never))
        .sort(),
    ).toEqual(before.sort());
    expect(recordsOf(messages).at(-1)).toMatchObject({ data: { serial } });
  }, 60_000);

  test('is understood by dig', async () => {
    const port = await serve(responderOf({ zone: exampleZone(), transfer: [toMe] }));
    const { stdout } = await promisify(execFile)('dig', [
      ...['@127.0.0.1', '-p', String(port), '+nocookie', 'cluster.local', 'AXFR'],
    ]);
    expect(stdout).toMatch(/^pets\.default\.svc\.cluster\.local\.\s+5\s+IN\s+A\s+10\.244\.1\.2$/m);
    expect(stdout).toMatch(/XFR size: \d+ records \(messages 1,/);
  });

  test('gives what has changed as the whole, or as nothing where nothing has', async () => {
    const zone = exampleZone();
    const responder = responderOf({ zone, transfer: [toMe] });
    const port = await serve(responder);
    for (const serial of [zone.serial, zone.serial + 5]) {
      const { answers } = await single(port, incrementalPacket(serial));
      expect(answers?.map(({ type }) => type)).toEqual(['SOA']);
    }
    for (const serial of [zone.serial - 1, (zone.serial + 0x9000_0000) >>> 0]) {
      const messages = await read(await send(port, incrementalPacket(serial)), isWhole);
      expect(recordsOf(messages).length).toBeGreaterThan(50);
    }
    const overUdp = decode((await answerTo(responder, incrementalPacket(zone.serial - 1))) ?? expect.fail());
    expect(overUdp).toMatchObject({ flag_aa: true, answers: [{ type: 'SOA', data: { serial: zone.serial } }] });
    expect(overUdp.answers).toHaveLength(1);
    const bare = await single(port, questionPacket({ name: 'cluster.local', type: 'IXFR' }));
    expect(rcodeOf(bare)).toBe('FORMERR');
  });

  test.each([
    ['nobody may have it', 'REFUSED', []],
    ['others may', 'REFUSED', [{ ...toMe, to: [parseCidr('192.0.2.1/32'), parseCidr('10.0.0.0/8')] }]],
    ['the first rule for the zone is about others', 'REFUSED', [{ ...toMe, to: [] }, toMe]],
    ['another zone may be had', 'REFUSED', [{ ...toMe, zones: [name('example.test')] }]],
    ['the clients of a block may', 'NOERROR', [{ ...toMe, to: [parseCidr('127.0.0.0/8')] }]],
    ['everybody may', 'NOERROR', [{ ...toMe, to: '*' as const }]],
    [
      'a later rule is nearer, for all',
      'NOERROR',
      [
        { ...toMe, to: [] },
        { ...toMe, zones: [name('local')] },
      ],
    ],
    ['a later rule is nearer, for others', 'REFUSED', [toMe, { ...toMe, zones: [name('cluster.local')], to: [] }]],
    ['the rule for this zone is the second', 'NOERROR', [{ ...toMe, zones: [name('example.test')], to: [] }, toMe]],
  ])('answers where %s with %s', async (_what, code, rules) => {
    const port = await serve(responderOf({ zone: exampleZone(), transfer: rules }));
    expect(rcodeOf(await single(port, questionPacket({ name: 'cluster.local', type: 'AXFR' })))).toBe(code);
  });

  test('gives zones only, only when they are whole, and only over TCP', async () => {
    const zone = exampleZone();
    const responder = responderOf({ zone, transfer: [toMe] });
    const port = await serve(responder);
    for (const other of ['default.svc.cluster.local', 'nowhere.cluster.local', 'example.test'])
      expect(rcodeOf(await single(port, questionPacket({ name: other, type: 'AXFR' })))).toBe('NOTAUTH');
    expect(rcodeOf(await ask(responder, { name: 'cluster.local', type: 'AXFR' }))).toBe('REFUSED');
    const early = await serve(responderOf({ zone, transfer: [toMe], isReady: false }));
    expect(rcodeOf(await single(early, questionPacket({ name: 'cluster.local', type: 'AXFR' })))).toBe('SERVFAIL');
  });

  test('is cut off for who does not read, and there is room again', async () => {
    const port = await serve(responderOf({ zone: large(10_000), transfer: [toMe] }));
    const packet = questionPacket({ name: 'cluster.local', type: 'AXFR' });
    const lazy = await Promise.all(Array.from({ length: 8 }, () => send(port, packet)));
    for (const socket of lazy) {
      socket.pause();
      socket.on('error', () => undefined);
    }
    await expect.poll(async () => rcodeOf(await single(port, packet)), { interval: 5 }).toBe('SERVFAIL');
    await expect.poll(async () => rcodeOf(await single(port, packet))).toBe('NOERROR');
    for (const socket of lazy) socket.destroy();
  }, 60_000);
});
