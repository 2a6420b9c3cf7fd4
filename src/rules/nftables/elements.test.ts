import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ElementStore, type Elements, elementTransaction } from './elements.ts';
import { printElement, printTransaction } from './print.ts';
import type { Element } from './syntax.ts';

const table = { family: 'ip', table: 'example' } as const;

/** A group whose elements tell who made it. */
function group(claim: number, flavour: number): Elements[number] {
  const element = (index: number): Element => ({ set: 's', key: [claim, index], data: [flavour] });
  return { claim: `claim ${claim}`, elements: Array.from({ length: (flavour % 3) + 1 }, (_, i) => element(i)) };
}

/** What one owner may want: some claims, each in a flavour. */
const wishes = fc
  .uniqueArray(fc.record({ claim: fc.nat(4), flavour: fc.nat(5) }), { maxLength: 4, selector: ({ claim }) => claim })
  .map((list) => list.map(({ claim, flavour }) => group(claim, flavour)));
const replacements = fc.record({
  owner: fc.constantFrom('a', 'b', 'c'),
  elements: fc.option(wishes, { nil: undefined }),
});

/** A kernel of one map that refuses what a kernel refuses. */
class StrictMap {
  readonly elements = new Map<string, string>();

  apply({ units }: ReturnType<typeof elementTransaction>): void {
    for (const element of units.flatMap((unit) => unit.delete)) {
      expect(this.elements.delete(element.key.join())).toBe(true);
    }
    for (const element of units.flatMap((unit) => unit.add)) {
      expect(this.elements.has(element.key.join())).toBe(false);
      this.elements.set(element.key.join(), printElement(element));
    }
  }
}

describe('ElementStore', () => {
  test('its changes, however they are joined, keep a kernel equal to its groups', () => {
    fc.assert(
      fc.property(fc.array(fc.array(replacements, { maxLength: 5 }), { maxLength: 8 }), (batches) => {
        const store = new ElementStore();
        const kernel = new StrictMap();
        for (const batch of batches) {
          kernel.apply(
            elementTransaction(
              table,
              batch.map(({ owner, elements }) => store.replace(owner, elements)),
            ),
          );
          const wanted = [...store.groups()].flat().map(printElement);
          expect([...kernel.elements.values()].sort()).toEqual(wanted.sort());
        }
      }),
    );
  });

  test('has each claim of every owner exactly once, by one of those who want it', () => {
    fc.assert(
      fc.property(fc.array(replacements, { maxLength: 12 }), (sequence) => {
        const store = new ElementStore();
        const wanted = new Map<string, Elements>();
        for (const { owner, elements } of sequence) {
          store.replace(owner, elements);
          wanted.set(owner, elements ?? []);
        }
        const present = [...store.groups()].flat();
        const text = (elements: readonly Element[]) => elements.map(printElement).join();
        const offers = [...wanted.values()].flat();
        expect(new Set(present.map(({ key }) => `claim ${key[0]}`))).toEqual(new Set(offers.map(({ claim }) => claim)));
        for (const { claim } of offers) {
          const held = text(present.filter(({ key }) => `claim ${key[0]}` === claim));
          expect(offers.filter((offer) => offer.claim === claim).map(({ elements }) => text(elements))).toContain(held);
        }
      }),
    );
  });

  test('lets the first owner have what two want, and the second once the first has gone', () => {
    const store = new ElementStore();
    store.replace('first', [group(1, 0)]);
    expect(store.replace('second', [group(1, 1)])).toEqual([]);
    const changes = store.replace('first', undefined);
    expect(printTransaction(elementTransaction(table, [changes]))).toBe(
      [
        'delete element ip example s { 1 . 0 : 0 }',
        'add element ip example s {\n\t1 . 0 : 1,\n\t1 . 1 : 1\n}',
        '',
      ].join('\n'),
    );
    expect([...store.owners.keys()]).toEqual(['second']);
  });

  test('says nothing of a shared element while anybody wants it', () => {
    const store = new ElementStore();
    store.replace('first', [group(1, 0)]);
    store.replace('second', [group(1, 0)]);
    expect(store.replace('first', undefined)).toEqual([]);
    expect(elementTransaction(table, [store.replace('second', undefined)]).units).toEqual([
      { delete: group(1, 0).elements, add: [] },
    ]);
  });
});

describe('elementTransaction', () => {
  test('leaves out what came and went again', () => {
    const store = new ElementStore();
    const changes = [store.replace('a', [group(1, 0)]), store.replace('a', undefined)];
    expect(elementTransaction(table, changes).units).toEqual([]);
  });

  test('keeps each change in one unit', () => {
    const store = new ElementStore();
    const changes = [store.replace('a', [group(1, 0), group(2, 0)]), store.replace('b', [group(3, 0)])];
    expect(elementTransaction(table, changes).units.map((unit) => unit.add.length)).toEqual([2, 1]);
  });
});
