import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cidr, cidrContains, formatCidr, parseCidr } from '../../net/cidr.ts';
import { ipFromBigInt, parseIp } from '../../net/ip.ts';
import { prefixMask, sourceBlocks, sourcePrefixes } from './source-ranges.ts';

const address = fc.integer({ min: 0, max: 0xffff }).map((value) => ipFromBigInt(BigInt(value << 14), 'IPv4'));
const range = fc
  .record({ ip: address, prefix: fc.integer({ min: 0, max: 32 }) })
  .map(({ ip, prefix }) => parseCidr(`${ip}/${prefix}`));

describe('sourceBlocks', () => {
  test('has the same addresses as the ranges, in blocks of the lengths there are, each once', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 4 }), address, (ranges, ip) => {
        const blocks = sourceBlocks(ranges);
        const has = (list: readonly Cidr[]) => list.some((block) => cidrContains(block, ip));
        expect(has(blocks)).toBe(has(ranges));
        for (const { prefix } of blocks) expect(sourcePrefixes.IPv4).toContain(prefix);
        expect(new Set(blocks.map(formatCidr)).size).toBe(blocks.length);
      }),
    );
  });

  test('divides what has no length there is', () => {
    expect(sourceBlocks([parseCidr('10.1.0.0/22')]).map(formatCidr)).toEqual([
      '10.1.0.0/24',
      '10.1.1.0/24',
      '10.1.2.0/24',
      '10.1.3.0/24',
    ]);
    expect(sourceBlocks([parseCidr('fd00:1::/31')])).toHaveLength(2);
  });
});

describe('prefixMask', () => {
  test.each([
    [0, 'IPv4', '0.0.0.0'],
    [20, 'IPv4', '255.255.240.0'],
    [32, 'IPv4', '255.255.255.255'],
    [0, 'IPv6', '::'],
    [40, 'IPv6', 'ffff:ffff:ff00::'],
  ] as const)('of %i bits, %s, is %s', (prefix, family, mask) => {
    expect(prefixMask(prefix, family)).toBe(parseIp(mask));
  });
});
