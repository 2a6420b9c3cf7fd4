/**
 * What iptables mode takes to bring Services into the kernel (2 endpoints a Service), in both variants of the tool, and
 * how much of that is the tool's own time: a full load, the change of one endpoint, a comparison of all, a start over
 * existing rules; and what the tool takes for one rule in a chain that nothing leads to, which is the least it can be
 * asked for.
 *
 *     npm run bench proxy-iptables [services…]
 *
 * It writes to the network namespace it runs in, which must be one of its own. A process for each measurement.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Iptables, IptablesVariant } from '../src/kernel/iptables/interface.ts';
import { openIptables } from '../src/kernel/iptables/tool.ts';
import { ServiceModel } from '../src/model/service-model.ts';
import type { IpFamily } from '../src/net/ip.ts';
import { FamilyRules } from '../src/proxy/iptables/rules.ts';
import type { Restore } from '../src/rules/iptables/syntax.ts';
import { ChangeTracker } from '../src/tracker/change-tracker.ts';
import { formatTable, quantile } from './shared/figures.ts';
import { endpointSlice, node, service } from './shared/services.ts';

type Figures = Readonly<Record<string, number>>;

const changes = 20;
const settings = { masqueradeBit: 14, localhostNodePorts: true, dropInvalid: true };

/** The tool, with a watch on the time that inputs take. */
class TimedIptables implements Iptables {
  readonly #tool: Iptables;
  readonly variant: IptablesVariant;
  readonly list: Iptables['list'];
  readonly has: Iptables['has'];
  restoring = 0;

  constructor(tool: Iptables) {
    this.#tool = tool;
    this.variant = tool.variant;
    this.list = (...of) => tool.list(...of);
    this.has = (...of) => tool.has(...of);
  }

  async restore(family: IpFamily, input: Restore): Promise<void> {
    const start = performance.now();
    await this.#tool.restore(family, input);
    this.restoring += performance.now() - start;
  }

  close(): void {
    this.#tool.close();
  }
}

async function measure(variant: IptablesVariant, services: number): Promise<Figures> {
  const iptables = new TimedIptables(await openIptables({ variant }));
  const tracker = new ChangeTracker(0);
  const model = new ServiceModel(node, { masqueradeAll: false });
  let rules = new FamilyRules(iptables, 'IPv4');
  const sync = () => {
    const { servicePorts } = model.apply(tracker.take());
    const updates = new Map(servicePorts.map(({ name, current }) => [name, current]));
    return rules.sync({ node, settings, updates, healthChecks: new Map() });
  };
  await rules.prepare(node, settings);
  for (let i = 0; i < services; i++) {
    tracker.recordService(`default/service-${i}`, service(i), 0);
    tracker.recordSlice(`default/service-${i}-x`, endpointSlice(i), 0);
  }
  const loaded = await took(iptables, sync);

  const changed: Took[] = [];
  for (let k = 0; k < changes; k++) {
    const i = (k * 7919) % services;
    tracker.recordSlice(`default/service-${i}-x`, endpointSlice(i, 1 + Math.floor(k / services)), 0);
    changed.push(await took(iptables, sync));
  }
  const compared = await took(iptables, () => rules.check(new AbortController().signal));
  const { rss } = process.memoryUsage();

  const least: Took[] = [];
  const alone = (verb: 'declare' | 'delete-chain'): Restore => [{ table: 'nat', commands: [{ verb, chain: 'ALONE' }] }];
  for (let k = 0; k < changes / 4; k++) {
    const commands = [
      { verb: 'declare', chain: 'ALONE' },
      { verb: 'append', chain: 'ALONE', rule: '-j RETURN' },
    ] as const;
    least.push(await took(iptables, () => iptables.restore('IPv4', [{ table: 'nat', commands }])));
    await iptables.restore('IPv4', alone('declare'));
    await iptables.restore('IPv4', alone('delete-chain'));
  }

  rules = new FamilyRules(iptables, 'IPv4');
  const { servicePorts } = model;
  const restarted = await took(iptables, async () => {
    await rules.prepare(node, settings);
    await rules.sync({ node, settings, updates: servicePorts, healthChecks: new Map() });
  });
  await rules.remove();
  iptables.close();
  const median = (all: readonly Took[], what: keyof Took) =>
    quantile(
      all.map((one) => one[what]),
      0.5,
    );
  return {
    services,
    'load ms': loaded.wall,
    'of it the tool ms': loaded.tool,
    'change p50 ms': median(changed, 'wall'),
    'of that the tool ms': median(changed, 'tool'),
    'one rule alone, the tool ms': median(least, 'tool'),
    'comparison ms': compared.wall,
    'start over existing rules ms': restarted.wall,
    'RSS MiB': rss / 2 ** 20,
    'at most MiB': peakMemory(),
  };
}

interface Took {
  readonly wall: number;
  readonly tool: number;
}

async function took(iptables: TimedIptables, run: () => Promise<unknown>): Promise<Took> {
  const before = iptables.restoring;
  const start = performance.now();
  await run();
  return { wall: performance.now() - start, tool: iptables.restoring - before };
}

/** MiB, of this process. */
function peakMemory(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}

const [, ownFile = ''] = process.argv;

function inOwnProcess(variant: IptablesVariant, services: number): Figures {
  const { stdout, status } = spawnSync(process.execPath, [ownFile, variant, String(services)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${variant} ${services} ended with status ${status}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

const [first = '', second = ''] = process.argv.slice(2);
if (first === 'legacy' || first === 'nft') {
  process.stdout.write(`${JSON.stringify(await measure(first, Number(second)))}\n`);
} else {
  const given = process.argv.slice(2).map(Number);
  const sizes = given.length > 0 ? given : [100, 1_000, 10_000];
  for (const variant of ['legacy', 'nft'] as const) {
    const rows = sizes.map((size) => inOwnProcess(variant, size));
    process.stdout.write(`iptables-${variant}\n\n${formatTable(rows)}\n`);
  }
}
