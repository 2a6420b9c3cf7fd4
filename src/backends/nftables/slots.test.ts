import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Ip, parseIp } from '../../net/ip.ts';
import { assignSlots } from './slots.ts';

const endpoint = (number: number): { ip: Ip; port: number; local: boolean } => ({
  ip: parseIp(`10.0.0.${number}`),
  port: 8080,
  local: false,
});
const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 12 });

describe('assignSlots', () => {
  test('keeps the order that is given where nothing was before', () => {
    expect(assignSlots([], [3, 1, 2].map(endpoint))).toEqual([3, 1, 2].map(endpoint));
  });

  test('has every endpoint once, whatever was there', () => {
    const before = fc.array(fc.option(fc.integer({ min: 1, max: 20 }).map(endpoint), { nil: undefined }), {
      maxLength: 15,
    });
    fc.assert(
      fc.property(before, numbers, (known, wanted) => {
        const slots = assignSlots(known, wanted.map(endpoint));
        expect(slots.map(({ ip }) => ip).sort()).toEqual(wanted.map((number) => endpoint(number).ip).sort());
      }),
    );
  });

  test('tells two ports of one address apart', () => {
    const [one, other] = [endpoint(1), { ...endpoint(1), port: 8081 }];
    expect(assignSlots([one, other], [other])).toEqual([other]);
    expect(assignSlots([one], [other, one])).toEqual([one, other]);
  });

  test('moves as few as come and go', () => {
    fc.assert(
      fc.property(numbers, numbers, (before, after) => {
        const slots = assignSlots(before.map(endpoint), after.map(endpoint));
        const different = slots.filter((slot, index) => slot.ip !== before.map(endpoint)[index]?.ip);
        const gone = before.filter((number) => !after.includes(number));
        const come = after.filter((number) => !before.includes(number));
        expect(different.length).toBeLessThanOrEqual(Math.max(gone.length, come.length));
      }),
    );
  });
});
