import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareResourceVersions, versionNumbers } from './resource-version.ts';

test('compareResourceVersions orders as the numbers do, of any length', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 80n }), fc.bigInt({ min: 1n, max: 2n ** 80n }), (a, b) => {
      expect(Math.sign(compareResourceVersions(String(a), String(b)))).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
  expect(compareResourceVersions('', '1')).toBeLessThan(0);
});

test('versionNumbers leaves out what is no number, and what is not known yet', () => {
  const versions = [
    ['services', '41'],
    ['endpointslices', ''],
    ['pods', 'opaque'],
    ['nodes', '9007199254740993'],
  ] as const;
  expect([...versionNumbers(new Map(versions))]).toEqual([['services', 41]]);
});
