/**
 * How far the kernel is behind the API while endpoints change all the time, and what that costs.
 *
 *     npm run bench churn [--mode=nftables] [--services=10000] [--rate=300] [--seconds=60]
 *
 * The proxy is a process of its own with the Node options that clusters give it, and hears of changes by a watch. The lag
 * of a change is from its being written to the watch until the kernel has acknowledged it; the CPU time is the proxy's.
 * It makes tables in the network namespace it runs in, which must be one of its own.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger } from '../src/component/log.ts';
import type { Backend } from '../src/proxy/backend.ts';
import { parseProxyConfig } from '../src/proxy/config.ts';
import { openBackend } from '../src/proxy/modes.ts';
import type { ProxyMode } from '../src/proxy/proxy-mode.ts';
import { runProxy } from '../src/proxy/run.ts';
import { formatTable, quantile } from './shared/figures.ts';
import { ProxyApi } from './shared/proxy-api.ts';
import { endpointSlice, node } from './shared/services.ts';

const proxyFlags = ['--max-semi-space-size=4', '--heap-growing-percent=50'];
const [, ownFile = ''] = process.argv;
const ticksPerSecond = 100;
const startTimeoutMs = 180_000;
const lastMs = 5_000;

/** Addresses that the kernel has, when it has them. */
interface Served {
  readonly at: number;
  readonly ips: readonly string[];
}

/** Milliseconds by a clock that both processes have. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The backend, telling the parent process of what the kernel has acknowledged. */
function watched(backend: Backend): Backend {
  return new Proxy(backend, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      if (property !== 'sync') return value.bind(target);
      return async (...args: Parameters<Backend['sync']>) => {
        const result = await target.sync(...args);
        const ips = [...args[1].values()].flatMap(
          (port) => port?.frontends.flatMap(({ endpoints }) => endpoints.map(({ ip }) => ip)) ?? [],
        );
        process.send?.({ at: now(), ips } satisfies Served);
        return result;
      };
    },
  });
}

async function proxy(configFile: string): Promise<void> {
  const config = parseProxyConfig(JSON.parse(readFileSync(configFile, 'utf8')));
  const open = openBackend[config.mode];
  Object.assign(openBackend, {
    [config.mode]: async (options: Parameters<typeof open>[0]) => watched(await open(options)),
  });
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  await runProxy(config, stop.signal);
  process.exit(0);
}

/** Seconds of CPU time, in JavaScript and in the kernel, and MiB of memory. */
function usage({ pid }: ChildProcess): { user: number; system: number; memory: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const memory = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  return { user: Number(fields[11]) / ticksPerSecond, system: Number(fields[12]) / ticksPerSecond, memory };
}

interface Load {
  readonly mode: ProxyMode;
  readonly services: number;
  /** Changes a second. */
  readonly rate: number;
  readonly seconds: number;
}

async function measure({ mode, services, rate, seconds }: Load) {
  const api = new ProxyApi({ services, endpoints: 2 });
  await api.open();
  const configFile = join(api.folder, 'config.json');
  const addresses = { healthzBindAddress: '127.0.0.1:0', metricsBindAddress: '127.0.0.1:0' };
  const settings = { mode, hostnameOverride: node.name, clusterCIDR: '10.128.0.0/9', ...addresses };
  writeFileSync(configFile, JSON.stringify({ ...settings, clientConnection: { kubeconfig: api.kubeconfig } }));
  const child = fork(ownFile, ['--proxy', configFile], {
    execArgv: proxyFlags,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const sent = new Map<string, number>();
  const lags: number[] = [];
  await once(child, 'message', { signal: AbortSignal.timeout(startTimeoutMs) });
  child.on('message', ({ at, ips }: Served) => {
    for (const ip of ips) {
      const since = sent.get(ip);
      if (since === undefined) continue;
      lags.push(at - since);
      sent.delete(ip);
    }
  });
  const before = usage(child);
  const changes = rate * seconds;
  for (let k = 0, began = now(); k < changes; ) {
    // Evenly, and where the machine did not let this process run, what is due by then.
    for (; k < changes && now() >= began + (k * 1000) / rate; k++) {
      const slice = endpointSlice((k * 7919) % services, 1 + Math.floor(k / services));
      const moved = slice.endpoints?.at(-1)?.addresses[0] ?? '';
      sent.set(moved, now());
      api.modify(slice);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, lastMs));
  const after = usage(child);
  child.kill('SIGTERM');
  await once(child, 'exit');
  api.close();
  const backend = await openBackend[mode]({ config: parseProxyConfig({ mode }), log: createLogger('bench') });
  await backend.cleanup();
  backend.close();
  return {
    services,
    'changes a second': rate,
    'lag p50 ms': quantile(lags, 0.5),
    'lag p99 ms': quantile(lags, 0.99),
    'lag at most ms': Math.max(...lags),
    lost: sent.size,
    'CPU of one core %': ((after.user + after.system - before.user - before.system) / seconds) * 100,
    'of it kernel %': ((after.system - before.system) / seconds) * 100,
    'RSS MiB': after.memory,
  };
}

const args = process.argv.slice(2);
if (args[0] === '--proxy') await proxy(args[1] ?? '');
else {
  const option = (name: string, otherwise: string) =>
    args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
  const load: Load = {
    mode: option('mode', 'nftables') as ProxyMode,
    services: Number(option('services', '10000')),
    rate: Number(option('rate', '300')),
    seconds: Number(option('seconds', '60')),
  };
  process.stdout.write(formatTable([await measure(load)]));
}
