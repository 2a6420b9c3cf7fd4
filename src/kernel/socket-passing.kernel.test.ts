import { once } from 'node:events';
import { closeSync, fstatSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { bindSocket } from './bound-sockets.ts';
import { inFreshNetns } from './netns.ts';
import { channelEnds, receiveOnChannel, sendOnChannel } from './socket-passing.ts';

const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

function ends(): readonly [number, number] {
  const pair = channelEnds();
  open.push(...pair);
  return pair;
}

describe('receiveOnChannel', () => {
  it('gives messages whole and in order, and none when there is none', () => {
    const [a, b] = ends();
    expect(receiveOnChannel(b, 'now')).toBeUndefined();
    for (const text of ['one', 'zwei', 'ü'.repeat(1000)]) sendOnChannel(a, text);
    expect([1, 2, 3].map(() => receiveOnChannel(b, 'wait'))).toEqual([
      { text: 'one', fd: undefined },
      { text: 'zwei', fd: undefined },
      { text: 'ü'.repeat(1000), fd: undefined },
    ]);
  });

  it('gives a file descriptor of its own for the one that was sent', () => {
    const [a, b] = ends();
    const socket = bindSocket('udp', parseIp('127.0.0.1'), 0);
    const inode = fstatSync(socket).ino;
    sendOnChannel(a, 'take this', socket);
    closeSync(socket);
    const message = receiveOnChannel(b, 'wait');
    if (message === 'end' || message.fd === undefined) throw new Error('no file descriptor');
    open.push(message.fd);
    expect(message.text).toBe('take this');
    expect(fstatSync(message.fd).ino).toBe(inode);
  });

  it('brings a listening socket into another network namespace, where it stays one of its own', async () => {
    const [a, b] = ends();
    const here = bindSocket('tcp', parseIp('127.77.3.1'), 8080);
    sendOnChannel(a, 'a listener', here);
    closeSync(here);
    const message = inFreshNetns(() => receiveOnChannel(b, 'wait'));
    if (message === 'end' || message.fd === undefined) throw new Error('no file descriptor');
    const server = createServer((socket) => socket.end('here'));
    await once(server.listen({ fd: message.fd }), 'listening');
    const [said] = await once(connect(8080, '127.77.3.1'), 'data');
    expect(String(said)).toBe('here');
    server.close();
  });

  it('tells the end when the other one is closed, also if it had not read all', () => {
    const [a, b] = channelEnds();
    open.push(b);
    sendOnChannel(b, 'never read');
    closeSync(a);
    expect(receiveOnChannel(b, 'wait')).toBe('end');
    expect(receiveOnChannel(b, 'now')).toBe('end');
    expect(() => sendOnChannel(b, 'too late')).toThrow(/EPIPE/);
  });

  it('does not wait to send to an end that does not read', () => {
    const [a] = ends();
    const fill = () => {
      for (let i = 0; i < 100_000; i++) sendOnChannel(a, 'x');
    };
    expect(fill).toThrow(/EAGAIN/);
  });
});
