import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleTypeScript } from '../../test/run-typescript.ts';
import { channelEnds, sendOnChannel } from '../kernel/socket-passing.ts';
import { parseIp } from '../net/ip.ts';
import { HostSockets } from './host-sockets.ts';

const ip = parseIp('127.77.3.1');
const binderProgram = bundleTypeScript("import { runBinder } from './src/publisher/binder.ts'; runBinder(3);");
const binders: ChildProcess[] = [];
const open = new Set<number>();
let outside: number;
let inside: number;
let sockets: HostSockets | undefined;

beforeEach(() => {
  [outside, inside] = channelEnds();
  open.add(outside).add(inside);
});
afterEach(async () => {
  sockets?.close();
  sockets = undefined;
  for (const fd of open) closeSync(fd);
  open.clear();
  // Nobody has the other end any more: each that still runs ends by itself.
  for (const binder of binders.splice(0))
    if (binder.exitCode === null && binder.signalCode === null) await once(binder, 'exit');
});

/** A binder in a process of its own, as it holds its whole thread. */
function startBinder(): ChildProcess {
  const binder = spawn(process.execPath, ['-e', binderProgram], { stdio: ['ignore', 'inherit', 'inherit', outside] });
  binders.push(binder);
  return binder;
}

async function serves(fd: number): Promise<void> {
  const server = createServer((socket) => socket.end('here'));
  await once(server.listen({ fd }), 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no address');
  const [said] = await once(connect(address.port, address.address), 'data');
  expect(String(said)).toBe('here');
  server.close();
}

describe('HostSockets', () => {
  it('gets sockets that the binder has bound, and its refusals', async () => {
    startBinder();
    sockets = new HostSockets(inside);
    const fd = await sockets.bind('TCP', { ip, port: 8080 });
    await expect(sockets.bind('TCP', { ip, port: 8080 })).rejects.toThrow('EADDRINUSE');
    const udp = await sockets.bind('UDP', { ip, port: 8080 });
    closeSync(udp);
    await serves(fd);
  });

  it('lets go of what was asked for by another before', async () => {
    sendOnChannel(inside, JSON.stringify({ id: -1, protocol: 'TCP', ip, port: 8080 }));
    startBinder();
    sockets = new HostSockets(inside);
    await serves(await sockets.bind('TCP', { ip, port: 8080 }));
  });

  it('is answered by the binder that comes when one was killed', async () => {
    const first = startBinder();
    sockets = new HostSockets(inside);
    closeSync(await sockets.bind('UDP', { ip, port: 8080 }));
    first.kill('SIGKILL');
    await once(first, 'exit');
    const asked = sockets.bind('TCP', { ip, port: 8080 });
    startBinder();
    await serves(await asked);
  });

  it('gets no address beyond loopback', async () => {
    startBinder();
    sockets = new HostSockets(inside);
    closeSync(await sockets.bind('UDP', { ip, port: 8080 }));
    let given: number | undefined;
    const asked = sockets.bind('TCP', { ip: parseIp('0.0.0.0'), port: 8080 }).then((fd) => {
      given = fd;
    });
    // What is asked for is answered in its order: there was no answer to that.
    closeSync(await sockets.bind('UDP', { ip, port: 8080 }));
    expect(given).toBeUndefined();
    sockets.close();
    await expect(asked).rejects.toThrow('EPIPE');
  });
});

describe('runBinder', () => {
  it('ends well when nobody has the other end of the channel any more', async () => {
    const binder = startBinder();
    sockets = new HostSockets(inside);
    closeSync(await sockets.bind('UDP', { ip, port: 8080 }));
    sockets.close();
    closeSync(inside);
    open.delete(inside);
    const [code] = await once(binder, 'exit');
    expect(code).toBe(0);
  });
});
