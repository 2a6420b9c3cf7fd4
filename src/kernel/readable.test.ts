import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { bundleTypeScript, runTypeScript } from '../../test/run-typescript.ts';
import { soon } from '../../test/soon.ts';
import { parseIp } from '../net/ip.ts';
import { bindSocket, boundPort } from './bound-sockets.ts';
import { close, connect, errnoNumber, MSG_DONTWAIT, recv, send } from './ffi.ts';
import { type SocketWatch, watchReadable } from './readable.ts';
import { socketAddress } from './socket-address.ts';

const loopback = parseIp('127.0.0.1');
const closers: (() => void)[] = [];
afterEach(() => {
  for (const end of closers.splice(0).reverse()) end();
});

function bound(): { readonly fd: number; readonly port: number } {
  const fd = bindSocket('udp', loopback, 0);
  closers.push(() => close(fd));
  return { fd, port: boundPort(fd) };
}

function watched(fd: number, drain: (taken: Buffer, length: number) => void): SocketWatch {
  const watch = watchReadable(fd, () => {
    const into = Buffer.alloc(64);
    drain(into, recv(fd, into, MSG_DONTWAIT));
  });
  closers.push(() => watch.close());
  return watch;
}

async function client(): Promise<Socket> {
  const socket = createSocket('udp4');
  closers.push(() => socket.close());
  socket.bind(0, loopback);
  await once(socket, 'listening');
  return socket;
}

describe('watchReadable', () => {
  test('calls until all is taken, one datagram a call, and not after close', async () => {
    const { fd, port } = bound();
    const texts: string[] = [];
    const watch = watched(fd, (into, length) => texts.push(into.toString('utf8', 0, length)));
    const from = await client();
    for (const text of ['a', 'b', 'c']) from.send(text, port, loopback);
    await soon(() => expect(texts).toEqual(['a', 'b', 'c']));
    watch.close();
    watch.close();
    await new Promise((resolve) => from.send('d', port, loopback, resolve));
    const left = Buffer.alloc(64);
    await soon(() => expect(recv(fd, left, MSG_DONTWAIT)).toBe(1));
    expect([left.toString('utf8', 0, 1), texts.length]).toEqual(['d', 3]);
  });

  test('goes on after an error of the socket', async () => {
    const { fd } = bound();
    const nobody = await client();
    const { port } = nobody.address();
    connect(fd, socketAddress(loopback, port));
    const lengths: number[] = [];
    watched(fd, (_, length) => lengths.push(length));
    nobody.close();
    closers.splice(1, 1);
    for (const times of [1, 2, 3]) {
      send(fd, Buffer.from('x'), 0);
      await soon(() => expect(lengths.filter((one) => one === -errnoNumber.ECONNREFUSED)).toHaveLength(times));
    }
  });

  test('what is thrown while it drains is an uncaught exception, and promises settle', async () => {
    const program = `
      import { createSocket } from 'node:dgram';
      import { MSG_DONTWAIT, recv } from './src/kernel/ffi.ts';
      import { bindSocket, boundPort } from './src/kernel/bound-sockets.ts';
      import { watchReadable } from './src/kernel/readable.ts';
      const fd = bindSocket('udp', '127.0.0.1', 0);
      const watch = watchReadable(fd, () => {
        recv(fd, new Uint8Array(8), MSG_DONTWAIT);
        Promise.resolve().then(() => console.log('settled'));
        throw new Error('from drain');
      });
      process.on('uncaughtException', ({ message }) => {
        console.log(message);
        watch.close();
        clearTimeout(awake);
      });
      const from = createSocket('udp4');
      from.send('x', boundPort(fd), '127.0.0.1', () => from.close());
      const awake = setTimeout(() => {}, 20_000);
    `;
    expect((await runTypeScript(program)).stdout.trim().split('\n').sort()).toEqual(['from drain', 'settled']);
  });

  test('does not keep the process alive, nor aborts it at its end with something left', async () => {
    const program = `
      import { bindSocket } from './src/kernel/bound-sockets.ts';
      import { connect, send, socketName } from './src/kernel/ffi.ts';
      import { watchReadable } from './src/kernel/readable.ts';
      const fd = bindSocket('udp', '127.0.0.1', 0);
      watchReadable(fd, () => {});
      connect(fd, socketName(fd));
      send(fd, Buffer.from('to itself'), 0);
      process.stdout.write('done');
    `;
    expect(runTypeScript(program)).toMatchObject({ stdout: 'done', status: 0, signal: null });
  });

  test('is refused on a worker thread', async () => {
    const program = `
      import { watchReadable } from './src/kernel/readable.ts';
      watchReadable(0, () => {});
    `;
    const [error] = await once(new Worker(bundleTypeScript(program), { eval: true }), 'error');
    expect(error).toMatchObject({ code: 'NOT_MAIN_THREAD' });
  });

  test('tells once of room to send', async () => {
    const { fd, port } = bound();
    const texts: string[] = [];
    const watch = watched(fd, (into, length) => texts.push(into.toString('utf8', 0, length)));
    let times = 0;
    watch.awaitRoom(() => times++);
    await soon(() => expect(times).toBe(1));
    // It still hears.
    const from = await client();
    for (const text of ['a', 'b']) {
      from.send(text, port, loopback);
      await soon(() => expect(texts.at(-1)).toBe(text));
    }
    expect(times).toBe(1);
    watch.close();
    watch.awaitRoom(() => times++);
    expect(times).toBe(1);
  });
});
