import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatMac, parseMac } from './mac.ts';

describe('parseMac', () => {
  test('reads what formatMac writes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
        expect([...parseMac(formatMac(mac))]).toEqual([...mac]);
      }),
    );
  });

  test.each(['', '02:42', '02:42:ac:11:00:0g', '02:42:ac:11:00:02:03', '0242ac110002'])('refuses %j', (text) => {
    expect(() => parseMac(text)).toThrow(RangeError);
  });
});
