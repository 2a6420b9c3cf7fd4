import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bundleTypeScript } from '../../test/run-typescript.ts';
import { soon } from '../../test/soon.ts';
import { openConntrack } from '../kernel/conntrack.ts';
import { writeSysctl } from '../kernel/sysctl.ts';
import { conntrackUsage } from './conntrack-watch.ts';
import { ask, endpoints, serveEndpoints } from './testing/loopback-bed.ts';
import { SmallApi, service, slice } from './testing/small-api.ts';

const api = new SmallApi();
let closeEndpoints = () => {};
let folder: string;
let program: string;
let proxy: ChildProcess | undefined;
let log = '';

/** The proxy as a process of its own, so that it can be killed. */
function startProxy(): void {
  // From standard input and the working directory, as the bundle looks for packages where it is.
  const child = spawn(process.execPath, ['-'], { stdio: ['pipe', 'inherit', 'pipe'] });
  child.stdin.on('error', () => {});
  child.stdin.end(program);
  child.stderr.on('data', (data) => {
    log += data;
  });
  proxy = child;
}

async function killProxy(): Promise<void> {
  const child = proxy;
  if (child === undefined || child.exitCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** One value of the metrics page. */
async function metric(name: string): Promise<number> {
  const page = await (await fetch('http://127.0.0.1:10249/metrics')).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(page)?.[1]);
}

/** Until the proxy that runs has all Services in the kernel. */
function untilSynced(): Promise<void> {
  return vi.waitFor(
    async () => expect(await metric('kubeproxy_sync_proxy_rules_last_timestamp_seconds')).toBeGreaterThan(0),
    { timeout: 50_000, interval: 20 },
  );
}

/** Makes this endpoint the only one of the Service, and waits until it answers. */
async function serveFrom(ip: string): Promise<void> {
  api.put('endpointslices', slice('hello', ip, { port: 8080 }));
  await vi.waitFor(async () => expect(await ask('10.96.0.7', 80)).toBe(ip), { timeout: 50_000 });
}

/** New connections to the Service at a steady rate; `end` gives how many had which outcome. */
function startLoad(perSecond: number) {
  const asked: Promise<string>[] = [];
  const began = performance.now();
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * perSecond;
    while (asked.length < due) asked.push(ask('10.96.0.7', 80));
  }, 5);
  return {
    end: async () => {
      clearInterval(timer);
      const counts: { [outcome: string]: number } = {};
      for (const outcome of await Promise.all(asked)) counts[outcome] = (counts[outcome] ?? 0) + 1;
      return counts;
    },
  };
}

beforeAll(async () => {
  closeEndpoints = await serveEndpoints();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-faults-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await api.kubeconfig(kubeconfig);
  const address = { type: 'InternalIP', address: endpoints[0] };
  api.put('nodes', { metadata: { name: 'node-1' }, status: { addresses: [address] } });
  api.put('services', service('hello', '10.96.0.7', { port: 80 }));
  api.put('endpointslices', slice('hello', endpoints[0], { port: 8080 }));
  const config = {
    hostnameOverride: 'node-1',
    clusterCIDR: '10.244.0.0/16',
    clientConnection: { kubeconfig },
    nftables: { syncPeriod: '200ms' },
    conntrack: { maxPerCore: 0 },
    oomScoreAdj: 0,
  };
  program = bundleTypeScript(`
    import { parseProxyConfig } from './src/proxy/config.ts';
    import { runProxy } from './src/proxy/run.ts';
    const stop = new AbortController();
    process.once('SIGTERM', () => stop.abort());
    void runProxy(parseProxyConfig(${JSON.stringify(config)}), stop.signal);
  `);
  startProxy();
  await untilSynced();
});

afterAll(async () => {
  await killProxy();
  api.close();
  closeEndpoints();
  await rm(folder, { recursive: true });
});

describe('runProxy, when things go wrong', () => {
  it('loses no new connection when it is killed 50 times, wherever it is', { timeout: 240_000 }, async () => {
    await serveFrom(endpoints[0]);
    const load = startLoad(200);
    for (let kill = 0; kill < 50; kill++) {
      await killProxy();
      // Each time with something to change, and killed at another moment of its start.
      api.put('endpointslices', slice('hello', endpoints[kill % 2] ?? endpoints[0], { port: 8080 }));
      startProxy();
      if (kill % 5 === 0) await untilSynced();
      else await new Promise((resolve) => setTimeout(resolve, kill * 8));
    }
    await untilSynced();
    const outcomes = await load.end();
    expect(Object.keys(outcomes).sort()).toEqual([...endpoints]);
    expect(outcomes[endpoints[0]]).toBeGreaterThan(100);
  });

  it('keeps its rules while the API server is away, and brings in afterwards what changed', async () => {
    await serveFrom(endpoints[1]);
    const load = startLoad(100);
    api.close();
    // Long enough for the back-off to be at its longest.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    api.put('endpointslices', slice('hello', endpoints[0], { port: 8080 }));
    api.put('services', service('new', '10.96.0.9', { port: 80 }));
    api.put('endpointslices', slice('new', endpoints[1], { port: 8080 }));
    const away = await load.end();
    expect(away).toEqual({ [endpoints[1]]: expect.any(Number) });
    await api.listen();
    await vi.waitFor(async () => expect(await ask('10.96.0.9', 80)).toBe(endpoints[1]), { timeout: 50_000 });
    expect(await ask('10.96.0.7', 80)).toBe(endpoints[0]);
  });

  it.each([
    ['deletes the table', ['delete', 'table', 'ip', 'signalbox']],
    ['flushes the chains', ['flush', 'table', 'ip', 'signalbox']],
    ['flushes the ruleset', ['flush', 'ruleset']],
  ])('puts it right when somebody %s, and says so in log and metric', async (_, command) => {
    await serveFrom(endpoints[0]);
    const before = await metric('signalbox_proxy_repairs_total');
    log = '';
    const nft = spawn('nft', command, { stdio: 'inherit' });
    expect(await once(nft, 'exit')).toEqual([0, null]);
    await vi.waitFor(async () => expect(await metric('signalbox_proxy_repairs_total')).toBeGreaterThan(before), {
      timeout: 50_000,
    });
    expect(await ask('10.96.0.7', 80)).toBe(endpoints[0]);
    await soon(() => expect(log).toContain('somebody changed what the proxy has in the kernel; repaired'));
  });

  // Where the kernel allows millions of entries, filling them is no matter of seconds.
  it.skipIf(conntrackUsage().limit > 600_000)(
    'serves on when connection tracking is full, and tells that it is and that it no longer is',
    { timeout: 120_000 },
    async () => {
      await serveFrom(endpoints[0]);
      log = '';
      const { limit } = conntrackUsage();
      // On a slow machine the first would be forgotten before the last is there.
      writeSysctl('net.netfilter.nf_conntrack_udp_timeout', 600);
      const socket = createSocket('udp4');
      await once(socket.bind(0, endpoints[0]), 'listening');
      // To addresses nobody has: each is a flow without an answer.
      for (let n = 0; n < limit; n++) {
        const ip = `10.97.${(n >> 16) & 0xff}.${(n >> 8) & 0xff}`;
        if (n % 1000 === 999)
          await new Promise<void>((resolve) => socket.send('?', 1000 + (n & 0xff), ip, () => resolve()));
        else socket.send('?', 1000 + (n & 0xff), ip);
      }
      socket.close();
      await vi.waitFor(() => expect(log).toContain('new connections will be dropped'), { timeout: 50_000 });
      expect(await metric('signalbox_proxy_conntrack_entries')).toBeGreaterThan(0.9 * limit);
      expect(await metric('signalbox_proxy_conntrack_limit')).toBe(limit);
      // The kernel drops flows without an answer first.
      expect(await ask('10.96.0.7', 80)).toBe(endpoints[0]);
      await soon(() =>
        expect(api.posted).toContainEqual(expect.objectContaining({ reason: 'ConntrackNearlyFull', type: 'Warning' })),
      );
      const conntrack = openConntrack();
      conntrack.delete(({ original }) => original.destination.startsWith('10.97.'), { protocol: 'UDP' });
      conntrack.close();
      await vi.waitFor(() => expect(log).toContain('connection tracking has room again'), { timeout: 50_000 });
      expect(await ask('10.96.0.7', 80)).toBe(endpoints[0]);
    },
  );
});
