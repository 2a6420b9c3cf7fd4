import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../api/canonical-json.ts';
import { sameValue } from './same-value.ts';

const plain = fc.jsonValue({ maxDepth: 3 });

describe('sameValue', () => {
  it('agrees with JSON text where keys have one order', () => {
    // -0 and 0 are one text and one value.
    fc.assert(fc.property(plain, plain, (a, b) => sameValue(a, b) === (canonicalJson(a) === canonicalJson(b))));
  });

  it('takes nothing that every object has for a key', () => {
    expect(sameValue(JSON.parse('{"__proto__":{}}'), { other: 1 })).toBe(false);
    expect(sameValue(JSON.parse('{"__proto__":{}}'), JSON.parse('{"__proto__":{}}'))).toBe(true);
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
