import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scanJson } from './json-scan.ts';

test('scanJson names fields that stand twice', () => {
  const text = '{"a":1,"spec":{"x":[{"p":1},{"p":1,"q":{"r":1,"r":2},"p":2}]},"a":"a\\"b{"}';
  expect(scanJson(text).duplicates).toEqual(['spec.x[1].q.r', 'spec.x[1].p', 'a']);
});

test('scanJson finds nothing in what JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(scanJson(JSON.stringify(value)).duplicates).toEqual([]);
    }),
  );
});

test('scanJson refuses to go deeper than 1,000 levels, and nothing else', () => {
  expect(() => scanJson('['.repeat(1_001))).toThrow('exceeded max depth');
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:\\a1') }), (text) => {
      scanJson(text);
    }),
  );
});
