import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openRoutes } from '../kernel/links.ts';
import { listMounts } from '../kernel/mounts.ts';
import { inNetns } from '../kernel/netns.ts';
import { readSysctl } from '../kernel/sysctl.ts';
import { parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { openPodNetwork, type PodNetwork } from './pod-network.ts';

const cidrs = [parseCidr('10.244.7.0/24'), parseCidr('fd00:7::/64')];
const a = [parseIp('10.244.7.2'), parseIp('fd00:7::2')];
const b = [parseIp('10.244.7.3'), parseIp('fd00:7::3')];
let folder: string;
let network: PodNetwork;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-podnet-'));
  network = openPodNetwork('cni0', cidrs, join(folder, 'netns'));
});
afterEach(() => {
  network.detach('a');
  network.detach('b');
  network.close();
  rmSync(folder, { recursive: true, force: true });
});

// In processes of their own: Node looks for the network only when the call that asked for it is long over.
const serverScript = `require('node:net').createServer((s) => s.end(String(s.remoteAddress)))
  .listen(80, process.argv[1], () => console.log('listening'))`;
const clientScript = `require('node:net').connect({ host: process.argv[1], port: 80, timeout: 30_000 })
  .on('data', (d) => process.stdout.write(d)).on('timeout', () => process.exit(1))`;

function listen(netns: string, host: Ip): Promise<ChildProcess> {
  const server = inNetns(netns, () =>
    spawn(process.execPath, ['-e', serverScript, host], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  return new Promise((resolve) => server.stdout?.once('data', () => resolve(server)));
}

function ask(netns: string | undefined, host: Ip): Promise<string> {
  const start = () => spawn(process.execPath, ['-e', clientScript, host]);
  return text((netns === undefined ? start() : inNetns(netns, start)).stdout);
}

function devices(): string[] {
  const routes = openRoutes();
  try {
    return routes.listLinks().map((link) => link.name);
  } finally {
    routes.close();
  }
}

describe('openPodNetwork', () => {
  it.each([0, 1])(
    'openPodNetwork: Pods and node reach each other, addresses of family %i unchanged',
    async (family) => {
      const [ipA, ipB] = [a[family], b[family]];
      if (ipA === undefined || ipB === undefined) throw new Error('no such family');
      const [netnsA, netnsB] = [network.attach('a', a), network.attach('b', b)];
      const server = await listen(netnsB, ipB);
      expect(await ask(netnsA, ipB)).toBe(ipA);
      expect(await ask(undefined, ipB)).toBe(['10.244.7.1', 'fd00:7::1'][family]);
      server.kill();
    },
  );

  it('openPodNetwork sends what Pods of one node say to each other through the IP stack of the node', async () => {
    const [netnsA, netnsB] = [network.attach('a', a), network.attach('b', b)];
    const server = await listen(netnsB, parseIp('10.244.7.3'));
    const forwarded = () => Number(/\nIp: (.*)/.exec(readSnmp())?.[1]?.split(' ')[5]);
    const before = forwarded();
    await ask(netnsA, parseIp('10.244.7.3'));
    expect(forwarded() - before).toBeGreaterThan(4);
    expect(readSysctl('net.ipv4.conf.cni0.send_redirects')).toBe('0');
    server.kill();
  });

  it('openPodNetwork keeps the link-layer address of the bridge as Pods come and go', () => {
    const mac = () => {
      const routes = openRoutes();
      const found = routes.getLink('cni0')?.mac;
      routes.close();
      return found;
    };
    const before = mac();
    expect(before).toBe('0a:58:0a:f4:07:01');
    network.attach('a', a);
    network.attach('b', b);
    network.detach('a');
    expect(mac()).toBe(before);
  });

  it('openPodNetwork detaches without a trace, also with a process left in the Pod', async () => {
    const mounts = listMounts().length;
    const path = network.attach('a', a);
    expect(listMounts().length).toBe(mounts + 1);
    const left = inNetns(path, () => spawn('sleep', ['100']));
    network.detach('a');
    network.detach('a');
    expect(devices().filter((name) => name.startsWith('veth'))).toEqual([]);
    expect(listMounts().length).toBe(mounts);
    expect(readdirSync(join(folder, 'netns'))).toEqual([]);
    left.kill('SIGKILL');
  });

  it('openPodNetwork clears away what an earlier agent left', () => {
    network.attach('a', a);
    network.close();
    network = openPodNetwork('cni0', cidrs, join(folder, 'netns'));
    expect(devices().filter((name) => name.startsWith('veth'))).toEqual([]);
    expect(readdirSync(join(folder, 'netns'))).toEqual([]);
    network.attach('a', a);
    network.attach('a', a);
    expect(devices().filter((name) => name.startsWith('veth'))).toHaveLength(1);
  });
});

function readSnmp(): string {
  return readFileSync('/proc/thread-self/net/snmp', 'utf8');
}
