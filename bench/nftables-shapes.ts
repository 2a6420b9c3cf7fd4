/**
 * What a full load and the change of one endpoint cost in the kernel's nf_tables: our constant-shape table over
 * netlink, beside the same Services as one chain each (the shape that most proxies have) through `nft -f`.
 *
 *     npm run bench nftables-shapes [services…] [--chains=N]
 *
 * `--chains=N` compares up to N Services; it takes minutes from 10,000 on. "compile" is from the model to the
 * transaction, "load" from there to the kernel's word as well, and "adopt" reading all back and comparing it. It makes
 * tables in the network namespace it runs in, which must be one of its own.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { compileBase } from '../src/backends/nftables/compile.ts';
import { tableName } from '../src/backends/nftables/names.ts';
import { compileServicePort } from '../src/backends/nftables/service.ts';
import type { NftablesKernel } from '../src/kernel/nftables/interface.ts';
import { openNftables } from '../src/kernel/nftables/table.ts';
import { servicePortsOf } from '../src/model/service-ports.ts';
import type { ServicePort } from '../src/model/types.ts';
import { diff } from '../src/rules/nftables/diff.ts';
import { ElementStore, elementTransaction } from '../src/rules/nftables/elements.ts';
import { readService } from '../src/tracker/service-facts.ts';
import { readSlice } from '../src/tracker/slice-facts.ts';
import { formatTable, quantile, timed } from './shared/figures.ts';
import { endpointSlice, node, service } from './shared/services.ts';

const family = 'IPv4';
const changes = 200;

/** Times in milliseconds, memory in MiB. */
type Figures = Readonly<Record<string, number | undefined>>;

/** What the one port of a generated Service comes to on the node. */
function servicePort(i: number, generation = 0): ServicePort {
  const facts = readService(service(i));
  const slice = readSlice(endpointSlice(i, generation));
  const context = { node, policy: { masqueradeAll: false } };
  const [port] = facts === undefined || slice === undefined ? [] : servicePortsOf(facts, [slice], context);
  if (port === undefined) throw new Error(`service ${i} has no port`);
  return port;
}

/** Measures one size. `chains` also loads the other shape. */
function measure(services: number, chains: boolean): Figures {
  const kernel = openNftables(tableName);
  kernel.remove(family);
  const model = Array.from({ length: services }, (_, i) => servicePort(i));
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const memoryBefore = availableMemory();
  const store = new ElementStore();
  const base = compileBase(node, family);
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
    'compile ms': compile,
    'load ms': compile + apply,
    'adopt ms': adopt,
    'change p50 ms': quantile(times, 0.5),
    'change p99 ms': quantile(times, 0.99),
    'heap MiB': heap / 2 ** 20,
    'kernel MiB': kernelMemory,
    ...(chains ? measureChains(model) : { 'chains load ms': undefined, 'chains change ms': undefined }),
  };
}

/** One endpoint of one Service after another moves: from the event in hand to the kernel's acknowledgement. */
function measureChanges(kernel: NftablesKernel, store: ElementStore, services: number): number[] {
  const base = compileBase(node, family);
  return Array.from({ length: changes }, (_, i) => {
    const port = servicePort((i * 7919) % services, 1 + Math.floor(i / services));
    const [time] = timed(() => {
      const change = store.replace(port.name, compileServicePort(port, family));
      kernel.apply(elementTransaction(base, [change]));
    });
    return time;
  });
}

function measureChains(model: readonly ServicePort[]): Figures {
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
  return { 'chains load ms': chainsLoad, 'chains change ms': quantile(samples, 0.5) };
}

function nft(input: string): void {
  const { status, stderr } = spawnSync('nft', ['-f', '-'], { input: `${input}\n` });
  if (status !== 0) throw new Error(`nft: ${stderr}`);
}

/** MiB, of the whole machine: the kernel tells nobody what its tables take. */
function availableMemory(): number {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return Number(line?.[1] ?? 0) / 1024;
}

const args = process.argv.slice(2);
const chainsUpTo = Number(args.find((arg) => arg.startsWith('--chains='))?.slice('--chains='.length) ?? 0);
const given = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
const sizes = given.length > 0 ? given : [1_000, 10_000, 50_000];
// The first run pays for the compiler's warming up.
measure(100, false);
process.stdout.write(formatTable(sizes.map((size) => measure(size, size <= chainsUpTo))));
