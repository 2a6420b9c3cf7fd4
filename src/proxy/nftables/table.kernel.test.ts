import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tableName } from '../../backends/nftables/names.ts';
import { openNetlink } from '../../kernel/netlink/socket.ts';
import { encodeTransaction } from '../../kernel/nftables/batch.ts';
import { elementLayout } from '../../kernel/nftables/fields.ts';
import type { NftablesKernel } from '../../kernel/nftables/interface.ts';
import { readGeneration } from '../../kernel/nftables/load.ts';
import { openNftables } from '../../kernel/nftables/table.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type IpFamily, parseIp } from '../../net/ip.ts';
import { printProgram } from '../../rules/nftables/print.ts';
import type { Element, Program, Transaction } from '../../rules/nftables/syntax.ts';
import { NftablesBackend } from './backend.ts';
import { NftablesTable } from './table.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};

function port(name: string, ip: string, endpoints: readonly string[]): ServicePort {
  return {
    name,
    protocol: 'TCP',
    frontends: [
      {
        kind: 'cluster-ip',
        ip: parseIp(ip),
        port: 80,
        endpoints: endpoints.map((endpoint) => ({ ip: parseIp(endpoint), port: 8080, local: false })),
        whenEmpty: 'reject',
        masquerade: 'off-cluster',
      },
    ],
  };
}

/** Services of two endpoints, one of them the same for all. */
function manyPorts(count: number): ServicePort[] {
  return Array.from({ length: count }, (_, i) =>
    port(`default/service-${i}`, `10.100.${i >> 8}.${i & 255}`, [`10.200.${i >> 8}.${i & 255}`, '10.201.0.1']),
  );
}

/** The number of the state all tables are in. */
function generation(): number {
  const socket = openNetlink('netfilter');
  try {
    return readGeneration(socket);
  } finally {
    socket.close();
  }
}

const updates = (...ports: readonly ServicePort[]) => new Map(ports.map((p) => [p.name, p]));

/** The kernel, with a memory of what it was asked for. */
class Watched implements NftablesKernel {
  readonly transactions: Transaction[] = [];
  /** How it was read, since last asked. */
  readings: string[] = [];
  readonly #kernel: NftablesKernel;

  constructor(kernel: NftablesKernel) {
    this.#kernel = kernel;
  }

  has(family: IpFamily): boolean {
    return this.#kernel.has(family);
  }

  load(family: IpFamily) {
    this.#note('load');
    return this.#kernel.load(family);
  }

  verify(program: Program, groups: Iterable<readonly Element[]>) {
    this.#note('verify');
    return this.#kernel.verify(program, groups);
  }

  foreignChanges(): number {
    return this.#kernel.foreignChanges();
  }

  apply(transaction: Transaction): void {
    this.#kernel.apply(transaction);
    const { commands, units } = transaction;
    if (commands.length + units.length > 0) this.transactions.push(transaction);
  }

  remove(family: IpFamily): void {
    this.#kernel.remove(family);
  }

  close(): void {
    this.#kernel.close();
  }

  #note(reading: string): void {
    this.readings.push(reading);
  }
}

let kernel: Watched;
/** Somebody else, who may change the same tables. */
let others: NftablesKernel;
const listing = () => {
  const program = kernel.load('IPv4');
  return program === undefined ? 'no table' : printProgram(program);
};

beforeEach(() => {
  kernel = new Watched(openNftables(tableName));
  others = openNftables(tableName);
});
afterEach(() => {
  kernel.remove('IPv4');
  kernel.close();
  others.close();
});

/** What a check that nothing interrupts puts right. */
async function repaired(table: NftablesTable): Promise<readonly string[]> {
  return (await table.check(new AbortController().signal)).repaired;
}

const a = port('default/a', '10.96.0.1', ['10.244.1.2', '10.244.2.2']);
const b = port('default/b', '10.96.0.2', ['10.244.1.3']);

describe('NftablesTable, in the kernel', () => {
  it('leaves no trace of a Service that came and went', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, new Map());
    const before = listing();
    table.sync(node, updates(a, b));
    expect(listing()).toContain('10.244.1.3');
    table.sync(node, new Map([a, b].map(({ name }) => [name, undefined])));
    expect(listing()).toBe(before);
  });

  it('adopts what an earlier run left: one that agrees is not touched, the rest is changed in place', () => {
    new NftablesTable(kernel, 'IPv4').sync(node, updates(a, b));
    kernel.transactions.length = 0;
    new NftablesTable(kernel, 'IPv4').sync(node, updates(a, b));
    expect(kernel.transactions).toEqual([]);

    const changed = port('default/a', '10.96.0.1', ['10.244.1.2', '10.244.2.9']);
    new NftablesTable(kernel, 'IPv4').sync(node, updates(changed));
    const [transaction] = kernel.transactions;
    expect(transaction?.commands).toEqual([]);
    expect(listing()).not.toMatch(/10\.244\.(1\.3|2\.2)\b/);
    expect(listing()).toContain('10.244.2.9');
  });

  it('prepares the table ahead where there is none, and leaves one of an earlier run alone', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.prepare(node);
    expect(listing()).toContain('chain nat-prerouting');
    kernel.transactions.length = 0;
    table.sync(node, updates(a));
    expect(kernel.transactions.map(({ commands }) => commands)).toEqual([[]]);

    const right = listing();
    const successor = new NftablesTable(kernel, 'IPv4');
    successor.prepare({ ...node, localTraffic: { by: 'source', blocks: [] } });
    expect(listing()).toBe(right);
    successor.sync(node, updates(b));
    expect(listing()).toContain('10.96.0.2');
    expect(listing()).not.toContain('10.96.0.1 ');
  });

  it('repairs what others changed, and says what that was', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a, b));
    const right = listing();
    expect(await repaired(table)).toEqual([]);

    const elements = kernel.load('IPv4')?.elements ?? [];
    const unit = { delete: elements.filter(({ set }) => set === 'endpoints'), add: [] };
    others.apply({ family: 'ip', table: tableName, commands: [], units: [unit] });
    expect(await repaired(table)).toEqual(['ip signalbox: 3 elements were missing or changed']);
    expect(listing()).toBe(right);

    const commands = [{ verb: 'flush', object: 'chain', name: 'nat-postrouting' }] as const;
    others.apply({ family: 'ip', table: tableName, commands, units: [] });
    expect(await repaired(table)).toEqual(['ip signalbox: chain nat-postrouting was missing or changed']);
    expect(listing()).toBe(right);
  });

  it('neither reads nor compares anything as long as nobody else has changed a table', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.prepare(node);
    table.sync(node, updates(a));
    table.sync(node, updates(b));
    kernel.readings = [];
    expect(await repaired(table)).toEqual([]);
    expect(kernel.readings).toEqual([]);
  });

  it('compares once, without loading, when somebody has changed a table of his own', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a, b));
    const theirs = openNftables('theirs');
    theirs.apply({ family: 'ip', table: 'theirs', commands: [{ verb: 'add', object: 'table' }], units: [] });
    table.sync(node, new Map([['default/b', undefined]]));
    kernel.readings = [];
    expect(await repaired(table)).toEqual([]);
    expect(await repaired(table)).toEqual([]);
    expect(kernel.readings).toEqual(['verify']);
    theirs.remove('IPv4');
    theirs.close();
  });

  it('sees what others changed just before a change of its own, though that came in', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a));
    const commands = [{ verb: 'flush', object: 'chain', name: 'nat-postrouting' }] as const;
    others.apply({ family: 'ip', table: tableName, commands, units: [] });
    expect(table.sync(node, updates(b)).refused.size).toBe(0);
    expect(await repaired(table)).toEqual(['ip signalbox: chain nat-postrouting was missing or changed']);
  });

  it('gives a comparison up at once when told, and begins it anew at the next check', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(...manyPorts(2000)));
    others.remove('IPv4');
    const stop = new AbortController();
    const check = table.check(stop.signal);
    stop.abort();
    expect((await check).repaired).toEqual([]);
    expect(await repaired(table)).toEqual(['ip signalbox: was missing']);
  });

  it('comes back at the next change when somebody deletes the table', async () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a));
    others.remove('IPv4');
    expect(await repaired(table)).toEqual(['ip signalbox: was missing']);
    others.remove('IPv4');
    expect(table.sync(node, updates(b)).refused.size).toBe(0);
    expect(listing()).toContain('10.244.2.2');
    expect(listing()).toContain('10.244.1.3');
  });

  it('makes the table of a family when something of it comes, and keeps it then', async () => {
    const six = port('default/six', 'fd00:96::6', ['fd00:244::2']);
    const backend = new NftablesBackend(kernel);
    await backend.prepare(node);
    await backend.sync(node, updates(a));
    expect([kernel.has('IPv4'), kernel.has('IPv6')]).toEqual([true, false]);
    await backend.sync(node, updates(six));
    expect(kernel.load('IPv6')?.elements).toContainEqual({
      set: 'endpoints',
      key: ['fd00:96::6', 'tcp', 80, 0],
      data: ['fd00:244::2', 8080],
    });
    const [before] = kernel.transactions.splice(0).reverse();
    expect(before?.commands.length).toBeGreaterThan(100);
    await backend.sync(node, new Map([[six.name, undefined]]));
    expect(kernel.transactions.map(({ family, commands }) => ({ family, commands }))).toEqual([
      { family: 'ip6', commands: [] },
    ]);
    await backend.cleanup();
  });

  it('has the table ready where the node has Pods of the family', () => {
    new NftablesTable(kernel, 'IPv6').prepare({
      ...node,
      localTraffic: { by: 'source', blocks: [parseCidr('fd00:244::/64')] },
    });
    expect(kernel.has('IPv6')).toBe(true);
    kernel.remove('IPv6');
  });

  it('empties what an earlier run left in a family that has nothing now', () => {
    const six = port('default/six', 'fd00:96::6', ['fd00:244::2']);
    new NftablesTable(kernel, 'IPv6').sync(node, updates(six));
    const successor = new NftablesTable(kernel, 'IPv6');
    successor.prepare(node);
    successor.sync(node, updates(a));
    expect(kernel.load('IPv6')?.elements).toEqual([]);
    kernel.remove('IPv6');
  });

  it('brings 10,000 Services in through the send buffer of an ordinary user', () => {
    // What kernels had as net.core.wmem_max for long.
    kernel.close();
    kernel = new Watched(openNftables(tableName, { sendBuffer: 212_992 }));
    const table = new NftablesTable(kernel, 'IPv4');
    table.prepare(node);
    const before = generation();
    const services = manyPorts(10_000);
    expect(table.sync(node, updates(...services)).refused.size).toBe(0);
    expect(generation() - before).toBeGreaterThan(3);
    expect(kernel.foreignChanges()).toBe(0);
    // One who finds it so has nothing to change.
    kernel.transactions.length = 0;
    new NftablesTable(kernel, 'IPv4').sync(node, updates(...services));
    expect(kernel.transactions).toEqual([]);
  });

  it('has no Service in part between the batches of a load that is too large for one', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.prepare(node);
    table.sync(node, updates(...manyPorts(1500)));
    const [, load] = kernel.transactions;
    const layouts = new Map(kernel.load('IPv4')?.sets.map((set) => [set.name, elementLayout(set)]));
    kernel.remove('IPv4');
    table.prepare(node);
    const socket = openNetlink('netfilter');
    const layoutOf = (set: string) => layouts.get(set) ?? elementLayout({ name: set, key: [] });
    const seen: number[] = [];
    for (const batch of encodeTransaction(load as Transaction, { layoutOf, maxBytes: 150_000 })) {
      socket.transact(batch);
      const elements = kernel.load('IPv4')?.elements ?? [];
      const services = elements.filter(({ set }) => set === 'services');
      const keys = new Set(elements.map(({ set, key }) => `${set} ${key.join(' ')}`));
      for (const { key } of services) {
        const [ip] = key;
        const parts = ['draw-2', 'masquerade-off-cluster'].map((set) => `${set} ${key.join(' ')}`);
        parts.push(`endpoints ${key.join(' ')} 0`, `endpoints ${key.join(' ')} 1`, `cluster-ips ${ip}`);
        expect(parts.filter((part) => !keys.has(part))).toEqual([]);
      }
      seen.push(services.length);
    }
    socket.close();
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toBe(1500);
  });

  it('cleans up both families, and is no failure where there is nothing', async () => {
    const backend = new NftablesBackend(kernel);
    await backend.sync(node, updates(a));
    await backend.cleanup();
    await backend.cleanup();
    expect([kernel.load('IPv4'), kernel.load('IPv6')]).toEqual([undefined, undefined]);
  });

  it('follows the blocks of Pods', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a));
    kernel.transactions.length = 0;
    table.sync({ ...node, localTraffic: { by: 'source', blocks: [parseCidr('10.8.0.0/16')] } }, new Map());
    expect(kernel.transactions).toHaveLength(1);
    expect(listing()).toContain('10.8.0.0/16');
    expect(listing()).not.toContain('10.244.0.0/16');
  });
});
