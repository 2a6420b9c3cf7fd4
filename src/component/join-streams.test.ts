import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { joinStreams } from './join-streams.ts';

vi.setConfig({ testTimeout: 30_000 });

const longMs = 60_000;
let server: Server;
const sockets = new Set<Socket>();

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  vi.useRealTimers();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
});

/** Both ends of a connection. */
async function connection(): Promise<{ near: Socket; far: Socket }> {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
  return { near, far };
}

function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** Two connections, joined in the middle: what one end says the other hears. */
async function joined(idleMs = longMs): Promise<{ left: Socket; right: Socket; middle: readonly Socket[] }> {
  const [one, other] = [await connection(), await connection()];
  joinStreams(one.far, other.far, idleMs);
  return { left: one.near, right: other.near, middle: [one.far, other.far] };
}

test('joinStreams passes both directions and their ends', async () => {
  const { left, right, middle } = await joined();
  const closed = middle.map(untilClosed);
  let question = '';
  right.setEncoding('utf8').on('data', (piece: string) => {
    question += piece;
  });
  left.end('question');
  await once(right, 'end');
  expect(question).toBe('question');
  right.end('answer');
  expect(await text(left)).toBe('answer');
  await Promise.all(closed);
});

test('joinStreams loses nothing to a reader who is slower than the one who has said all and gone', async () => {
  const { left, right } = await joined();
  const much = 'x'.repeat(16 << 20);
  left.end(much);
  right.end();
  await once(left.resume(), 'end');
  expect((await text(right)).length).toBe(much.length);
});

test('joinStreams ends both when one breaks off', async () => {
  const { left, right, middle } = await joined();
  left.write('begin');
  await once(right, 'data');
  const closed = middle.map(untilClosed);
  left.resetAndDestroy();
  await Promise.all([...closed, once(right, 'end')]);
});

test('joinStreams ends both when nothing moves, and not before', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { left, right, middle } = await joined(1000);
  const closed = middle.map(untilClosed);
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    vi.advanceTimersByTime(900);
    from.write('.');
    await once(to, 'data');
  }
  vi.advanceTimersByTime(900);
  expect(middle.map((socket) => socket.destroyed)).toEqual([false, false]);
  vi.advanceTimersByTime(200);
  await Promise.all(closed);
});
