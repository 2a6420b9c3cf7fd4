import { closeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { parseIp } from '../net/ip.ts';
import { bindSharedSocket, bindSocket } from './bound-sockets.ts';
import { countListeners } from './listeners.ts';

test.each(['127.0.0.1', '::1'])('countListeners counts who shares a port of %s, and nobody elsewhere', async (text) => {
  const [ip, port] = [parseIp(text), await freePort()];
  expect(countListeners(ip, port)).toBe(0);
  const sockets = [bindSharedSocket('tcp', ip, port)];
  try {
    expect(countListeners(ip, port)).toBe(1);
    sockets.push(bindSharedSocket('tcp', ip, port));
    expect(countListeners(ip, port)).toBe(2);
    expect(() => bindSocket('tcp', ip, port)).toThrow(/EADDRINUSE/);
    expect(countListeners(parseIp(text === '::1' ? '::2' : '127.0.0.2'), port)).toBe(0);
  } finally {
    for (const fd of sockets) closeSync(fd);
  }
  expect(countListeners(ip, port)).toBe(0);
});
