/**
 * What a full load and the change of one endpoint cost in the kernel's nf_tables: our constant-shape table over
 * netlink, beside the same Services as one chain each (the shape that most proxies have) through `nft -f`.
 * Run it in a network namespace of its own, as root: it makes a table `signalbox` and one `chains`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { compileBase } from '../src/backends/nftables/compile.ts';
import { tableName } from '../src/backends/nftables/names.ts';
import { compileServicePort } from '../src/backends/nftables/service.ts';
import type { NftablesKernel } from '../src/kernel/nftables/interface.ts';
import { openNftables } from '../src/kernel/nftables/table.ts';
import type { NodeFacts, ServicePort } from '../src/model/types.ts';
import { parseCidr } from '../src/net/cidr.ts';
import { type Ip, ipFromBigInt } from '../src/net/ip.ts';
import { diff } from '../src/rules/nftables/diff.ts';
import { ElementStore, elementTransaction } from '../src/rules/nftables/elements.ts';

const family = 'IPv4';
const endpointsPerService = 2;
const changes = 200;
const facts: NodeFacts = {
  name: 'bench',
  zone: undefined,
  nodePortAddresses: [],
  localSources: [parseCidr('10.128.0.0/9')],
};

/** Times of one size of cluster, in milliseconds; memory in MiB. */
export interface ShapeTimes {
  readonly services: number;
  readonly elements: number;
  /** From the model to encoded batches, without the kernel; and all of it, acknowledged. */
  readonly compile: number;
  readonly load: number;
  /** Reading all back and comparing it with what is wanted: what a restart costs. */
  readonly adopt: number;
  readonly changeMedian: number;
  readonly changeP99: number;
  readonly heap: number;
  readonly kernelMemory: number;
  /** The one-chain-per-Service shape, if asked for: load, and median of adding one endpoint. */
  readonly chainsLoad: number | undefined;
  readonly chainsChange: number | undefined;
}

function address(base: number, offset: number): Ip {
  return ipFromBigInt(BigInt(base + offset), family);
}

function servicePort(service: number, generation = 0): ServicePort {
  const endpoints = Array.from({ length: endpointsPerService }, (_, i) => {
    const number = service * endpointsPerService + i;
    // The change moves the last endpoint elsewhere.
    const moved = i === endpointsPerService - 1 ? generation * 0x100000 : 0;
    return { ip: address(0x0a800001, number + moved), port: 8080, local: number % 3 === 0 };
  });
  return {
    name: `default/service-${service}:http`,
    protocol: 'TCP',
    frontends: [
      {
        kind: 'cluster-ip',
        ip: address(0x0a600001, service),
        port: 80,
        endpoints,
        whenEmpty: 'reject',
        masquerade: 'off-cluster',
      },
    ],
  };
}

function timed<T>(run: () => T): [milliseconds: number, result: T] {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

/** Measures one size. `chains` also loads the other shape, which takes minutes from 10,000 on. */
export function measure(services: number, chains: boolean): ShapeTimes {
  const kernel = openNftables(tableName);
  kernel.remove(family);
  const model = Array.from({ length: services }, (_, i) => servicePort(i));
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const memoryBefore = availableMemory();
  const store = new ElementStore();
  const base = compileBase(facts, family);
  const [compile, transaction] = timed(() => {
    for (const port of model) store.replace(port.name, compileServicePort(port, family));
    return diff(undefined, base, store.groups());
  });
  const [apply] = timed(() => kernel.apply(transaction));
  const kernelMemory = memoryBefore - availableMemory();
  globalThis.gc?.();
  const heap = process.memoryUsage().heapUsed - heapBefore;
  const [adopt, difference] = timed(() => diff(kernel.load(family), base, store.groups()));
  if (difference.units.length > 0) throw new Error('the kernel does not have what was loaded');
  const times = measureChanges(kernel, store, services);
  kernel.remove(family);
  kernel.close();
  return {
    services,
    elements: transaction.units.reduce((sum, unit) => sum + unit.add.length, 0),
    compile,
    load: compile + apply,
    adopt,
    changeMedian: quantile(times, 0.5),
    changeP99: quantile(times, 0.99),
    heap: heap / 2 ** 20,
    kernelMemory,
    ...(chains ? measureChains(model) : { chainsLoad: undefined, chainsChange: undefined }),
  };
}

/** One endpoint of one Service after another moves: from the event in hand to the kernel's acknowledgement. */
function measureChanges(kernel: NftablesKernel, store: ElementStore, services: number): number[] {
  const base = compileBase(facts, family);
  return Array.from({ length: changes }, (_, i) => {
    const port = servicePort((i * 7919) % services, 1 + Math.floor(i / services));
    const [time] = timed(() => {
      const change = store.replace(port.name, compileServicePort(port, family));
      kernel.apply(elementTransaction(base, [change]));
    });
    return time;
  });
}

function measureChains(model: readonly ServicePort[]): { chainsLoad: number; chainsChange: number } {
  const text: string[] = [
    'add table ip chains',
    'add map ip chains services { type ipv4_addr . inet_proto . inet_service : verdict; }',
  ];
  const rules: string[] = [];
  const elements: string[] = [];
  model.forEach((port, i) => {
    for (const { ip, port: number, endpoints } of port.frontends) {
      text.push(`add chain ip chains svc-${i}`);
      endpoints.forEach((endpoint, k) => {
        text.push(`add chain ip chains ep-${i}-${k}`);
        rules.push(`add rule ip chains ep-${i}-${k} meta l4proto tcp dnat to ${endpoint.ip}:${endpoint.port}`);
      });
      const branches = endpoints.map((_, k) => `${k} : goto ep-${i}-${k}`);
      rules.push(`add rule ip chains svc-${i} numgen random mod ${endpoints.length} vmap { ${branches.join(', ')} }`);
      elements.push(`${ip} . tcp . ${number} : goto svc-${i}`);
    }
  });
  text.push('add chain ip chains prerouting { type nat hook prerouting priority -100; }');
  rules.push('add rule ip chains prerouting ip daddr . meta l4proto . th dport vmap @services');
  rules.push(`add element ip chains services { ${elements.join(', ')} }`);
  const [chainsLoad] = timed(() => nft([...text, ...rules].join('\n')));
  const samples = Array.from({ length: 5 }, (_, i) => {
    const change = [
      `add chain ip chains ep-0-${i}-new`,
      `add rule ip chains ep-0-${i}-new meta l4proto tcp dnat to 10.200.0.${i + 1}:8080`,
      'flush chain ip chains svc-0',
      `add rule ip chains svc-0 numgen random mod 2 vmap { 0 : goto ep-0-0, 1 : goto ep-0-${i}-new }`,
    ];
    return timed(() => nft(change.join('\n')))[0];
  });
  nft('delete table ip chains');
  return { chainsLoad, chainsChange: quantile(samples, 0.5) };
}

function nft(input: string): void {
  const { status, stderr } = spawnSync('nft', ['-f', '-'], { input: `${input}\n` });
  if (status !== 0) throw new Error(`nft: ${stderr}`);
}

function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** MiB, of the whole machine: the kernel tells nobody what its tables take. */
function availableMemory(): number {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}

/** Prints a line for each size given; `--chains=N` compares up to N Services. */
export function main(args: readonly string[]): void {
  const chainsUpTo = Number(args.find((arg) => arg.startsWith('--chains='))?.slice('--chains='.length) ?? 0);
  const sizes = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
  // The first run pays for the compiler's warming up.
  measure(100, false);
  for (const size of sizes.length > 0 ? sizes : [1_000, 10_000, 50_000]) {
    const times = Object.entries(measure(size, size <= chainsUpTo));
    process.stdout.write(
      `${times.map(([name, value]) => `${name} ${value === undefined ? '-' : Math.round(value * 1000) / 1000}`).join('  ')}\n`,
    );
  }
}

main(process.argv.slice(2));
