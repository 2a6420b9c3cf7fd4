import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { programs } from '../../../test/golden/nftables-programs.ts';
import { deletion, diff } from './diff.ts';
import { printTransaction } from './print.ts';
import type { Element, Program } from './syntax.ts';

const example: Program = {
  family: 'ip',
  table: 'example',
  sets: [
    { name: 'a', key: ['ip daddr'] },
    { name: 'm', key: ['ip daddr'], data: ['ip daddr', 'th dport'] },
  ],
  chains: [
    {
      name: 'forward',
      hook: { type: 'filter', hook: 'forward', priority: 0 },
      rules: [
        {
          statements: [
            { kind: 'lookup', key: ['ip daddr'], set: 'a' },
            { kind: 'jump', chain: 'b' },
          ],
        },
      ],
    },
    { name: 'b', rules: [{ statements: [{ kind: 'drop' }] }] },
  ],
  elements: [],
};

describe('diff', () => {
  test('is empty between equals', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(programs, (program) => {
        expect(diff(program, structuredClone(program))).toEqual({
          family: program.family,
          table: program.table,
          commands: [],
          units: [],
        });
      }),
    );
  });

  test('takes rules away before what they use, and adds them after it', () => {
    const next: Program = {
      ...example,
      sets: [{ name: 'a', key: ['ip saddr'] }, example.sets[1] ?? { name: '', key: [] }],
      chains: [
        {
          name: 'forward',
          hook: { type: 'filter', hook: 'forward', priority: 0 },
          rules: [
            {
              statements: [
                { kind: 'lookup', key: ['ip saddr'], set: 'a' },
                { kind: 'jump', chain: 'c' },
              ],
            },
          ],
        },
        { name: 'c', rules: [] },
      ],
    };
    expect(printTransaction(diff(example, next))).toBe(
      [
        'flush chain ip example forward',
        'flush chain ip example b',
        'delete chain ip example b',
        'delete set ip example a',
        'add set ip example a { typeof ip saddr; }',
        'add chain ip example c',
        'add rule ip example forward ip saddr @a jump c',
        '',
      ].join('\n'),
    );
  });

  test('has a unit for each group that differs, and deletes what no group wants', () => {
    const element = (name: string, address: number): Element => ({ set: name, key: [`10.0.0.${address}/32`] });
    const previous = { ...example, elements: [element('a', 1), element('a', 2), element('a', 9)] };
    const groups = [[element('a', 1)], [element('a', 2), element('a', 3)], [element('a', 4)]];
    expect(diff(previous, example, groups).units).toEqual([
      { delete: [], add: [element('a', 3)] },
      { delete: [], add: [element('a', 4)] },
      { delete: [element('a', 9)], add: [] },
    ]);
  });
});

describe('deletion', () => {
  test('deletes the table', () => {
    expect(printTransaction(deletion(example))).toBe('delete table ip example\n');
  });
});
