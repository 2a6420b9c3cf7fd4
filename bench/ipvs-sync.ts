/**
 * What ipvs mode takes to bring Services into the kernel (2 endpoints a Service): the full load, the change of one
 * endpoint, a restart over what is there, the periodic check, and the removal of all.
 *
 *     npm run bench ipvs-sync [services…]
 *
 * Where the machine's kernel has no IPVS it runs in a virtual machine with one (tools/vm.mjs), in which system calls are
 * many times slower: what counts are the figures of one run among each other.
 */
import { createLogger } from '../src/component/log.ts';
import { ServiceModel } from '../src/model/service-model.ts';
import { type IpvsBackend, openIpvsBackend } from '../src/proxy/ipvs/backend.ts';
import { ChangeTracker } from '../src/tracker/change-tracker.ts';
import { formatTable, quantile } from './shared/figures.ts';
import { endpointSlice, node, service } from './shared/services.ts';

const changes = 100;
const settings = {
  scheduler: 'rr',
  excludeCidrs: [],
  strictArp: false,
  timeouts: { tcp: 0, tcpFin: 0, udp: 0 },
  masqueradeBit: 14,
};

const log = createLogger('bench');
log.level = 'error';

async function measure(services: number): Promise<Readonly<Record<string, number>>> {
  const tracker = new ChangeTracker(Date.now());
  const model = new ServiceModel(node, { masqueradeAll: false });
  const open = async (): Promise<IpvsBackend> => {
    const backend = await openIpvsBackend(settings, log);
    await backend.prepare(node);
    return backend;
  };
  let backend = await open();
  const sync = () => {
    const step = model.apply(tracker.take());
    return backend.sync(node, new Map(step.servicePorts.map(({ name, current }) => [name, current])));
  };
  for (let i = 0; i < services; i++) {
    tracker.recordService(`default/service-${i}`, service(i), 0);
    tracker.recordSlice(`default/service-${i}-x`, endpointSlice(i), 0);
  }
  const load = await wall(sync);
  const times: number[] = [];
  for (let k = 0; k < changes; k++) {
    const i = (k * 7919) % services;
    tracker.recordSlice(`default/service-${i}-x`, endpointSlice(i, 1 + Math.floor(k / services)), 0);
    times.push(await wall(sync));
  }
  backend.close();
  backend = await open();
  const restart = await wall(() => backend.sync(node, model.servicePorts));
  const check = await wall(() => backend.check(new AbortController().signal));
  const cleanup = await wall(() => backend.cleanup());
  backend.close();
  return {
    services,
    'load ms': load,
    'change p50 ms': quantile(times, 0.5),
    'change p99 ms': quantile(times, 0.99),
    'restart ms': restart,
    'check ms': check,
    'cleanup ms': cleanup,
  };
}

async function wall(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

const sizes = process.argv.slice(2).map(Number);
const figures: Readonly<Record<string, number>>[] = [];
for (const services of sizes.length === 0 ? [100, 1_000, 10_000] : sizes) figures.push(await measure(services));
console.log(formatTable(figures));
