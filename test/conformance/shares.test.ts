import { expect, test } from 'vitest';
import { isPlausible } from './shares.ts';

test('isPlausible agrees with tables of the binomial distribution', () => {
  // Of 20 fair draws, 4 hits or fewer come with a probability of 0.0059, and so do 16 or more.
  const draws = { draws: 20, probability: 0.5 };
  for (const count of [4, 16]) {
    expect(isPlausible(count, { ...draws, risk: 0.0058 })).toBe(true);
    expect(isPlausible(count, { ...draws, risk: 0.006 })).toBe(false);
  }
});

test('isPlausible tells a third from a half and a quarter in 1500 draws', () => {
  const draws = { draws: 1500, probability: 1 / 3, risk: 1e-9 };
  expect([500, 450, 560].map((count) => isPlausible(count, draws))).toEqual([true, true, true]);
  expect([375, 750].map((count) => isPlausible(count, draws))).toEqual([false, false]);
});

test('isPlausible is strict about what is certain', () => {
  expect(isPlausible(3, { draws: 3, probability: 1, risk: 1e-9 })).toBe(true);
  expect(isPlausible(2, { draws: 3, probability: 1, risk: 1e-9 })).toBe(false);
});
