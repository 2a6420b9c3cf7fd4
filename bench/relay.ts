// What the userspace mode's relay costs: as many connections held at once as it may have files open (two each), each answering, with the memory of the
// relaying process; and new connections a second and throughput through it against the endpoint directly, in turn.
// Client, relay and endpoint are a process each. `npm run bench relay [CONNECTIONS]`
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { raiseOpenFiles } from '../src/kernel/process.ts';
import { parseIp } from '../src/net/ip.ts';
import { Balancer } from '../src/relay/balancer.ts';
import { Budget } from '../src/relay/relay.ts';
import { TcpRelay } from '../src/relay/tcp-relay.ts';
import { formatTable } from './shared/figures.ts';

const host = parseIp('127.0.0.1');
const rounds = 5;
const connectionsARound = 2_000;
const megabytesARound = 256;
const [role, argument] = process.argv.slice(2);
const files = raiseOpenFiles(65_536);

if (role === 'endpoint') await serve();
else if (role === 'relay') await relay(Number(argument));
else await measure(Number(role ?? Math.min(10_000, (files >> 1) - 200)));

/** Answers what it hears. */
async function serve(): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen({ port: 0, host, backlog: 4096 });
  await once(server, 'listening');
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
  while (sockets.length < held) sockets.push(...(await Promise.all(several(100, () => open(between.port)))));
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
  const [a, b] = [await connectionsASecond(direct), await connectionsASecond(relayed)];
  const [c, d] = [await throughput(direct), await throughput(relayed)];
  return {
    'direct conn/s': a,
    'relayed conn/s': b,
    ratio: b / a,
    'direct MB/s': c,
    'relayed MB/s': d,
    'ratio ': d / c,
  };
}

async function connectionsASecond(port: number): Promise<number> {
  const began = performance.now();
  await Promise.all(
    several(8, async () => {
      for (let i = 0; i < connectionsARound / 8; i++) {
        const socket = await open(port);
        await ask(socket, 'x');
        socket.destroy();
      }
    }),
  );
  return (connectionsARound / (performance.now() - began)) * 1000;
}

async function throughput(port: number): Promise<number> {
  const socket = await open(port);
  const chunk = Buffer.alloc(1 << 20);
  let back = 0;
  const began = performance.now();
  const all = new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      back += data.length;
      if (back === megabytesARound << 20) resolve();
    });
  });
  for (let i = 0; i < megabytesARound; i++) if (!socket.write(chunk)) await once(socket, 'drain');
  await all;
  socket.destroy();
  return (megabytesARound / (performance.now() - began)) * 1000;
}

async function start(...args: string[]): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(process.argv[1] ?? '', args);
  const [port] = await once(child, 'message');
  return { child, port: Number(port) };
}

function several<T>(count: number, make: () => Promise<T>): Promise<T>[] {
  return Array.from({ length: count }, make);
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: Socket, question: string): Promise<string> {
  const answer = once(socket, 'data');
  socket.write(question);
  return String((await answer)[0]);
}

/** Resident memory, KiB. */
function memory({ pid }: ChildProcess): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}
