import { expect, test } from 'vitest';
import { parseQuantity } from './quantity.ts';

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
