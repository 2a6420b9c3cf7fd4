/**
 * What the DNS server answers on one core: queries over loopback UDP with distinct names, from one load generator that
 * keeps a number of queries under way. Server and generator are two processes; the figure for a core is queries by the
 * server's own CPU time, so that a slow generator does not make a slow server. Then the same by `dnsperf`, by turns of
 * this server and of `unbound` with the same names as local data, where these Debian packages are installed.
 * `npm run bench dns [SERVICES]`
 */
import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Responder } from '../src/dns/answer.ts';
import { kubernetesDefaults, reverseZones } from '../src/dns/config/defaults.ts';
import { lookupNothing } from '../src/dns/forward/address.ts';
import { KubernetesHandler } from '../src/dns/handlers/kubernetes.ts';
import { inOrder } from '../src/dns/handlers/order.ts';
import { DnsMetrics } from '../src/dns/metrics.ts';
import { listenUdp } from '../src/dns/server/udp.ts';
import { recordType } from '../src/dns/wire/constants.ts';
import { type Name, parseName, rootName } from '../src/dns/wire/name.ts';
import { ClusterZone } from '../src/dns/zone.ts';
import { openRoutes } from '../src/kernel/links.ts';
import { parseIp } from '../src/net/ip.ts';

/** What one kind of query came to. */
interface QueryTimes {
  readonly kind: string;
  /** As seen by the generator, which may be the slower of the two. */
  readonly perSecond: number;
  /** By the server's CPU time. */
  readonly perCore: number;
  /** From sending to receiving, with `window` queries under way; milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly lost: number;
}

const window = 64;
const queriesEach = 200_000;
const headlessServices = 20;
const endpointsEach = 100;

interface Usage {
  readonly cpuMicroseconds: number;
  readonly heapMiB: number;
  readonly rssMiB: number;
}

/** Serves a cluster of so many Services; tells its parent the port, and its use of the machine whenever asked. */
async function serve(services: number): Promise<void> {
  const zone = new ClusterZone({
    ...kubernetesDefaults,
    zones: [parseName('cluster.local') as Name, ...reverseZones],
    fallthrough: [],
  });
  zone.setNamespace('bench', true);
  for (let i = 0; i < services; i++) {
    const clusterIP = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    zone.setService(`bench/service-${i}`, {
      spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
    });
  }
  for (let i = 0; i < headlessServices; i++) {
    zone.setService(`bench/headless-${i}`, { spec: { clusterIP: 'None', clusterIPs: ['None'] } });
    zone.setEndpointSlice(`bench/headless-${i}-1`, {
      addressType: 'IPv4',
      metadata: { labels: { 'kubernetes.io/service-name': `headless-${i}` } },
      endpoints: Array.from({ length: endpointsEach }, (_, e) => ({ addresses: [`10.244.${i}.${e + 1}`] })),
    });
  }
  const metrics = new DnsMetrics();
  const handlers = inOrder({
    kubernetes: [new KubernetesHandler({ zone, isReady: () => true, loadbalance: true })],
  });
  const responder = new Responder({
    blocks: [{ zones: [{ apex: rootName, metrics: metrics.queries('dns://:53', '.') }], handlers }],
    maxUdpSize: 4096,
    isRecursive: false,
    dropped: metrics.queries('dns://:53', 'dropped'),
    onCrash: (error) => {
      throw error;
    },
  });
  const listener = listenUdp({ ip: parseIp('127.0.0.1'), port: 0 }, { responder });
  process.on('message', () => process.send?.(usage()));
  process.on('disconnect', () => process.exit());
  process.send?.(listener.address.port);
}

function usage(): Usage {
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  return { cpuMicroseconds: user + system, heapMiB: heapUsed / 2 ** 20, rssMiB: rss / 2 ** 20 };
}

async function ask<T>(child: ChildProcess): Promise<T> {
  const answer = once(child, 'message');
  child.send('usage');
  return (await answer)[0] as T;
}

function packet(name: string, type: number): Buffer {
  const labels = name.split('.').map((label) => String.fromCharCode(label.length) + label);
  const question = Buffer.from(`${labels.join('')}\0\0${String.fromCharCode(type)}\0\x01`, 'latin1');
  const header = Buffer.from([0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
  const opt = Buffer.from([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, question, opt]);
}

/** Sends each packet in turn, `window` at a time, and counts what comes back. */
class Generator {
  readonly #socket: Socket;
  readonly #packets: readonly Buffer[];
  readonly #sentAt = new Float64Array(65_536);
  readonly latencies: number[] = [];
  #sent = 0;
  #received = 0;

  constructor(socket: Socket, packets: readonly Buffer[]) {
    this.#socket = socket;
    this.#packets = packets;
  }

  /** Resolves with the number of answers, when there are enough or none has come for a second. */
  run(): Promise<number> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#socket.off('message', receive);
        resolve(this.#received);
      };
      const timer = setTimeout(end, 1_000);
      const receive = (message: Buffer) => {
        this.latencies.push(performance.now() - (this.#sentAt[message.readUInt16BE(0)] ?? 0));
        this.#received++;
        if ((this.#received & 0x3fff) === 0) timer.refresh();
        if (this.#received === queriesEach) end();
        else if (this.#sent < queriesEach) this.#send();
      };
      this.#socket.on('message', receive);
      for (let i = 0; i < window; i++) this.#send();
    });
  }

  #send(): void {
    const message = this.#packets[this.#sent % this.#packets.length] ?? Buffer.alloc(0);
    const id = this.#sent++ & 0xffff;
    message.writeUInt16BE(id, 0);
    this.#sentAt[id] = performance.now();
    this.#socket.send(message);
  }
}

async function measure(child: ChildProcess, socket: Socket, kind: string, packets: readonly Buffer[]) {
  await new Generator(socket, packets).run();
  const before = await ask<Usage>(child);
  const started = performance.now();
  const generator = new Generator(socket, packets);
  const received = await generator.run();
  const seconds = (performance.now() - started) / 1000;
  const after = await ask<Usage>(child);
  const latencies = generator.latencies.sort((a, b) => a - b);
  const times: QueryTimes = {
    kind,
    perSecond: received / seconds,
    perCore: received / ((after.cpuMicroseconds - before.cpuMicroseconds) / 1e6),
    p50: latencies[Math.floor(received * 0.5)] ?? 0,
    p99: latencies[Math.floor(received * 0.99)] ?? 0,
    lost: queriesEach - received,
  };
  return times;
}

/** What dnsperf saw of one server, and what that server used for it. */
interface PerfTimes {
  readonly perSecond: number;
  /** By the server's CPU time. */
  readonly perCore: number;
  /** Of all queries of the run, milliseconds. */
  readonly averageMs: number;
  readonly lost: number;
  /** Response codes, with their counts. */
  readonly codes: string;
}

/** Clock ticks a second, in which /proc counts CPU time (sysconf `_SC_CLK_TCK` on Linux). */
const ticks = 100;

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}

/** Asks a server the lines of a file of names and types, in turn, for four seconds. */
function dnsperf(server: { readonly port: number; readonly pid: number }, file: string): PerfTimes {
  const args = ['-s', '127.0.0.1', '-p', String(server.port), '-d', file, '-l', '4', '-c', '8', '-q', '200', '-e'];
  const before = cpuSeconds(server.pid);
  const output = execFileSync('dnsperf', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const cpu = cpuSeconds(server.pid) - before;
  const figure = (name: string) => Number(new RegExp(`${name}:\\s+([\\d.]+)`).exec(output)?.[1]);
  return {
    perSecond: figure('Queries per second'),
    perCore: figure('Queries completed') / cpu,
    averageMs: figure('Average Latency \\(s\\)') * 1000,
    lost: figure('Queries lost'),
    codes: /Response codes:\s+(.*)/.exec(output)?.[1] ?? '',
  };
}

/** `unbound` with one thread and the same names as local data; `undefined` where it is not installed. */
async function startUnbound(folder: string, services: number): Promise<{ port: number; pid: number } | undefined> {
  const names = Array.from({ length: services }, (_, i) => {
    const name = `service-${i}.bench.svc.cluster.local.`;
    const address = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    return [`${name} 5 IN A ${address}`, `_http._tcp.${name} 5 IN SRV 0 100 80 ${name}`];
  }).flat();
  const endpoints = Array.from({ length: headlessServices * endpointsEach }, (_, i) => {
    const [service, endpoint] = [Math.floor(i / endpointsEach), i % endpointsEach];
    return `headless-${service}.bench.svc.cluster.local. 5 IN A 10.244.${service}.${endpoint + 1}`;
  });
  const port = 5053;
  const settings = [
    `interface: 127.0.0.1@${port}`,
    'access-control: 127.0.0.0/8 allow',
    'num-threads: 1',
    'do-daemonize: no',
    'use-syslog: no',
    'logfile: "/dev/null"',
    'username: ""',
    'chroot: ""',
    'pidfile: ""',
    'max-udp-size: 4096',
    'local-zone: "cluster.local." static',
    'local-data: "cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5"',
    ...[...names, ...endpoints].map((record) => `local-data: "${record}"`),
  ];
  const file = join(folder, 'unbound.conf');
  writeFileSync(file, `server:\n${settings.map((line) => `  ${line}\n`).join('')}`);
  const child = spawn('unbound', ['-d', '-c', file], { stdio: 'ignore' });
  process.on('exit', () => child.kill('SIGKILL'));
  child.unref();
  try {
    await once(child, 'spawn');
  } catch {
    return undefined;
  }
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  return child.exitCode === null && child.pid !== undefined ? { port, pid: child.pid } : undefined;
}

function formatPerf({ perSecond, perCore, averageMs, lost, codes }: PerfTimes): string {
  const rate = `${perCore.toFixed(0)}/s a core, ${perSecond.toFixed(0)}/s seen, average ${averageMs.toFixed(2)} ms`;
  return `${rate}, ${lost} lost, ${codes}`;
}

/** All kinds of query by dnsperf, of this server and of `unbound` by turns. */
async function compare(own: { readonly port: number; readonly pid: number }, services: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-dns-'));
  try {
    if (spawnSync('dnsperf', ['-h'], { stdio: 'ignore' }).error !== undefined) {
      console.log('dnsperf is not installed (apt-get install dnsperf unbound): no comparison');
      return;
    }
    const unbound = await startUnbound(folder, services);
    if (unbound === undefined) console.log('unbound is not installed (apt-get install unbound): figures of ours alone');
    const names = Array.from({ length: services }, (_, i) => `service-${i}.bench.svc.cluster.local`);
    const kinds: [string, string[]][] = [
      ['A', names.map((name) => `${name} A`)],
      ['SRV', names.map((name) => `_http._tcp.${name} SRV`)],
      ['NXDOMAIN', names.map((name) => `${name}.bench.svc.cluster.local A`)],
      ['headless', Array.from({ length: headlessServices }, (_, i) => `headless-${i}.bench.svc.cluster.local A`)],
    ];
    for (const [kind, lines] of kinds) {
      const file = join(folder, 'queries');
      writeFileSync(file, lines.join('\n'));
      const ours = dnsperf(own, file);
      console.log(`${kind} by dnsperf: ${formatPerf(ours)}`);
      if (unbound === undefined) continue;
      const theirs = dnsperf(unbound, file);
      console.log(`  unbound: ${formatPerf(theirs)}; ratio a core ${(ours.perCore / theirs.perCore).toFixed(2)}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Measures all kinds of query at one size of cluster. */
async function benchDns(services: number): Promise<void> {
  const routes = openRoutes();
  routes.setLink('lo', { up: true });
  routes.close();
  const child = fork(process.argv[1] ?? '', ['serve', String(services)], { execArgv: ['--expose-gc'] });
  const [port] = (await once(child, 'message')) as [number];
  const { heapMiB, rssMiB } = await ask<Usage>(child);
  console.log(`${services} Services: heap ${heapMiB.toFixed(0)} MiB, resident ${rssMiB.toFixed(0)} MiB`);
  const socket = createSocket({ type: 'udp4', lookup: lookupNothing, recvBufferSize: 4 << 20 });
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const names = Array.from({ length: services }, (_, i) => `service-${i}.bench.svc.cluster.local`);
  const kinds: [string, Buffer[]][] = [
    ['A', names.map((name) => packet(name, recordType.A))],
    ['SRV', names.map((name) => packet(`_http._tcp.${name}`, recordType.SRV))],
    ['NXDOMAIN', names.map((name) => packet(`${name}.bench.svc.cluster.local`, recordType.A))],
    [
      `headless, ${endpointsEach} endpoints`,
      Array.from({ length: headlessServices }, (_, i) => packet(`headless-${i}.bench.svc.cluster.local`, recordType.A)),
    ],
  ];
  for (const [kind, packets] of kinds) {
    const { perSecond, perCore, p50, p99, lost } = await measure(child, socket, kind, packets);
    const latency = `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
    console.log(`${kind}: ${perCore.toFixed(0)}/s a core, ${perSecond.toFixed(0)}/s seen, ${latency}, ${lost} lost`);
  }
  socket.close();
  await compare({ port, pid: child.pid ?? 0 }, services);
  child.disconnect();
}

const [, , role, size] = process.argv;
if (role === 'serve') await serve(Number(size));
else await benchDns(Number(role ?? 10_000));
