import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { programs } from '../../../test/golden/nftables-programs.ts';
import { parseIp } from '../../net/ip.ts';
import { diff } from '../../rules/nftables/diff.ts';
import type { Element, ObjectCommand, Program, Rule, Transaction } from '../../rules/nftables/syntax.ts';
import { FakeNftables } from './fake.ts';

const ip = parseIp;
const program: Program = {
  family: 'ip',
  table: 'example',
  sets: [
    { name: 's', key: ['ip daddr'] },
    { name: 'm', key: ['ip daddr'], data: ['ip daddr', 'th dport'] },
  ],
  chains: [
    {
      name: 'forward',
      hook: { type: 'filter', hook: 'forward', priority: 0 },
      rules: [
        {
          statements: [
            { kind: 'lookup', key: ['ip daddr'], set: 's' },
            { kind: 'jump', chain: 'c' },
          ],
        },
      ],
    },
    { name: 'c', rules: [] },
  ],
  elements: [{ set: 's', key: [ip('10.0.0.1')] }],
};

function loaded(): FakeNftables {
  const fake = new FakeNftables('example');
  fake.apply(diff(undefined, program));
  return fake;
}

function commands(...list: readonly ObjectCommand[]): Transaction {
  return { family: 'ip', table: 'example', commands: list, units: [] };
}

function addRule(chain: string, ...statements: Rule['statements']): Transaction {
  return commands({ verb: 'add', object: 'rule', chain, rule: { statements } });
}

function elements(change: { delete?: Element[]; add?: Element[] }): Transaction {
  return { family: 'ip', table: 'example', commands: [], units: [{ delete: [], add: [], ...change }] };
}

describe('FakeNftables', () => {
  test('takes every difference between two good programs, and has the next one then', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(programs, programs, (previous, next) => {
        const fake = new FakeNftables('example');
        fake.apply(diff(undefined, previous));
        fake.apply(diff(previous, next));
        const found = fake.load('IPv4');
        expect(diff(found, next)).toMatchObject({ commands: [], units: [] });
        expect(found?.elements).toHaveLength(next.elements.length);
      }),
      { numRuns: 50 },
    );
  });

  test('restores what it dumped', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(programs, (previous) => {
        const fake = new FakeNftables('example');
        fake.apply(diff(undefined, previous));
        const other = new FakeNftables('example');
        other.restore(fake.dump('IPv4'));
        expect(other.load('IPv4')).toEqual(fake.load('IPv4'));
      }),
      { numRuns: 50 },
    );
  });

  test.each<[string, Transaction, string]>([
    ['a set that is there', commands({ verb: 'add', object: 'set', set: { name: 's', key: ['ip daddr'] } }), 'EEXIST'],
    ['a chain that is there', commands({ verb: 'add', object: 'chain', name: 'c' }), 'EEXIST'],
    [
      'the deletion of a set that is not there',
      commands({ verb: 'delete', object: 'set', name: 'x', map: false }),
      'ENOENT',
    ],
    ['the deletion of a set in use', commands({ verb: 'delete', object: 'set', name: 's', map: false }), 'EBUSY'],
    ['the deletion of a chain in use', commands({ verb: 'delete', object: 'chain', name: 'c' }), 'EBUSY'],
    ['the deletion of a chain that is not there', commands({ verb: 'delete', object: 'chain', name: 'x' }), 'ENOENT'],
    ['the flushing of a chain that is not there', commands({ verb: 'flush', object: 'chain', name: 'x' }), 'ENOENT'],
    ['a rule in a chain that is not there', addRule('x', { kind: 'drop' }), 'ENOENT'],
    ['a jump to a chain that is not there', addRule('c', { kind: 'jump', chain: 'x' }), 'ENOENT'],
    ['a jump to a base chain', addRule('c', { kind: 'goto', chain: 'forward' }), 'EOPNOTSUPP'],
    ['a loop', addRule('c', { kind: 'jump', chain: 'c' }), 'ELOOP'],
    ['a look-up in a set that is not there', addRule('c', { kind: 'lookup', key: ['ip daddr'], set: 'x' }), 'ENOENT'],
    ['a look-up in a map', addRule('c', { kind: 'lookup', key: ['ip daddr'], set: 'm' }), 'EINVAL'],
    ['a key of another length', addRule('c', { kind: 'lookup', key: ['ip daddr', 'th dport'], set: 's' }), 'EINVAL'],
    ['translation in a filter chain', addRule('c', { kind: 'dnat', key: ['ip daddr'], map: 'm' }), 'EOPNOTSUPP'],
    ['masquerade in a filter chain', addRule('c', { kind: 'masquerade' }), 'EOPNOTSUPP'],
    ['an element that is there', elements({ add: [{ set: 's', key: [ip('10.0.0.1')] }] }), 'EEXIST'],
    ['an element of a set that is not there', elements({ add: [{ set: 'x', key: [1] }] }), 'ENOENT'],
    ['an element of a map without data', elements({ add: [{ set: 'm', key: [ip('10.0.0.1')] }] }), 'EINVAL'],
    [
      'the deletion of an element that is not there',
      elements({ delete: [{ set: 's', key: [ip('10.0.0.2')] }] }),
      'ENOENT',
    ],
    [
      'any change of a table that is deleted',
      commands({ verb: 'delete', object: 'table' }, { verb: 'add', object: 'chain', name: 'd' }),
      'ENOENT',
    ],
  ])('refuses %s, and changes nothing', (_, transaction, errno) => {
    const fake = loaded();
    const before = fake.dump('IPv4');
    const withMore = {
      ...transaction,
      commands: [{ verb: 'add', object: 'chain', name: 'more' } as const, ...transaction.commands],
    };
    expect(() => fake.apply(withMore)).toThrow(expect.objectContaining({ code: 'KERNEL_REFUSED' }));
    expect(() => fake.apply(withMore)).toThrow(errno);
    expect(fake.dump('IPv4')).toBe(before);
  });

  test('replaces the data of an element in one transaction', () => {
    const fake = loaded();
    const add = (port: number): Element => ({ set: 'm', key: [ip('10.0.0.1')], data: [ip('10.0.0.2'), port] });
    fake.apply(elements({ add: [add(80)] }));
    fake.apply(elements({ delete: [add(80)], add: [add(81)] }));
    expect(fake.dump('IPv4')).toContain('10.0.0.1 : 10.0.0.2 . 81');
  });

  test('removes the table, and says nothing when there is none', () => {
    const fake = loaded();
    fake.remove('IPv4');
    fake.remove('IPv4');
    expect(fake.load('IPv4')).toBeUndefined();
    expect(fake.applied).toHaveLength(2);
  });
});
