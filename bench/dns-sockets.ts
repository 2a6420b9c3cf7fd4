/**
 * By what sockets names are served best: an echo of one prepared answer is the least that Node's own `dgram` takes for a
 * query, and what batches take; then the DNS server, alone, as two processes that share a socket, and as two that have a
 * socket each (`SO_REUSEPORT`). Driven by `dnsperf`; the figure is CPU time of all its processes for a query.
 * `npm run bench dns-sockets [SERVICES]`
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Responder } from '../src/dns/answer.ts';
import { kubernetesDefaults, reverseZones } from '../src/dns/config/defaults.ts';
import { lookupNothing } from '../src/dns/forward/address.ts';
import { KubernetesHandler } from '../src/dns/handlers/kubernetes.ts';
import { inOrder } from '../src/dns/handlers/order.ts';
import { DnsMetrics } from '../src/dns/metrics.ts';
import { serveUdp } from '../src/dns/server/udp.ts';
import { type Name, parseName, rootName } from '../src/dns/wire/name.ts';
import { ClusterZone } from '../src/dns/zone.ts';
import { bindSocket } from '../src/kernel/bound-sockets.ts';
import { DatagramBatch } from '../src/kernel/datagrams.ts';
import { bind, close, setSocketOption, socket } from '../src/kernel/ffi.ts';
import { openRoutes } from '../src/kernel/links.ts';
import { watchReadable } from '../src/kernel/readable.ts';
import { socketAddress } from '../src/kernel/socket-address.ts';
import { parseIp } from '../src/net/ip.ts';

const ip = parseIp('127.0.0.1');
const port = 5054;
const inheritedFd = 4;
/** A query's header and question, answered; with one A record. */
const answerRecord = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 96, 0, 1]);

/** The least that may be called an answer: the question, and the same record always. */
function echo(packet: Buffer): Buffer {
  const question = packet.indexOf(0, 12) + 5;
  const reply = Buffer.concat([packet.subarray(0, question), answerRecord]);
  reply[2] = 0x84;
  reply[3] = 0;
  reply[7] = 1;
  reply[11] = 0;
  return reply;
}

function echoByNode(fd: number): void {
  const own = createSocket({ type: 'udp4', lookup: lookupNothing });
  own.on('message', (packet, { port: to, address }) => own.send(echo(packet), to, address));
  own.bind({ fd });
}

function echoByBatches(fd: number): void {
  const batch = new DatagramBatch(fd, { family: 'IPv4', count: 64, received: 4096, sent: 4096 });
  watchReadable(fd, () => {
    const count = batch.receive();
    for (let i = 0; i < count; i++) batch.queue(batch.peer(i), echo(batch.packet(i)));
    batch.flush(() => undefined);
  });
}

async function serve(fd: number, services: number): Promise<void> {
  const zones = [parseName('cluster.local') as Name, ...reverseZones];
  const zone = new ClusterZone({ ...kubernetesDefaults, zones, fallthrough: [] });
  zone.setNamespace('bench', true);
  for (let i = 0; i < services; i++) {
    const clusterIP = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    zone.setService(`bench/service-${i}`, { spec: { clusterIP, clusterIPs: [clusterIP], ports: [] } });
  }
  const metrics = new DnsMetrics();
  const handlers = inOrder({ kubernetes: [new KubernetesHandler({ zone, isReady: () => true, loadbalance: true })] });
  const responder = new Responder({
    blocks: [{ zones: [{ apex: rootName, metrics: metrics.queries('dns://:53', '.') }], handlers }],
    maxUdpSize: 1232,
    isRecursive: false,
    dropped: metrics.queries('dns://:53', 'dropped'),
    onCrash: (error) => {
      throw error;
    },
  });
  serveUdp(fd, { ip, responder });
}

const SOL_SOCKET = 1;
const SO_REUSEPORT = 15;

/** A socket bound beside others at the same address, among which the kernel spreads clients. */
function bindBeside(): number {
  const fd = socket(2, 2, 0);
  setSocketOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  bind(fd, socketAddress(ip, port));
  return fd;
}

/** What a server process does with its socket, by the name of the way. */
const ways: { readonly [way: string]: (fd: number, services: number) => unknown } = {
  'echo, dgram': echoByNode,
  'echo, batches': echoByBatches,
  server: serve,
};

async function runServer(way: string, services: number, ownSocket: boolean): Promise<void> {
  await ways[way]?.(ownSocket ? bindBeside() : inheritedFd, services);
  process.on('disconnect', () => process.exit());
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.send?.('serving');
}

async function cpuOf(servers: readonly ChildProcess[]): Promise<number> {
  const used = servers.map(async (server) => {
    const answer = once(server, 'message');
    server.send('cpu');
    return Number((await answer)[0]);
  });
  return (await Promise.all(used)).reduce((sum, one) => sum + one, 0);
}

const run = promisify(execFile);

interface Setup {
  readonly way: string;
  readonly processes: number;
  /** Whether each process has a socket of its own. */
  readonly ownSocket: boolean;
}

/** One line of the table: microseconds a query by many clients, and by one, and how many each saw answered a second. */
async function measure({ way, processes, ownSocket }: Setup, queries: string, services: number): Promise<void> {
  const shared = ownSocket ? [] : [bindSocket('udp', ip, port)];
  const servers: ChildProcess[] = [];
  for (let i = 0; i < processes; i++) {
    const arguments_ = ['serve', way, String(services), String(ownSocket)];
    const server = fork(process.argv[1] ?? '', arguments_, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...shared],
    });
    await once(server, 'message');
    servers.push(server);
  }
  const cells: string[] = [];
  for (const clients of [
    ['-c', '8', '-q', '200'],
    ['-c', '1', '-q', '100'],
  ]) {
    const load = (seconds: number) =>
      run('dnsperf', ['-s', ip, '-p', String(port), '-d', queries, '-l', String(seconds), ...clients]);
    await load(1);
    const before = await cpuOf(servers);
    const { stdout } = await load(3);
    const figure = (name: string) => Number(new RegExp(`${name}:\\s+([\\d.]+)`).exec(stdout)?.[1]);
    const micros = ((await cpuOf(servers)) - before) / figure('Queries completed');
    cells.push(micros.toFixed(2), figure('Queries per second').toFixed(0));
  }
  for (const server of servers) {
    server.disconnect();
    await once(server, 'exit');
  }
  for (const fd of shared) close(fd);
  const name = `${way}${processes === 1 ? '' : `, ${processes} processes, ${ownSocket ? 'a socket each' : 'one socket'}`}`;
  console.log(`| ${[name, ...cells].join(' | ')} |`);
}

async function benchSockets(services: number): Promise<void> {
  const routes = openRoutes();
  routes.setLink('lo', { up: true });
  routes.close();
  const folder = mkdtempSync(join(tmpdir(), 'bench-dns-sockets-'));
  try {
    const queries = join(folder, 'queries');
    writeFileSync(
      queries,
      Array.from({ length: services }, (_, i) => `service-${i}.bench.svc.cluster.local A`).join('\n'),
    );
    console.log('| | 8 clients, µs | a second | 1 client, µs | a second |');
    const alone = Object.keys(ways).map((way) => ({ way, processes: 1, ownSocket: false }));
    const two = [false, true].map((ownSocket) => ({ way: 'server', processes: 2, ownSocket }));
    for (const setup of [...alone, ...two]) await measure(setup, queries, services);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [, , role, way, services, ownSocket] = process.argv;
if (role === 'serve') await runServer(way ?? '', Number(services), ownSocket === 'true');
else await benchSockets(Number(role ?? 10_000));
