/**
 * What the DNS server answers on one core: queries over loopback UDP with distinct names, from one load generator that
 * keeps a number of queries under way. Server and generator are two processes; the figure for a core is queries by the
 * server's own CPU time, so that a slow generator does not make a slow server. `dnsperf` (Debian) is asked too where it
 * is installed, since its generator is the faster one.
 * `npm run bench dns [SERVICES]`
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
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
  const listener = await listenUdp({ ip: parseIp('127.0.0.1'), port: 0 }, responder, pino({ level: 'silent' }));
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

/** The same names by dnsperf, where it is installed: queries a second by the clock. */
function dnsperf(port: number, lines: readonly string[]): number | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'bench-dns-'));
  const file = join(folder, 'queries');
  writeFileSync(file, lines.join('\n'));
  try {
    const args = ['-s', '127.0.0.1', '-p', String(port), '-d', file, '-l', '4', '-c', '8', '-q', '200'];
    const output = execFileSync('dnsperf', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(/Queries per second:\s+([\d.]+)/.exec(output)?.[1]);
  } catch {
    return undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Measures all kinds of query at one size of cluster. */
async function benchDns(services: number): Promise<void> {
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
  const byDnsperf = dnsperf(
    port,
    names.map((name) => `${name} A`),
  );
  console.log(byDnsperf === undefined ? 'dnsperf is not installed' : `A by dnsperf: ${byDnsperf.toFixed(0)}/s`);
  socket.close();
  child.disconnect();
}

const [, , role, size] = process.argv;
if (role === 'serve') await serve(Number(size));
else await benchDns(Number(role ?? 10_000));
