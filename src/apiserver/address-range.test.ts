import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { ipToBigInt, parseIp } from '../net/ip.ts';
import { AddressRange } from './address-range.ts';
import { PortRange } from './port-range.ts';

describe('AddressRange', () => {
  // KEP 3070's examples.
  test.each([
    ['192.168.1.0/28', 0, 14],
    ['10.0.0.0/24', 16, 254],
    ['10.0.0.0/22', 64, 1022],
    ['10.96.0.0/12', 256, 2 ** 20 - 2],
    ['fd00::/112', 256, 65535],
  ])('%s leaves %i of %i addresses to those who ask', (cidr, band, size) => {
    const range = new AddressRange(parseCidr(cidr));
    expect([range.staticBand, range.size]).toEqual([band, size]);
  });

  test('gives every address out once, the static band last', () => {
    const range = new AddressRange(parseCidr('10.0.0.0/24'));
    const taken = new Set<string>();
    const order: number[] = [];
    for (;;) {
      const ip = range.pick((one) => !taken.has(one));
      if (ip === undefined) break;
      expect(range.contains(ip)).toBe(true);
      taken.add(ip);
      order.push(Number(ipToBigInt(ip) & 0xffn));
    }
    expect(taken.size).toBe(254);
    expect(Math.min(...order.slice(0, 238))).toBe(17);
    expect(Math.max(...order.slice(238))).toBe(16);
    expect([range.contains(parseIp('10.0.0.0')), range.contains(parseIp('10.0.0.255'))]).toEqual([false, false]);
  });
});

describe('PortRange', () => {
  test('keeps 86 of the usual range for those who ask', () => {
    const range = new PortRange({ from: 30_000, to: 32_767 });
    expect(range.staticBand).toBe(86);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999_999, noNaN: true }), (chance) => {
        const port =
          range.pick(
            () => true,
            () => chance,
          ) ?? 0;
        expect(port).toBeGreaterThanOrEqual(30_086);
        expect(range.contains(port)).toBe(true);
      }),
    );
  });

  test('gives out all, and then none', () => {
    const range = new PortRange({ from: 30_000, to: 30_099 });
    const taken = new Set<number>();
    for (
      let port = range.pick((one) => !taken.has(one));
      port !== undefined;
      port = range.pick((one) => !taken.has(one))
    )
      taken.add(port);
    expect(taken.size).toBe(100);
  });
});
