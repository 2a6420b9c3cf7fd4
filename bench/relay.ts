// What the userspace mode's relay costs: as many connections held at once as it may have files open (two each), each answering, with the memory of the
// relaying process; and new connections a second and throughput through it against the endpoint directly, in turn.
// Client, relay and endpoint are a process each. `npm run bench relay [CONNECTIONS]`
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { raiseOpenFiles } from '../src/kernel/process.ts';
import { parseIp } from '../src/net/ip.ts';
import { Balancer } from '../src/relay/balancer.ts';
import { Budget } from '../src/relay/relay.ts';
import { TcpRelay } from '../src/relay/tcp-relay.ts';
import { formatTable } from './shared/figures.ts';
import { ask, connectionsASecond, open, serveEcho, several, throughput } from './shared/load.ts';

const host = parseIp('127.0.0.1');
const rounds = 5;
const [role, argument] = process.argv.slice(2);
const files = raiseOpenFiles(65_536);

if (role === 'endpoint') await serve();
else if (role === 'relay') await relay(Number(argument));
else await measure(Number(role ?? Math.min(10_000, (files >> 1) - 200)));

async function serve(): Promise<void> {
  const server = await serveEcho({ host, port: 0 });
  process.send?.((server.address() as AddressInfo).port);
  process.on('disconnect', () => process.exit());
}

async function relay(port: number): Promise<void> {
  const balancer = new Balancer();
  balancer.update([{ ip: host, port }], undefined);
  const limits = { idleMs: 86_400_000, udpIdleMs: 250, onError: (error: Error) => console.error(error) };
  const connections = new Budget(
    () => 30_000,
    () => console.error('no more connections'),
  );
  process.send?.(await new TcpRelay(balancer, { ...limits, connections }).listen(host, 0));
  process.on('disconnect', () => process.exit());
}

async function measure(held: number): Promise<void> {
  const endpoint = await start('endpoint');
  const between = await start('relay', String(endpoint.port));
  const before = memory(between.child);
  const sockets: Socket[] = [];
  const began = performance.now();
  while (sockets.length < held)
    sockets.push(...(await Promise.all(several(100, () => open({ host, port: between.port })))));
  const opened = performance.now() - began;
  const answers = await Promise.all(sockets.map((socket, i) => ask(socket, `connection ${i}`)));
  const right = answers.filter((answer, i) => answer === `connection ${i}`).length;
  console.log(
    formatTable([
      { held, answered: right, 'opened in ms': opened, 'KiB each': (memory(between.child) - before) / held },
    ]),
  );
  for (const socket of sockets) socket.destroy();
  const rows = [];
  for (let i = 0; i < rounds; i++) rows.push(await round(endpoint.port, between.port));
  console.log(formatTable(rows));
  endpoint.child.disconnect();
  between.child.disconnect();
  if (right < held) process.exitCode = 1;
}

async function round(direct: number, relayed: number) {
  const [a, b] = [await connectionsASecond({ host, port: direct }), await connectionsASecond({ host, port: relayed })];
  const [c, d] = [await throughput({ host, port: direct }), await throughput({ host, port: relayed })];
  return {
    'direct conn/s': a,
    'relayed conn/s': b,
    ratio: b / a,
    'direct MB/s': c,
    'relayed MB/s': d,
    'ratio ': d / c,
  };
}

async function start(...args: string[]): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(process.argv[1] ?? '', args);
  const [port] = await once(child, 'message');
  return { child, port: Number(port) };
}

/** Resident memory, KiB. */
function memory({ pid }: ChildProcess): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
