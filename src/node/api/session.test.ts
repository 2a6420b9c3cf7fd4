import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { ClientMessage } from './channels.ts';
import type { ClientChannels } from './client-channels.ts';
import { Session } from './session.ts';

/** A client whose messages come in order, all of them held up by `pause`, as over a WebSocket. */
function client() {
  let tell: (message: ClientMessage) => void = () => {};
  let isPaused = false;
  const waiting: ClientMessage[] = [];
  const channels: ClientChannels = {
    closed: new Promise(() => {}),
    isOpen: true,
    listen: (onMessage) => {
      tell = onMessage;
    },
    pause: () => {
      isPaused = true;
    },
    resume: () => {
      isPaused = false;
      for (const message of waiting.splice(0)) tell(message);
    },
    send: () => {},
    sendStatus: () => {},
    close: () => {},
    terminate: () => {},
  };
  const say = (message: ClientMessage) => (isPaused ? waiting.push(message) : tell(message));
  return { channels, say, isPaused: () => isPaused };
}

test('Session hears the size of a terminal behind what was typed, and has that typed later', async () => {
  const { channels, say } = client();
  const session = new Session(channels);
  const size = session.firstSize();
  say({ type: 'stdin', data: Buffer.from('typed ') });
  say({ type: 'stdin', data: Buffer.from('early') });
  say({ type: 'resize', columns: 131, rows: 41 });
  expect(await size).toMatchObject({ columns: 131, rows: 41 });
  const program = new PassThrough();
  session.type(program, { ends: true });
  say({ type: 'stdinEnd' });
  expect(await text(program)).toBe('typed early');
});

test('Session holds a client up that types much before there is a program', async () => {
  const { channels, say, isPaused } = client();
  const session = new Session(channels);
  const size = session.firstSize();
  say({ type: 'stdin', data: Buffer.alloc(65_000) });
  expect(isPaused()).toBe(false);
  say({ type: 'stdin', data: Buffer.alloc(1_000) });
  expect(isPaused()).toBe(true);
  expect(await size).toBeUndefined();
});
