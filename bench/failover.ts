/**
 * From the moment at which a node is cut off the link until a client reaches the address of a balancer again that this node
 * announced, in a cluster of three nodes.
 *
 *     npm run bench failover [RUNS]
 *
 * The client opens a connection every 10 ms. The port of the announcing node on the switch goes down, which the node and
 * nobody else is told; the time ends with the first connection that comes about again. As root.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { BenchCluster, summary } from './shared/cluster.ts';

const everyMs = 10;
const patienceMs = 150;
const [, ownFile = '', role = ''] = process.argv;

/** Prints the time of each connection that came about, milliseconds. */
function probe(host: string): void {
  setInterval(() => {
    const socket = createConnection({ host, port: 80 });
    socket.setTimeout(patienceMs, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('connect', () => {
      console.log(Date.now());
      socket.destroy();
    });
  }, everyMs);
}

async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = Date.now() + 30_000; Date.now() < end; await pause(50)) {
    const found = look();
    if (found !== undefined) return found;
  }
  throw new Error(`not within 30 s: ${what}`);
}

/** The node that announces the address, when all nodes say the same. */
function announcer(cluster: BenchCluster): string | undefined {
  const url = 'http://127.0.0.1:7472/announcements';
  const pages = [1, 2, 3].map((n) => cluster.run('exec', `node/node-${n}`, '--', 'curl', '-sS', '-m', '2', url));
  const names = new Set(pages.flatMap((page) => JSON.parse(page)).map((duty) => duty.announcedBy));
  const [name] = names;
  return names.size === 1 && typeof name === 'string' ? name : undefined;
}

async function measure(cluster: BenchCluster, runs: number): Promise<number[]> {
  const kubectl = (...args: string[]) =>
    spawnSync('kubectl', ['--kubeconfig', cluster.kubeconfig, ...args], { encoding: 'utf8' }).stdout;
  const path = 'jsonpath={.status.loadBalancer.ingress[0].ip}';
  const ip = await until('an address', () => kubectl('get', 'service', 'hello-load-balancer', '-o', path) || undefined);
  // The first is the one that made the namespaces, outside of them.
  const supervisor = cluster.processes().findLast(({ command }) => command === 'supervisor')?.pid;
  const port = (name: string, state: string) =>
    spawnSync('nsenter', ['-t', `${supervisor}`, '-n', 'ip', 'link', 'set', name.replace('node-', 'o'), state]);
  const env = { ...process.env, SIGNALBOX_HOME: cluster.home };
  const words = ['bin/signalbox', 'exec', 'client', '--', process.execPath, ownFile, 'probe', ip];
  const client = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let connectedAt: number[] = [];
  createInterface(client.stdout).on('line', (line) => {
    connectedAt.push(Number(line));
  });
  const times: number[] = [];
  try {
    for (let run = 0; run < runs; run++) {
      const name = await until('one announcer', () => announcer(cluster));
      await until('a connection', () => (Date.now() - (connectedAt.at(-1) ?? 0) < 100 ? true : undefined));
      const cutAt = Date.now();
      port(name, 'down');
      // What was under way when the port went down is no sign of life.
      await pause(2 * patienceMs);
      connectedAt = [];
      times.push((await until('a connection again', () => connectedAt[0])) - cutAt);
      port(name, 'up');
    }
  } finally {
    client.kill();
  }
  return times;
}

if (role === 'probe') probe(process.argv[3] ?? '');
else {
  const cluster = new BenchCluster();
  try {
    cluster.run('up', '-f', 'examples/hello.yaml', '-f', 'examples/load-balancer.yaml');
    const times = await measure(cluster, Number(process.argv[2] ?? 50));
    const { median, min, max } = summary(times);
    console.log(
      `${times.length} times a node was cut off: median ${median} ms, ${min}–${max} ms until a client was served again`,
    );
  } finally {
    cluster.close();
  }
}
