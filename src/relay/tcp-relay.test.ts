import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { Balancer } from './balancer.ts';
import { Budget, type RelayLimits, type RelayTarget } from './relay.ts';
import { TcpRelay } from './tcp-relay.ts';

const host = parseIp('127.0.0.1');
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** An endpoint that does this with each connection. */
async function endpoint(serve: (socket: Socket) => void): Promise<RelayTarget & { readonly server: Server }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  ends.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return { ip: host, port: (server.address() as AddressInfo).port, server };
}

/** A port of loopback where nobody listens. */
async function silentEndpoint(): Promise<RelayTarget> {
  const { server, ...rest } = await endpoint(() => {});
  server.close();
  await once(server, 'close');
  return rest;
}

async function relayTo(endpoints: readonly RelayTarget[], limits: Partial<RelayLimits> = {}): Promise<number> {
  const balancer = new Balancer();
  balancer.update(endpoints, undefined);
  const relay = new TcpRelay(balancer, {
    connections: new Budget(
      () => 100,
      () => {},
    ),
    idleMs: 60_000,
    udpIdleMs: 60_000,
    onError: (error) => {
      throw error;
    },
    ...limits,
  });
  ends.push(() => relay.destroy());
  return relay.listen(host, 0);
}

function client(port: number): Socket {
  const socket = connect({ port, host, allowHalfOpen: true });
  ends.push(() => socket.destroy());
  return socket;
}

/** All that comes until the other side ends; the socket stays open for what is to be said back. */
async function text(socket: Socket): Promise<string> {
  let received = '';
  socket.setEncoding('utf8').on('data', (data) => {
    received += data;
  });
  await once(socket, 'end');
  return received;
}

/** How a connection ended from the client's side. */
function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.resume();
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('end', () => resolve('end'));
  });
}

const says = (word: string) => endpoint((socket) => socket.end(word));

describe('TcpRelay', () => {
  it('takes endpoints in turn', async () => {
    const port = await relayTo([await says('a'), await says('b')]);
    const answers: string[] = [];
    for (let i = 0; i < 4; i++) answers.push(await text(client(port)));
    expect(answers).toEqual(['a', 'b', 'a', 'b']);
  });

  it('goes to the next endpoint when one does not accept', async () => {
    const port = await relayTo([await silentEndpoint(), await says('b')]);
    expect([await text(client(port)), await text(client(port))]).toEqual(['b', 'b']);
  });

  it('goes to the next endpoint when one says nothing at all', async () => {
    const port = await relayTo([{ ip: parseIp('192.0.2.1'), port: 9 }, await says('b')]);
    expect(await text(client(port))).toBe('b');
  });

  it('turns a client away when no endpoint accepts', async () => {
    const port = await relayTo([await silentEndpoint(), await silentEndpoint()]);
    expect(await ending(client(port))).toBe('ECONNRESET');
  });

  it('passes an end on and goes on with the other direction', async () => {
    const echo = await endpoint(async (socket) => {
      const asked = await text(socket);
      socket.end(`you said ${asked}`);
    });
    const port = await relayTo([echo]);
    const socket = client(port);
    socket.end('hello');
    expect(await text(socket)).toBe('you said hello');
  });

  it('passes an abort of the endpoint on', async () => {
    const aborting = await endpoint((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const socket = client(await relayTo([aborting]));
    socket.write('x');
    expect(await ending(socket)).toBe('ECONNRESET');
  });

  it('passes an abort of the client on', async () => {
    let seen: (end: string) => void = () => {};
    const ended = new Promise<string>((resolve) => {
      seen = resolve;
    });
    const waiting = await endpoint((socket) => {
      socket.write('come in');
      socket.resume();
      socket.once('error', (error: NodeJS.ErrnoException) => seen(error.code ?? 'error'));
      socket.once('end', () => seen('end'));
    });
    const socket = client(await relayTo([waiting]));
    await once(socket, 'data');
    socket.resetAndDestroy();
    expect(await ended).toBe('ECONNRESET');
  });

  it('slows a sender down whose receiver does not read', async () => {
    let receiver: Socket | undefined;
    const slow = await endpoint((socket) => {
      socket.pause();
      receiver = socket;
    });
    const socket = client(await relayTo([slow]));
    await once(socket, 'connect');
    const chunk = Buffer.alloc(1 << 20);
    let sent = 0;
    const before = process.memoryUsage().arrayBuffers;
    // The kernel's buffers of two connections take some megabytes; after that nothing goes any more.
    while (sent < 64 && (await written(socket, chunk))) sent++;
    expect(sent).toBeLessThan(64);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20);
    let received = 0;
    receiver?.on('data', (data: Buffer) => {
      received += data.length;
    });
    receiver?.resume();
    socket.end();
    if (receiver !== undefined) await once(receiver, 'end');
    expect(received).toBe((sent + 1) << 20);
  });

  it('ends a connection nobody uses', async () => {
    const port = await relayTo([await endpoint(() => {})], { idleMs: 50 });
    expect(await ending(client(port))).toBe('ECONNRESET');
  });

  it('turns clients away beyond the budget, and takes them again when others have gone', async () => {
    let refusals = 0;
    const budget = new Budget(
      () => 1,
      () => refusals++,
    );
    const port = await relayTo([await endpoint((socket) => socket.write('hello'))], { connections: budget });
    const first = client(port);
    await once(first, 'data');
    expect(await ending(client(port))).toBe('ECONNRESET');
    expect(refusals).toBe(1);
    first.resetAndDestroy();
    await expect.poll(() => budget.used).toBe(0);
    const third = client(port);
    expect(String(await once(third, 'data'))).toBe('hello');
  });
});

/** Whether a chunk went out within a moment. */
function written(socket: Socket, chunk: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), 500);
    socket.write(chunk, () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
