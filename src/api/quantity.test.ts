import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalQuantity, parseQuantity } from './quantity.ts';

test.each([
  ['1', 1],
  ['100m', 0.1],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['-2k', -2000],
  ['2e3', 2000],
  ['1E', 1e18],
  ['1E2', 100],
  ['.5', 0.5],
  ['5.', 5],
])('parseQuantity: %s', (text, value) => {
  expect(parseQuantity(text)).toBeCloseTo(value, 6);
});

test.each(['', 'x', '1.2.3', '1 Gi', '1gi', '0x10', '1e', '--1'])('parseQuantity refuses %s', (text) => {
  expect(parseQuantity(text)).toBeUndefined();
});

describe('canonicalQuantity', () => {
  test.each([
    ['0.1', '100m'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['1000', '1k'],
    ['1024', '1024'],
    ['1.5Gi', '1536Mi'],
    ['1024Mi', '1Gi'],
    ['0.5Ki', '512'],
    ['1.1Ki', '1127'],
    ['2e3', '2e3'],
    ['12e4', '120e3'],
    ['-0.1', '-100m'],
    ['+5', '5'],
    ['0Mi', '0'],
    ['.0000000001', '1n'],
    ['1Ei', '1Ei'],
    ['1e999999999', '1e999999999'],
    ['five', 'five'],
  ])('%s is printed %s', (text, canonical) => {
    expect(canonicalQuantity(text)).toBe(canonical);
  });

  test('is its own canonical form, and worth the same', () => {
    const suffix = fc.constantFrom('', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e3', 'E-2');
    fc.assert(
      fc.property(fc.nat(99_999), fc.nat(999), suffix, (whole, fraction, unit) => {
        const text = `${whole}.${fraction}${unit}`;
        const canonical = canonicalQuantity(text);
        expect(canonicalQuantity(canonical)).toBe(canonical);
        const value = parseQuantity(text) ?? Number.NaN;
        // Bytes in units of 1,024 are whole.
        expect(Math.abs((parseQuantity(canonical) ?? Number.NaN) - value)).toBeLessThan(
          unit.endsWith('i') ? 1 : 1e-6 * (1 + value),
        );
      }),
    );
  });
});
