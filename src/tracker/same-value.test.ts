import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sameValue } from './same-value.ts';

const plain = fc.jsonValue({ maxDepth: 3 });

describe('sameValue', () => {
  it('agrees with JSON text where keys have one order', () => {
    const text = (value: unknown): string =>
      JSON.stringify(value, (_, v) =>
        typeof v === 'object' && v !== null && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v,
      );
    // -0 and 0 are one text and one value.
    fc.assert(fc.property(plain, plain, (a, b) => sameValue(a, b) === (text(a) === text(b))));
  });

  it('finds every copy the same', () => {
    fc.assert(fc.property(plain, (value) => sameValue(value, structuredClone(value))));
  });

  it('tells an absent key from another one, and an array from an object', () => {
    expect(sameValue({ a: undefined }, { b: undefined })).toBe(false);
    expect(sameValue([], {})).toBe(false);
    expect(sameValue({}, [])).toBe(false);
  });
});
