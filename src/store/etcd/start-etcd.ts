import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An etcd of a test's own. */
export interface TestEtcd {
  readonly endpoint: string;
  /** Ends the process and waits for that. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again over its data, on its port. */
  start(): Promise<void>;
  /** Ends it and removes its folder. */
  remove(): Promise<void>;
}

/** How an etcd of a test differs from the usual: certificates, quotas. */
export interface TestEtcdOptions {
  readonly flags?: readonly string[];
  readonly scheme?: 'http' | 'https';
}

const startMs = 15_000;

/** Starts an etcd (Debian: `etcd-server`) on free ports of 127.0.0.1, with its data in a temporary folder. */
export async function startEtcd(options: TestEtcdOptions = {}): Promise<TestEtcd> {
  const [member] = await startEtcdCluster(1, options);
  if (member === undefined) throw new Error('no etcd was started');
  return member;
}

/** Starts the members of one etcd cluster, each with a folder of its own. */
export async function startEtcdCluster(size: number, options: TestEtcdOptions = {}): Promise<TestEtcd[]> {
  const places: Place[] = [];
  for (let i = 0; i < size; i++) places.push({ name: `member-${i}`, client: await freePort(), peer: await freePort() });
  const initialCluster = places.map(({ name, peer }) => `${name}=http://127.0.0.1:${peer}`).join(',');
  // None answers before most of them are there.
  return Promise.all(places.map((place) => startMember(place, initialCluster, options)));
}

/** A member's name and ports. */
interface Place {
  readonly name: string;
  readonly client: number;
  readonly peer: number;
}

async function startMember(
  { name, client, peer }: Place,
  initialCluster: string,
  { flags = [], scheme = 'http' }: TestEtcdOptions,
): Promise<TestEtcd> {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-etcd-'));
  const endpoint = `${scheme}://127.0.0.1:${client}`;
  const args = [
    ...['--name', name, '--data-dir', join(dir, 'data'), '--log-level', 'warn', '--logger', 'zap'],
    ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
    ...['--initial-cluster', initialCluster, ...flags],
  ];
  let child: ChildProcess | undefined;
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await ended;
  };
  process.once('exit', () => child?.kill('SIGKILL'));
  const start = async () => {
    child = spawn('etcd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    await answering(child, client);
  };
  await start();
  return {
    endpoint,
    kill,
    start,
    remove: async () => {
      await kill();
      await rm(dir, { recursive: true });
    },
  };
}

async function answering(child: ChildProcess, port: number): Promise<void> {
  let log = '';
  let failure: Error | undefined;
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  });
  child.once('error', (error) => {
    failure = error;
  });
  for (const deadline = Date.now() + startMs; Date.now() < deadline; ) {
    if (failure !== undefined || child.exitCode !== null) throw new Error(`etcd did not start: ${failure ?? log}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      }).once('error', () => resolve(false));
    });
    // It listens only when it is part of its cluster.
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`etcd did not start in ${startMs} ms: ${log}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port was free');
  return address.port;
}
