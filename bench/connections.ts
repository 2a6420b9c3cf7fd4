/**
 * New TCP connections a second through a cluster IP, beside the same server's own address: what the rules of a mode
 * cost a packet, at how many Services.
 *
 *     npm run bench connections [--mode=nftables] [services…]
 *
 * A client, the node and a Pod are three network namespaces. One client connects, resets, and connects again for a
 * second, by turns to the Pod's address and to the cluster IP of the last Service; the medians are compared. "bare" is
 * the Pod's address before there is any rule. It makes tables in the network namespace it runs in, which must be one of
 * its own.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointSlice } from '../src/api/generated/types.ts';
import { createLogger } from '../src/component/log.ts';
import { close, connect, setSocketOptionBytes, socket } from '../src/kernel/ffi.ts';
import { openRoutes } from '../src/kernel/links.ts';
import { createNetns, deleteNetns, inNetns, openNetns } from '../src/kernel/netns.ts';
import { writeSysctl } from '../src/kernel/sysctl.ts';
import { ServiceModel } from '../src/model/service-model.ts';
import { type Ip, ipToBytes, parseIp } from '../src/net/ip.ts';
import { parseProxyConfig } from '../src/proxy/config.ts';
import { openBackend } from '../src/proxy/modes.ts';
import type { ProxyMode } from '../src/proxy/proxy-mode.ts';
import { ChangeTracker } from '../src/tracker/change-tracker.ts';
import { formatTable, quantile } from './shared/figures.ts';
import { endpointSlice, node, service } from './shared/services.ts';

const rounds = 5;
const roundMs = 1_000;
const port = 8080;
/** Both in the block of the cluster's Pods, so that nobody is masqueraded. */
const places = {
  client: { gateway: parseIp('10.200.0.1'), ips: [parseIp('10.200.0.2'), parseIp('10.200.0.3')] },
  pod: { gateway: parseIp('10.201.0.1'), ips: [parseIp('10.201.0.2'), parseIp('10.201.0.3')] },
} as const;
const [, ownFile = ''] = process.argv;

// include/uapi/linux: socket.h, in.h, asm-generic/socket.h
const [AF_INET, SOCK_STREAM, SOL_SOCKET, SO_LINGER] = [2, 1, 1, 13];

function serve(): void {
  createServer((connection) => connection.on('error', () => {}).resume()).listen(port, '0.0.0.0', 4096, () =>
    process.send?.('ready'),
  );
}

/** By system calls that block: the client is to spend its time in the kernel and not in JavaScript. */
function connectFor(ip: Ip, to: number): number {
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_INET, endianness() === 'LE');
  view.setUint16(2, to);
  address.set(ipToBytes(ip), 4);
  // On, and 0 seconds: it ends with a reset, so that no port waits.
  const linger = new Uint8Array(Int32Array.of(1, 0).buffer);
  const until = performance.now() + roundMs;
  let count = 0;
  for (; performance.now() < until; count++) {
    const fd = socket(AF_INET, SOCK_STREAM, 0);
    setSocketOptionBytes(fd, { level: SOL_SOCKET, name: SO_LINGER }, linger);
    connect(fd, address);
    close(fd);
  }
  return (count / roundMs) * 1000;
}

/** This file in a namespace, in another role. */
async function start(netns: string, role: string): Promise<ChildProcess> {
  const child = inNetns(netns, () => fork(ownFile, [role]));
  await once(child, 'message');
  return child;
}

async function ask(client: ChildProcess, ip: Ip, to: number): Promise<number> {
  client.send({ ip, to });
  const [rate] = (await once(client, 'message')) as [number];
  return rate;
}

function link(folder: string, name: keyof typeof places): string {
  const path = join(folder, name);
  createNetns(path);
  const fd = openNetns(path);
  const { gateway, ips } = places[name];
  const routes = openRoutes();
  routes.createVeth({ name, up: true, peer: { name: 'eth0', netns: { fd } } });
  routes.addAddress(name, { ip: gateway, prefix: 24 });
  routes.close();
  close(fd);
  inNetns(path, () => {
    const own = openRoutes();
    own.setLink('eth0', { up: true });
    for (const ip of ips) own.addAddress('eth0', { ip, prefix: 24 });
    own.addRoute({ destination: 'default', gateway, device: 'eth0' });
    own.close();
  });
  return path;
}

/**
 * The client goes to the Pod's own address from another address than to cluster IPs: for a while IPVS takes a packet
 * from the Pod to a port of which a connection by a cluster IP came for one of that connection, and it has the wrong
 * source then.
 */
function separateDirect(client: string): void {
  const { gateway, ips } = places.client;
  const source = ips[1];
  inNetns(client, () => {
    const own = openRoutes();
    for (const ip of places.pod.ips)
      own.addRoute({ destination: { family: 'IPv4', base: ip, prefix: 32 }, gateway, device: 'eth0', source });
    own.close();
  });
}

/** The last Service leads to the Pod, all others to nobody. */
function lastSlice(i: number): EndpointSlice {
  const slice = endpointSlice(i);
  const endpoints = places.pod.ips.map((ip, k) => ({ ...slice.endpoints?.[k], addresses: [ip as string] }));
  return { ...slice, endpoints };
}

async function measure(services: number, mode: ProxyMode, client: ChildProcess) {
  const [pod] = places.pod.ips;
  const median = async (sample: () => Promise<number>, count = rounds) => {
    const rates: number[] = [];
    for (let k = 0; k < count; k++) rates.push(await sample());
    return quantile(rates, 0.5);
  };
  const bare = await median(() => ask(client, pod, port));
  const backend = await openBackend[mode]({ config: parseProxyConfig({ mode }), log: createLogger('bench') });
  await backend.prepare(node);
  const tracker = new ChangeTracker(0);
  for (let i = 0; i < services; i++) {
    tracker.recordService(`default/service-${i}`, service(i), 0);
    tracker.recordSlice(`default/service-${i}-x0`, i === services - 1 ? lastSlice(i) : endpointSlice(i), 0);
  }
  const { servicePorts } = new ServiceModel(node, { masqueradeAll: false }).apply(tracker.take());
  await backend.sync(node, new Map(servicePorts.map(({ name, current }) => [name, current])));
  const clusterIp = parseIp(service(services - 1).spec?.clusterIP ?? '');
  const direct: number[] = [];
  const through: number[] = [];
  for (let k = 0; k < rounds; k++) {
    direct.push(await ask(client, pod, port));
    through.push(await ask(client, clusterIp, 80));
  }
  await backend.cleanup();
  backend.close();
  const [perDirect, perService] = [quantile(direct, 0.5), quantile(through, 0.5)];
  return {
    services,
    'bare a second': bare,
    'direct a second': perDirect,
    'cluster IP a second': perService,
    'cluster IP of direct': perService / perDirect,
  };
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const mode = (args.find((arg) => arg.startsWith('--mode='))?.slice('--mode='.length) ?? 'nftables') as ProxyMode;
  const given = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-bench-'));
  writeSysctl('net.ipv4.ip_forward', 1);
  const [clientNetns, podNetns] = [link(folder, 'client'), link(folder, 'pod')];
  separateDirect(clientNetns);
  const children = [await start(podNetns, '--server'), await start(clientNetns, '--client')] as const;
  const rows = [];
  for (const services of given.length > 0 ? given : [10, 1_000, 10_000]) {
    rows.push(await measure(services, mode, children[1]));
  }
  process.stdout.write(formatTable(rows));
  for (const child of children) child.kill('SIGKILL');
  for (const path of [clientNetns, podNetns]) deleteNetns(path);
  rmSync(folder, { recursive: true });
}

const [role] = process.argv.slice(2);
if (role === '--server') serve();
else if (role === '--client') {
  process.on('message', ({ ip, to }: { ip: Ip; to: number }) => process.send?.(connectFor(ip, to)));
  process.send?.('ready');
} else await main();
