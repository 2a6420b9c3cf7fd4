import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tableName } from '../backends/nftables/names.ts';
import { createLogger } from '../component/log.ts';
import type { NftablesKernel } from '../kernel/nftables/interface.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import type { NodeFacts, ServicePort } from '../model/types.ts';
import { parseCidr } from '../net/cidr.ts';
import { type IpFamily, parseIp } from '../net/ip.ts';
import { printProgram } from '../rules/nftables/print.ts';
import type { Element, Program, Transaction } from '../rules/nftables/syntax.ts';
import { NftablesBackend } from './nftables-backend.ts';
import { NftablesTable } from './nftables-table.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  nodePortAddresses: [],
  localSources: [parseCidr('10.244.0.0/16')],
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
    successor.prepare({ ...node, localSources: [] });
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
    const many = Array.from({ length: 2000 }, (_, i) =>
      port(`default/${i}`, `10.97.${i >> 8}.${i & 255}`, ['10.1.2.3']),
    );
    table.sync(node, updates(...many));
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

  it('cleans up both families, and is no failure where there is nothing', async () => {
    const backend = new NftablesBackend(kernel, createLogger('test'));
    await backend.sync(node, updates(a));
    await backend.cleanup();
    await backend.cleanup();
    expect([kernel.load('IPv4'), kernel.load('IPv6')]).toEqual([undefined, undefined]);
  });

  it('follows the blocks of Pods', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a));
    kernel.transactions.length = 0;
    table.sync({ ...node, localSources: [parseCidr('10.8.0.0/16')] }, new Map());
    expect(kernel.transactions).toHaveLength(1);
    expect(listing()).toContain('10.8.0.0/16');
    expect(listing()).not.toContain('10.244.0.0/16');
  });
});
