import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalTime } from './time-text.ts';

describe('canonicalTime', () => {
  test.each([
    ['2026-11-23T17:00:00Z', '2026-11-23T17:00:00Z', '2026-11-23T17:00:00.000000Z'],
    ['2026-11-23T17:00:00.1234567Z', '2026-11-23T17:00:00Z', '2026-11-23T17:00:00.123456Z'],
    ['2026-12-31T23:30:00.5-01:00', '2027-01-01T00:30:00Z', '2027-01-01T00:30:00.500000Z'],
    ['2024-02-29T00:00:00+05:30', '2024-02-28T18:30:00Z', '2024-02-28T18:30:00.000000Z'],
  ])('%s is %s', (text, seconds, microseconds) => {
    expect([canonicalTime(text, 'seconds'), canonicalTime(text, 'microseconds')]).toEqual([seconds, microseconds]);
  });

  test.each([
    '',
    'now',
    '2026-11-23',
    '2026-11-23 17:00:00Z',
    '2026-11-23T17:00:00',
    '2026-02-30T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-23T24:00:00Z',
    '2026-11-23T17:00:00+24:00',
    '0000-01-01T00:00:00+01:00',
  ])('%j is no time', (text) => {
    expect(canonicalTime(text, 'seconds')).toBeUndefined();
  });

  test('keeps what it made', () => {
    const years = { min: new Date('0001-01-01'), max: new Date('9999-01-01'), noInvalidDate: true };
    fc.assert(
      fc.property(fc.date(years), fc.constantFrom('seconds' as const, 'microseconds' as const), (date, precision) => {
        const text = canonicalTime(date.toISOString(), precision) ?? '';
        expect(canonicalTime(text, precision)).toBe(text);
        expect(Math.abs(Date.parse(text) - date.getTime())).toBeLessThan(1_000);
      }),
    );
  });
});
