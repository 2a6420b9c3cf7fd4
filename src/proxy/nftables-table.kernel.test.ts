import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tableName } from '../backends/nftables/names.ts';
import { createLogger } from '../component/log.ts';
import type { NftablesKernel } from '../kernel/nftables/interface.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import type { NodeFacts, ServicePort } from '../model/types.ts';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { printProgram } from '../rules/nftables/print.ts';
import type { Transaction } from '../rules/nftables/syntax.ts';
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
  readonly #kernel: NftablesKernel;

  constructor(kernel: NftablesKernel) {
    this.#kernel = kernel;
  }

  load(family: 'IPv4' | 'IPv6') {
    return this.#kernel.load(family);
  }

  apply(transaction: Transaction): void {
    this.#kernel.apply(transaction);
    const { commands, units } = transaction;
    if (commands.length + units.length > 0) this.transactions.push(transaction);
  }

  remove(family: 'IPv4' | 'IPv6'): void {
    this.#kernel.remove(family);
  }

  close(): void {
    this.#kernel.close();
  }
}

let kernel: Watched;
const listing = () => {
  const program = kernel.load('IPv4');
  return program === undefined ? 'no table' : printProgram(program);
};

beforeEach(() => {
  kernel = new Watched(openNftables(tableName));
});
afterEach(() => {
  kernel.remove('IPv4');
  kernel.close();
});

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

  it('repairs what others changed, and says what that was', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a, b));
    const right = listing();
    expect(table.check().repaired).toEqual([]);

    const elements = kernel.load('IPv4')?.elements ?? [];
    const unit = { delete: elements.filter(({ set }) => set === 'endpoints'), add: [] };
    kernel.apply({ family: 'ip', table: tableName, commands: [], units: [unit] });
    expect(table.check().repaired).toEqual(['ip signalbox: 3 elements were missing or changed']);
    expect(listing()).toBe(right);

    const commands = [{ verb: 'flush', object: 'chain', name: 'nat-postrouting' }] as const;
    kernel.apply({ family: 'ip', table: tableName, commands, units: [] });
    expect(table.check().repaired).toEqual(['ip signalbox: chain nat-postrouting was missing or changed']);
    expect(listing()).toBe(right);
  });

  it('comes back at the next change when somebody deletes the table', () => {
    const table = new NftablesTable(kernel, 'IPv4');
    table.sync(node, updates(a));
    kernel.remove('IPv4');
    expect(table.check().repaired).toEqual(['ip signalbox: was missing']);
    kernel.remove('IPv4');
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
