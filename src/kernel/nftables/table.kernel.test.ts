import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { programs } from '../../../test/golden/nftables-programs.ts';
import { runTypeScript } from '../../../test/run-typescript.ts';
import { ipFromBigInt } from '../../net/ip.ts';
import { diff } from '../../rules/nftables/diff.ts';
import { parseProgram } from '../../rules/nftables/parse.ts';
import { printTransaction } from '../../rules/nftables/print.ts';
import type { Element, Program, Transaction } from '../../rules/nftables/syntax.ts';
import { openNetlink } from '../netlink/socket.ts';
import { encodeTransaction } from './batch.ts';
import { elementLayout } from './fields.ts';
import { openNftables } from './table.ts';

// The whole file is in a network namespace of its own.
const kernel = openNftables('example');
beforeEach(() => kernel.remove('IPv4'));
afterAll(() => kernel.close());

const example: Program = {
  family: 'ip',
  table: 'example',
  sets: [
    { name: 'blocks', key: ['ip saddr'], interval: true },
    { name: 'numbers', key: ['ip daddr', 'meta l4proto', 'th dport'], data: ['numgen random mod 16384'] },
  ],
  chains: [
    { name: 'forward', hook: { type: 'filter', hook: 'forward', priority: -10 }, rules: [] },
    { name: 'other', rules: [{ statements: [{ kind: 'drop' }], comment: 'a comment' }] },
  ],
  elements: [
    { set: 'blocks', key: ['0.0.0.0/1'] },
    { set: 'blocks', key: ['192.0.2.0/24'] },
    { set: 'blocks', key: ['192.0.3.0/25'] },
    { set: 'blocks', key: ['255.255.255.255/32'] },
  ],
};

function number(index: number, value: number, comment?: string): Element {
  const ip = ipFromBigInt(BigInt(0x0a000000 + index), 'IPv4');
  return { set: 'numbers', key: [ip, 'tcp', 80], data: [value], ...(comment !== undefined && { comment }) };
}

function change(units: Transaction['units']): Transaction {
  return { family: 'ip', table: 'example', commands: [], units };
}

/** What would still have to be changed; nothing if the kernel has exactly this. */
function difference(wanted: Program) {
  const { commands, units } = diff(kernel.load('IPv4'), wanted);
  return { commands, units };
}
const none = { commands: [], units: [] };

function nft(...args: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync('nft', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

describe('openNftables', () => {
  test('loads what it applied, whatever it is, and leads from there to anything else', () => {
    fc.assert(
      fc.property(programs, programs, (first, second) => {
        kernel.remove('IPv4');
        kernel.apply(diff(undefined, first));
        expect(difference(first)).toEqual(none);
        expect(kernel.load('IPv4')?.comment).toBe(first.comment);
        kernel.apply(diff(kernel.load('IPv4'), second));
        expect(difference(second)).toEqual(none);
      }),
      { numRuns: 40 },
    );
  });

  test('a table lists in nft as it prints', () => {
    kernel.apply(diff(undefined, { ...example, elements: [...example.elements, number(1, 7, 'a name')] }));
    const listing = nft('list', 'table', 'ip', 'example');
    expect(diff(kernel.load('IPv4'), parseProgram(listing))).toMatchObject(none);
    expect(listing).toContain('10.0.0.1 . tcp . 80 comment "a name" : 7');
    expect(listing).toContain('drop comment "a comment"');
  });

  test('a printed transaction does in nft what it does here', () => {
    const next = { ...example, elements: [number(1, 1), number(2, 2, 'two')] };
    kernel.apply(diff(undefined, example));
    const { status, stderr } = spawnSync('nft', ['-f', '-'], {
      input: printTransaction(diff(example, next)),
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(difference(next)).toEqual(none);
    nft('flush', 'ruleset');
    const whole = spawnSync('nft', ['-f', '-'], { input: printTransaction(diff(undefined, next)), encoding: 'utf8' });
    expect({ status: whole.status, stderr: whole.stderr }).toEqual({ status: 0, stderr: '' });
    expect(difference(next)).toEqual(none);
  });

  test('replaces the data of an element in one transaction', () => {
    kernel.apply(diff(undefined, { ...example, elements: [number(1, 1)] }));
    kernel.apply(change([{ delete: [number(1, 1)], add: [number(1, 2)] }]));
    expect(kernel.load('IPv4')?.elements).toEqual([number(1, 2)]);
  });

  test('carries nothing out of a transaction that the kernel refuses in part', () => {
    kernel.apply(diff(undefined, example));
    const bad = change([
      { delete: [], add: [number(1, 1)] },
      { delete: [number(9, 9)], add: [] },
    ]);
    expect(() => kernel.apply(bad)).toThrow(
      expect.objectContaining({ code: 'KERNEL_REFUSED', object: 'nftables table ip example' }),
    );
    expect(() => kernel.apply(bad)).toThrow(/delete elements of numbers: ENOENT/);
    expect(difference(example)).toEqual(none);
  });

  test.each<[string, Transaction, string]>([
    ['an element that is there', change([{ delete: [], add: [{ set: 'blocks', key: ['192.0.2.0/24'] }] }]), 'EEXIST'],
    ['an element of a set that is not there', change([{ delete: [], add: [{ set: 'x', key: [1] }] }]), 'ENOENT'],
    [
      'a jump to a chain that is not there',
      {
        ...change([]),
        commands: [
          { verb: 'add', object: 'rule', chain: 'other', rule: { statements: [{ kind: 'jump', chain: 'x' }] } },
        ],
      },
      'ENOENT',
    ],
    ['a chain that is there', { ...change([]), commands: [{ verb: 'add', object: 'chain', name: 'other' }] }, 'EEXIST'],
  ])('says how the kernel refuses %s', (_, transaction, errno) => {
    kernel.apply(diff(undefined, example));
    expect(() => kernel.apply(transaction)).toThrow(errno);
  });

  test('puts right what others did to the table', () => {
    const wanted = { ...example, elements: [...example.elements, number(1, 1)] };
    kernel.apply(diff(undefined, wanted));
    nft('add rule ip example forward ip ttl 1 drop');
    nft('add set ip example theirs { type ether_addr; }');
    nft('delete element ip example numbers { 10.0.0.1 . tcp . 80 }');
    nft('add chain ip example their-chain { type route hook output priority 0; }');
    expect(difference(wanted)).not.toEqual(none);
    expect(
      kernel.load('IPv4')?.chains.flatMap((chain) => chain.rules.flatMap((rule) => rule.statements)),
    ).toContainEqual({
      kind: 'foreign',
      expressions: 'payload, cmp, immediate',
    });
    kernel.apply(diff(kernel.load('IPv4'), wanted));
    expect(difference(wanted)).toEqual(none);
    expect(nft('list', 'table', 'ip', 'example')).not.toMatch(/ttl|their/);
  });

  test('knows the sets of a table that somebody else made anew', () => {
    kernel.apply(diff(undefined, example));
    nft('delete table ip example');
    expect(() => kernel.apply(change([{ delete: [], add: [number(1, 1)] }]))).toThrow('ENOENT');
    nft('add table ip example; add set ip example numbers { typeof ip daddr . meta l4proto . th dport; }');
    const { data: _, ...element } = number(1, 1);
    kernel.apply(change([{ delete: [], add: [element] }]));
    expect(kernel.load('IPv4')?.elements).toEqual([element]);
  });

  test('leaves other tables alone', () => {
    nft('add table ip other; add chain ip other c; add rule ip other c drop');
    kernel.apply(diff(undefined, example));
    kernel.remove('IPv4');
    expect(nft('list', 'ruleset')).toMatch(/table ip other[\s\S]*drop/);
    expect(kernel.load('IPv4')).toBeUndefined();
    nft('delete table ip other');
  });

  test('has both families apart', () => {
    const six: Program = {
      family: 'ip6',
      table: 'example',
      sets: [{ name: 's', key: ['ip6 daddr', 'th dport'] }],
      chains: [],
      elements: [],
    };
    const blocks: Program = {
      ...six,
      sets: [{ name: 's', key: ['ip6 saddr'], interval: true }],
      elements: [
        { set: 's', key: ['fd00::/8'] },
        { set: 's', key: ['ff00::/8'] },
      ],
    };
    kernel.apply(diff(undefined, blocks));
    expect(kernel.load('IPv6')).toEqual(blocks);
    expect(kernel.load('IPv4')).toBeUndefined();
    kernel.remove('IPv6');
  });
});

describe('foreignChanges', () => {
  const others = openNftables('others');
  const addTable: Transaction = {
    family: 'ip',
    table: 'others',
    commands: [{ verb: 'add', object: 'table' }],
    units: [],
  };
  beforeEach(() => others.remove('IPv4'));
  afterAll(() => others.close());

  test('stays the same over changes of its own', () => {
    const before = kernel.foreignChanges();
    kernel.apply(diff(undefined, example));
    kernel.apply(change([{ delete: [], add: [number(1, 1)] }]));
    expect(() => kernel.apply(change([{ delete: [], add: [number(1, 1)] }]))).toThrow('EEXIST');
    kernel.remove('IPv4');
    expect(kernel.foreignChanges()).toBe(before);
  });

  test('differs after a change of anybody else, once', () => {
    const before = kernel.foreignChanges();
    others.apply(addTable);
    const after = kernel.foreignChanges();
    expect(after).not.toBe(before);
    expect(kernel.foreignChanges()).toBe(after);
  });

  test('differs when somebody came between two changes of its own, which came in', () => {
    kernel.apply(diff(undefined, example));
    const before = kernel.foreignChanges();
    others.apply(addTable);
    kernel.apply(change([{ delete: [], add: [number(1, 1)] }]));
    expect(kernel.foreignChanges()).not.toBe(before);
    expect(kernel.load('IPv4')?.elements).toContainEqual(number(1, 1));
  });
});

describe('verify', () => {
  const groups = Array.from({ length: 1500 }, (_, i) => [number(i, i, `name ${i}`)]);
  function verdict(program: Program, more: readonly (readonly Element[])[], between = () => {}) {
    const steps = kernel.verify(program, more);
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) return step.value;
      between();
    }
  }
  const six: Program = {
    family: 'ip6',
    table: 'example',
    sets: [
      { name: 'blocks', key: ['ip6 saddr'], interval: true },
      { name: 'pairs', key: ['ip6 saddr', 'ip6 daddr'] },
    ],
    chains: [],
    elements: [
      { set: 'blocks', key: ['fd00::/8'] },
      { set: 'blocks', key: ['ff00::/8'] },
    ],
  };

  test('finds what was applied to be the same, whatever it is', () => {
    fc.assert(
      fc.property(programs, (program) => {
        kernel.remove('IPv4');
        kernel.apply(diff(undefined, program));
        expect(verdict(program, [])).toBe('same');
      }),
      { numRuns: 30 },
    );
    kernel.remove('IPv4');
    kernel.apply(diff(undefined, example, groups));
    expect(verdict(example, [...groups].reverse())).toBe('same');
    kernel.apply(diff(undefined, six));
    expect(verdict(six, [])).toBe('same');
    kernel.remove('IPv6');
  });

  test.each<[string, string]>([
    ['an element that is gone', 'delete element ip example numbers { 10.0.3.7 . tcp . 80 }'],
    ['one more element', 'add element ip example numbers { 10.9.0.1 . tcp . 80 : 3 }'],
    [
      'other data',
      'delete element ip example numbers { 10.0.3.7 . tcp . 80 }; add element ip example numbers { 10.0.3.7 . tcp . 80 comment "name 775" : 774 }',
    ],
    [
      'another comment',
      'delete element ip example numbers { 10.0.3.7 . tcp . 80 }; add element ip example numbers { 10.0.3.7 . tcp . 80 comment "name 776" : 775 }',
    ],
    [
      'two elements whose data changed places',
      'delete element ip example numbers { 10.0.0.1 . tcp . 80, 10.0.0.2 . tcp . 80 }; add element ip example numbers { 10.0.0.1 . tcp . 80 comment "name 1" : 2, 10.0.0.2 . tcp . 80 comment "name 2" : 1 }',
    ],
    ['another block', 'add element ip example blocks { 198.51.100.0/24 }'],
    ['one more rule', 'add rule ip example other accept'],
    ['one more set', 'add set ip example theirs { type ipv4_addr; }'],
  ])('sees %s', (_, command) => {
    kernel.apply(diff(undefined, example, groups));
    nft(command);
    expect(verdict(example, groups)).toBe('different');
  });

  test('sees that there is no table', () => {
    expect(verdict(example, groups)).toBe('different');
  });

  test('says that somebody changed a table while it was read', () => {
    kernel.apply(diff(undefined, example, groups));
    let left = groups.length;
    const others = () => {
      if (left > 0) kernel.apply(change([{ delete: groups[--left] ?? [], add: [] }]));
    };
    expect(verdict(example, groups, others)).toBe('interrupted');
  });

  test('lets go of the kernel when it is given up', () => {
    kernel.apply(diff(undefined, example, groups));
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const steps = kernel.verify(example, groups);
    for (let i = 0; i < 5; i++) steps.next();
    expect(open()).toBe(before + 1);
    steps.return('interrupted');
    expect(open()).toBe(before);
  });
});

describe('encodeTransaction', () => {
  const layoutOf = (name: string) => elementLayout(example.sets.find((set) => set.name === name) ?? { name, key: [] });

  test('divides what is too large, and no unit', () => {
    kernel.apply(diff(undefined, example));
    const units = Array.from({ length: 3_000 }, (_, i) => ({
      delete: [],
      add: [number(2 * i, 1, 'even'), number(2 * i + 1, 2)],
    }));
    const socket = openNetlink('netfilter');
    const batches = [...encodeTransaction(change(units), { layoutOf, maxBytes: 100_000 })];
    expect(batches.length).toBeGreaterThan(3);
    for (const batch of batches) {
      expect(batch.byteLength).toBeLessThanOrEqual(100_000);
      socket.transact(batch);
      const numbers = kernel.load('IPv4')?.elements.filter((element) => element.set === 'numbers') ?? [];
      const evens = numbers.filter((element) => element.comment === 'even');
      expect(numbers).toHaveLength(2 * evens.length);
    }
    expect(difference({ ...example, elements: [...example.elements, ...units.flatMap((unit) => unit.add)] })).toEqual(
      none,
    );
    socket.close();
  });

  test('needs no batch for nothing', () => {
    expect([...encodeTransaction(change([]), { layoutOf, maxBytes: 1 })]).toEqual([]);
  });
});

describe('as an ordinary user', () => {
  test('a table that is larger than the send buffer comes in, whole', () => {
    const source = `
      import { openNftables } from './src/kernel/nftables/table.ts';
      import { openNetlink } from './src/kernel/netlink/socket.ts';
      import { diff } from './src/rules/nftables/diff.ts';
      import { ipFromBigInt } from './src/net/ip.ts';
      const socket = openNetlink('netfilter');
      const wanted = Math.ceil(socket.maxMessageBytes / 40) + 1000;
      const elements = Array.from({ length: Math.min(wanted, 250_000) }, (_, i) => ({ set: 's', key: [ipFromBigInt(BigInt(0x0a000000 + i), 'IPv4')] }));
      const base = { family: 'ip', table: 'example', sets: [{ name: 's', key: ['ip daddr'] }], chains: [], elements: [] };
      const kernel = openNftables('example');
      kernel.apply(diff(undefined, base, elements.map((element) => [element])));
      const { commands, units } = diff(kernel.load('IPv4'), base, elements.map((element) => [element]));
      process.stdout.write(JSON.stringify({ loaded: kernel.load('IPv4').elements.length === elements.length, commands, units: units.length }));
    `;
    const { stdout, stderr } = runTypeScript(source, ['unshare', '--user', '--map-root-user', '--net']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ loaded: true, commands: [], units: 0 });
  });
});
