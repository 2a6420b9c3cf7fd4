/**
 * What the node proxy takes to bring Services into the kernel: the way through tracker, model and compiler to the
 * kernel's acknowledgement, for a full load, the change of one endpoint, the periodic check and a restart over rules
 * that are there; and the whole component from its start, with its memory.
 *
 *     npm run bench proxy-sync [--mode=nftables] [sizes…]
 *
 * A size is a number of Services of two endpoints, or `1x10000`: one of so many. It makes tables in the network namespace it runs in, which must be one of its own. A process for each measurement.
 * `PROXY_NODE_FLAGS` are other options for the Node process that the component is.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../src/component/log.ts';
import { openNftables } from '../src/kernel/nftables/table.ts';
import { ServiceModel } from '../src/model/service-model.ts';
import { parseProxyConfig } from '../src/proxy/config.ts';
import { openBackend } from '../src/proxy/modes.ts';
import type { ProxyMode } from '../src/proxy/proxy-mode.ts';
import { runProxy } from '../src/proxy/run.ts';
import { ChangeTracker } from '../src/tracker/change-tracker.ts';
import { formatTable, quantile, timed } from './shared/figures.ts';
import { ProxyApi } from './shared/proxy-api.ts';
import { endpointSlice, node, parseSize, type Size, service, sizeText, slicesPerService } from './shared/services.ts';

type Figures = Readonly<Record<string, number>>;

const changes = 500;
const checks = 3;
const checkPeriodMs = 1000;
/** The JavaScript engine looks for what it can give back when it has been idle for some seconds. */
const settleMs = 15_000;
const startTimeoutMs = 120_000;

/** One stage after another in this process. Kernel time is the process's system time: netlink works within the call. */
async function measureStages(size: Size, mode: ProxyMode): Promise<Figures> {
  const { services, endpoints } = size;
  const slices = slicesPerService(size);
  const open = () => openBackend[mode]({ config: parseProxyConfig({ mode }), log: createLogger('bench') });
  const backend = await open();
  const tracker = new ChangeTracker(Date.now());
  const model = new ServiceModel(node, { masqueradeAll: false });
  const sync = () => {
    const step = model.apply(tracker.take());
    return backend.sync(node, new Map(step.servicePorts.map(({ name, current }) => [name, current])));
  };
  const prepared = await usage(() => backend.prepare(node));
  let tracked = 0;
  for (let i = 0; i < services; i++) {
    const object = service(i);
    const parts = Array.from({ length: slices }, (_, slice) => endpointSlice(i, 0, { endpoints, slice }));
    const [ms] = timed(() => {
      tracker.recordService(`default/service-${i}`, object, 0);
      for (const part of parts) tracker.recordSlice(`default/${part.metadata?.name}`, part, 0);
    });
    tracked += ms;
  }
  const loaded = await usage(sync);

  const times: number[] = [];
  const changed = await usage(async () => {
    for (let k = 0; k < changes; k++) {
      const at = (k * 7919) % (services * slices);
      const generation = 1 + Math.floor(k / (services * slices));
      const part = endpointSlice(Math.floor(at / slices), generation, { endpoints, slice: at % slices });
      const start = performance.now();
      tracker.recordSlice(`default/${part.metadata?.name}`, part, 0);
      await sync();
      times.push(performance.now() - start);
    }
  });

  const quiet = await usage(() => backend.check(new AbortController().signal));
  const whole: Usage[] = [];
  let longestBlock = 0;
  for (let k = 0; k < checks; k++) {
    const others = openNftables('others');
    others.apply({ family: 'ip', table: 'others', commands: [{ verb: 'add', object: 'table' }], units: [] });
    others.remove('IPv4');
    others.close();
    const blocks = watchBlocks();
    whole.push(await usage(() => backend.check(new AbortController().signal)));
    longestBlock = Math.max(longestBlock, blocks.longest());
  }
  backend.close();
  const successor = await open();
  const restarted = await usage(() => successor.sync(node, model.servicePorts));
  await successor.cleanup();
  successor.close();
  return {
    services,
    endpoints,
    'empty tables ms': prepared.wall,
    'track ms': tracked,
    'load ms': loaded.wall,
    'load kernel ms': loaded.kernel,
    'change p50 ms': quantile(times, 0.5),
    'change p99 ms': quantile(times, 0.99),
    'change kernel ms': changed.kernel / changes,
    'check, undisturbed ms': quiet.wall,
    'check, whole ms': quantile(
      whole.map(({ wall }) => wall),
      0.5,
    ),
    'longest block ms': longestBlock,
    'restart ms': restarted.wall,
    'peak MiB': process.resourceUsage().maxRSS / 1024,
  };
}

interface Usage {
  readonly wall: number;
  readonly kernel: number;
}

/** Milliseconds that something took: by the clock, and of the process in the kernel. */
async function usage(run: () => Promise<unknown>): Promise<Usage> {
  const before = process.cpuUsage();
  const start = performance.now();
  await run();
  return { wall: performance.now() - start, kernel: process.cpuUsage(before).system / 1000 };
}

/** The longest time, in milliseconds, for which nothing else in the process could run. */
function watchBlocks(): { longest(): number } {
  let longest = 0;
  let last = performance.now();
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 1);
  return {
    longest: () => {
      clearInterval(timer);
      look();
      return longest;
    },
  };
}

/** The whole component, over an API that serves as many Services; every check is a whole one. */
async function measureComponent(size: Size, mode: ProxyMode): Promise<Figures> {
  const api = new ProxyApi(size);
  await api.open();
  const config = join(api.folder, 'config.json');
  const periods = { syncPeriod: `${checkPeriodMs}ms` };
  const addresses = { healthzBindAddress: '127.0.0.1:0', metricsBindAddress: '127.0.0.1:0' };
  const settings = { mode, hostnameOverride: node.name, clusterCIDR: '10.128.0.0/9', ...addresses };
  writeFileSync(
    config,
    JSON.stringify({ ...settings, nftables: periods, clientConnection: { kubeconfig: api.kubeconfig } }),
  );
  const start = async () => {
    const started = performance.now();
    const child = fork(ownFile, ['--proxy', config], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      execArgv: proxyFlags,
    });
    const { sync, at } = await firstSync(child);
    return { child, sync, took: at - started };
  };
  const stop = async (child: ChildProcess) => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  const { child, sync, took } = await start();
  const afterLoad = memory(child.pid);
  await sleep(settleMs);
  const settled = memory(child.pid);
  const others = openNftables('others');
  for (let k = 0; k < checks; k++) {
    others.apply({ family: 'ip', table: 'others', commands: [{ verb: 'add', object: 'table' }], units: [] });
    others.remove('IPv4');
    await sleep(checkPeriodMs * 1.5);
  }
  others.close();
  const afterChecks = memory(child.pid);
  await stop(child);
  const again = await start();
  await stop(again.child);
  api.close();
  const backend = await openBackend[mode]({ config: parseProxyConfig({ mode }), log: createLogger('bench') });
  await backend.cleanup();
  backend.close();
  return {
    services: size.services,
    endpoints: size.endpoints,
    'start to served ms': took,
    'of it first sync ms': sync,
    'restart to served ms': again.took,
    'of it sync ms': again.sync,
    'RSS after load MiB': afterLoad.now,
    'settled MiB': settled.now,
    'after checks MiB': afterChecks.now,
    'at most MiB': afterChecks.most,
  };
}

/** Node options the proxy is started with. They keep its heap small, for a little more work on the way. */
const proxyFlags = (process.env.PROXY_NODE_FLAGS ?? '--max-semi-space-size=4 --heap-growing-percent=50')
  .split(' ')
  .filter((flag) => flag !== '');

const [, ownFile = ''] = process.argv;

/** Waits for the component's word that it has served all; the word's time, and what it says of the sync. */
async function firstSync(child: ChildProcess): Promise<{ sync: number; at: number }> {
  let text = '';
  const timer = setTimeout(() => child.kill('SIGKILL'), startTimeoutMs);
  for await (const chunk of child.stderr ?? []) {
    text += chunk;
    const line = text.split('\n').find((candidate) => candidate.includes('the kernel has all Services'));
    if (line === undefined) continue;
    clearTimeout(timer);
    child.stderr?.resume();
    return { sync: (JSON.parse(line) as { ms: number }).ms, at: performance.now() };
  }
  throw new Error(`the proxy ended early: ${text}`);
}

/** MiB, from /proc/PID/status. */
function memory(pid: number | undefined): { now: number; most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { now: field('VmRSS'), most: field('VmHWM') };
}

/** The figures of one measurement in a process of its own. */
function inOwnProcess(measurement: string, size: Size, mode: string): Figures {
  const { stdout, status } = spawnSync(process.execPath, [ownFile, measurement, sizeText(size), mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${measurement} ${sizeText(size)} ended with status ${status}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

/** How much longer one change takes at the larger of two sizes; none where one of them was not measured. */
function growth(rows: readonly Figures[], column: string): string {
  const at = (services: number) => rows.find((row) => row.services === services && row.endpoints === 2)?.[column];
  const [small, large] = [at(1_000), at(10_000)];
  if (small === undefined || large === undefined) return '';
  return `${column}: ${(large / small).toFixed(2)} times at 10,000 Services what it is at 1,000\n\n`;
}

const args = process.argv.slice(2);
const [first = '', second = '', third = ''] = args;
if (first === '--proxy') {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  await runProxy(parseProxyConfig(JSON.parse(readFileSync(second, 'utf8'))), stop.signal);
  process.exit(0);
} else if (first === '--stages' || first === '--component') {
  const measure = first === '--stages' ? measureStages : measureComponent;
  process.stdout.write(`${JSON.stringify(await measure(parseSize(second), third as ProxyMode))}\n`);
} else {
  const mode = args.find((arg) => arg.startsWith('--mode='))?.slice('--mode='.length) ?? 'nftables';
  const given = args.filter((arg) => /^\d/.test(arg)).map(parseSize);
  const sizes = given.length > 0 ? given : ['100', '1000', '10000', '1x10000'].map(parseSize);
  for (const measurement of ['--stages', '--component']) {
    const rows = sizes.map((size) => inOwnProcess(measurement, size, mode));
    process.stdout.write(`${formatTable(rows)}\n${growth(rows, 'change p50 ms')}`);
  }
}
