import { createSocket, type Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { type IpFamily, parseIp } from '../net/ip.ts';
import { bindSocket } from './bound-sockets.ts';
import { DatagramBatch, DatagramPeer, type Unsent } from './datagrams.ts';
import { close } from './ffi.ts';

const loopback = { IPv4: parseIp('127.0.0.1'), IPv6: parseIp('::1') };
const bounds = { count: 4, received: 64, sent: 16 };
const refused: Unsent = () => expect.unreachable('the kernel takes what goes over loopback');

const closers: (() => void)[] = [];
afterEach(() => {
  for (const end of closers.splice(0)) end();
});

/** A batch of a socket, and a client that has sent it something. */
async function talking(family: IpFamily, ...texts: string[]): Promise<{ batch: DatagramBatch; client: Socket }> {
  const ip = loopback[family];
  const type = family === 'IPv4' ? 'udp4' : 'udp6';
  const port = await freePort();
  const fd = bindSocket('udp', ip, port);
  const client = createSocket(type);
  closers.push(
    () => close(fd),
    () => client.close(),
  );
  for (const text of texts) await new Promise((resolve) => client.send(text, port, ip, resolve));
  return { batch: new DatagramBatch(fd, { family, ...bounds }), client };
}

async function heard(client: Socket, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const [message] of EventEmitter.on(client, 'message', { signal: AbortSignal.timeout(20_000) }))
    if (texts.push(String(message)) === count) break;
  return texts;
}

describe('DatagramBatch', () => {
  test.each(['IPv4', 'IPv6'] as const)('takes all that wait at once, and answers them at once: %s', async (family) => {
    const { batch, client } = await talking(family, 'one', 'two', 'three');
    expect(batch.receive()).toBe(3);
    expect([0, 1, 2].map((i) => String(batch.packet(i)))).toEqual(['one', 'two', 'three']);
    const peer = batch.peer(1);
    expect(peer).toMatchObject({ family, address: loopback[family], port: client.address().port });
    const answers = heard(client, 2);
    expect(batch.queue(peer, Buffer.from('first'))).toBe(true);
    expect(batch.queue(batch.peer(2), Buffer.from('second, longer'))).toBe(true);
    batch.flush(refused);
    expect(await answers).toEqual(['first', 'second, longer']);
    expect(batch.receive()).toBe(0);
  });

  test('takes as many as it has room for, and the others next', async () => {
    const { batch } = await talking('IPv4', '1', '2', '3', '4', '5');
    expect(batch.receive()).toBe(4);
    expect(batch.receive()).toBe(1);
    expect(String(batch.packet(0))).toBe('5');
  });

  test('cuts what is longer than it has room for', async () => {
    const { batch } = await talking('IPv4', 'x'.repeat(100), 'short');
    expect(batch.receive()).toBe(2);
    expect([batch.packet(0).length, String(batch.packet(1))]).toEqual([64, 'short']);
  });

  test('does not queue what is too long or too much', async () => {
    const { batch } = await talking('IPv4', 'x');
    batch.receive();
    const peer = batch.peer(0);
    expect(batch.queue(peer, Buffer.alloc(17))).toBe(false);
    expect([1, 2, 3, 4, 5].map(() => batch.queue(peer, Buffer.alloc(1)))).toEqual([true, true, true, true, false]);
  });

  test('sends to the others when the kernel refuses one', async () => {
    const { batch, client } = await talking('IPv4', 'x');
    batch.receive();
    const [family, ...host] = batch.peer(0).words;
    // Nothing can be sent to port 0.
    const nobody = new DatagramPeer('IPv4', [(family ?? 0) & 0xffff, ...host]);
    const answers = heard(client, 2);
    for (const peer of [nobody, batch.peer(0), nobody, batch.peer(0)]) batch.queue(peer, Buffer.from('hello'));
    batch.flush(refused);
    expect(await answers).toEqual(['hello', 'hello']);
    // Nothing is sent twice.
    batch.flush(refused);
    batch.queue(batch.peer(0), Buffer.from('next'));
    const next = heard(client, 1);
    batch.flush(refused);
    expect(await next).toEqual(['next']);
  });
});
