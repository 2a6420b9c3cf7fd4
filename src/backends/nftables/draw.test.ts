import { describe, expect, test } from 'vitest';
import { drawModuli, drawSize, drawSizes, maxEndpoints } from './draw.ts';

/** The chance of each of n endpoints in a chain that draws below these numbers, one after another, until one is below n. */
function chances(n: number, moduli: readonly number[]): number[] {
  const result = new Array<number>(n).fill(0);
  let reached = 1;
  for (const modulus of moduli) {
    for (let i = 0; i < Math.min(n, modulus); i++) result[i] = (result[i] ?? 0) + reached / modulus;
    reached *= Math.max(0, modulus - n) / modulus;
  }
  return result;
}

describe('drawSizes', () => {
  test('are exact up to 8 and end at the most endpoints there can be', () => {
    expect(drawSizes.slice(0, 12)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32]);
    expect(drawSizes.at(-1)).toBe(maxEndpoints);
    expect(drawSizes).toHaveLength(30);
  });
});

describe('drawSize', () => {
  test.each([
    [1, 1],
    [8, 8],
    [9, 12],
    [12, 12],
    [13, 16],
    [16, 16],
    [17, 24],
    [16_384, 16_384],
  ])('%i endpoints are drawn by chain %i', (endpoints, size) => {
    expect(drawSize(endpoints, 'default/web')).toBe(size);
  });

  test('names the Service that has too many', () => {
    expect(() => drawSize(16_385, 'default/web')).toThrow(
      expect.objectContaining({ code: 'TOO_MANY_ENDPOINTS', object: 'default/web' }),
    );
  });
});

describe('drawModuli', () => {
  test.each([1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 16, 17, 33, 100, 257, 1000, 1025])(
    'gives each of %i endpoints the same chance, within 1 in 6561',
    (n) => {
      const all = chances(n, drawModuli(drawSize(n, 'x')));
      expect(all.reduce((sum, chance) => sum + chance, 0)).toBeCloseTo(1, 10);
      for (const chance of all) expect(Math.abs(chance * n - 1)).toBeLessThan(1 / 6561);
    },
  );

  test('always ends with an endpoint', () => {
    for (let n = 1; n <= 3000; n++) {
      const last = drawModuli(drawSize(n, 'x')).at(-1) ?? Number.POSITIVE_INFINITY;
      expect(last).toBeLessThanOrEqual(n);
    }
  });
});
