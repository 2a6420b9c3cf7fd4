import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NameTree, RecordSet } from './name-tree.ts';
import { name } from './testing/objects.ts';
import { recordType } from './wire/constants.ts';
import type { Rdata } from './wire/rdata.ts';

describe('RecordSet', () => {
  test('is a multiset, small and large', () => {
    const step = fc.record({ add: fc.boolean(), value: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const set = new RecordSet({ type: recordType.A, ttl: 5, rdata: 'first' as Rdata });
        const reasons = new Map<string, number>([['first', 1]]);
        for (const { add, value } of steps) {
          const rdata = `r${value}` as Rdata;
          const before = reasons.get(rdata) ?? 0;
          if (add) {
            expect(set.add(rdata)).toBe(before === 0);
            reasons.set(rdata, before + 1);
          } else {
            expect(set.delete(rdata)).toBe(before === 1);
            if (before > 1) reasons.set(rdata, before - 1);
            else reasons.delete(rdata);
          }
        }
        const records = Array.from({ length: set.size }, (_, i) => set.at(i));
        expect(records.sort()).toEqual([...reasons.keys()].sort());
        expect(set.reasons).toBe([...reasons.values()].reduce((sum, count) => sum + count, 0));
        const clone = set.clone();
        set.add('after' as Rdata);
        expect(clone.size).toBe(records.length);
        expect(clone.reasons).toBe(set.reasons - 1);
      }),
    );
  });
});

describe('NameTree', () => {
  const record = (owner: string) => ({
    owner: name(owner),
    type: recordType.A,
    rdata: '\x0a\0\0\x01' as Rdata,
    ttl: 5,
  });

  test('has every name above a name it has, and no other', () => {
    const tree = new NameTree(name('local'));
    expect(tree.add(record('a.b.c.local'))).toBe(true);
    for (const above of ['a.b.c.local', 'b.c.local', 'c.local', 'local']) expect(tree.find(name(above))).toBeDefined();
    expect(tree.size).toBe(4);
    expect(tree.add(record('b.c.local'))).toBe(true);
    expect(tree.delete(record('a.b.c.local'))).toBe(true);
    expect(tree.find(name('a.b.c.local'))).toBeUndefined();
    expect(tree.find(name('b.c.local'))?.set(recordType.A)?.size).toBe(1);
    expect(tree.delete(record('b.c.local'))).toBe(true);
    expect(tree.size).toBe(1);
  });

  test('keeps a held name until it is released', () => {
    const tree = new NameTree(name('local'));
    tree.hold(name('a.local'));
    tree.add(record('a.local'));
    tree.delete(record('a.local'));
    expect(tree.find(name('a.local'))?.sets).toEqual([]);
    tree.release(name('a.local'));
    expect(tree.find(name('a.local'))).toBeUndefined();
  });

  test('does not mind the deletion of what is not there', () => {
    const tree = new NameTree(name('local'));
    expect(tree.delete(record('a.local'))).toBe(false);
    tree.release(name('a.local'));
    expect(tree.size).toBe(1);
  });

  const anyChange = fc.record({
    adds: fc.boolean(),
    owner: fc.constantFrom('a', 'b', 'c.b', 'd.c.b', 'e', 'f.e').map((below) => name(`${below}.local`)),
    rdata: fc.constantFrom('1', '2', '3') as fc.Arbitrary<Rdata>,
    type: fc.constantFrom(recordType.A, recordType.SRV),
  });

  test('gives a snapshot of how it was, whatever changes between its steps', () => {
    const content = (entries: Iterable<readonly [string, readonly RecordSet[]]>) =>
      [...entries]
        .flatMap(([owner, sets]) =>
          sets.flatMap((set) => Array.from({ length: set.size }, (_, i) => `${owner} ${set.type} ${set.at(i)}`)),
        )
        .sort();
    const change = (tree: NameTree, { adds, ...rest }: typeof anyChange extends fc.Arbitrary<infer T> ? T : never) =>
      adds ? tree.add({ ...rest, ttl: 5 }) : tree.delete({ ...rest, ttl: 5 });
    fc.assert(
      fc.property(fc.array(anyChange), fc.array(fc.option(anyChange)), (before, during) => {
        const tree = new NameTree(name('local'));
        for (const one of before) change(tree, one);
        const expected = content([...tree.entries()].map(([owner, { sets }]) => [owner, sets]));
        const snapshot = tree.snapshot();
        const read: string[] = [];
        const step = () => {
          const { value } = snapshot.next();
          if (value !== undefined) read.push(...content([value]));
        };
        step();
        for (const one of during) {
          if (one === null) step();
          else change(tree, one);
        }
        for (const entry of snapshot) read.push(...content([entry]));
        expect(read.sort()).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test('refuses names outside', () => {
    expect(() => new NameTree(name('local')).add(record('a.example'))).toThrow(RangeError);
  });
});
