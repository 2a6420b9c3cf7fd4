import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { type Resource, ResourceStore } from './resources.ts';

const address = (n: number): Resource => ({ kind: 'address', ip: parseIp(`10.96.0.${n}`) });

describe('ResourceStore', () => {
  test('what two owners want is there until the second lets go', () => {
    const store = new ResourceStore();
    expect(store.replace('a', [address(1)])).toEqual(new Set(['10.96.0.1']));
    store.replace('b', [address(1)]);
    store.replace('a', []);
    expect(store.get('10.96.0.1')).toEqual(address(1));
    expect(store.ownersOf('10.96.0.1')).toEqual(['b']);
    store.replace('b', []);
    expect(store.get('10.96.0.1')).toBeUndefined();
    expect([...store.keys()]).toEqual([]);
  });

  test('names what changed, and only that', () => {
    const store = new ResourceStore();
    store.replace('a', [address(1), address(2)]);
    expect(store.replace('a', [address(1), address(2)])).toEqual(new Set());
    expect(store.replace('a', [address(2), address(3)])).toEqual(new Set(['10.96.0.1', '10.96.0.3']));
  });

  test('has at any time what the owners want, whatever came before', () => {
    const step = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.uniqueArray(fc.integer({ min: 1, max: 5 })));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const store = new ResourceStore();
        const wanted = new Map<string, readonly number[]>();
        for (const [owner, numbers] of steps) {
          store.replace(owner, numbers.map(address));
          wanted.set(owner, numbers);
        }
        const all = new Set([...wanted.values()].flat().map((n) => `10.96.0.${n}`));
        expect(new Set(store.keys())).toEqual(all);
        for (const key of all) expect(store.get(key)).toBeDefined();
      }),
    );
  });
});
