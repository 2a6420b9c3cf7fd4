import { bits, type Cidr, cidrSize, widest } from '../../net/cidr.ts';
import { type Ip, type IpFamily, ipFromBigInt, ipToBigInt } from '../../net/ip.ts';

/**
 * Prefix lengths that a client's block is looked up with: one look-up each, for restricted frontends only. A block of
 * another length is divided into blocks of the next one, so that all lengths there are can be there from the start.
 */
export const sourcePrefixes: { readonly [F in IpFamily]: readonly number[] } = {
  IPv4: [0, 4, 8, 12, 16, 20, 24, 28, 32],
  IPv6: [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128],
};

/** The address whose first bits are set: `255.255.0.0`. */
export function prefixMask(prefix: number, family: IpFamily): Ip {
  const width = BigInt(bits(family));
  const ones = (1n << width) - 1n;
  return ipFromBigInt(ones ^ (ones >> BigInt(prefix)), family);
}

/** The same addresses as blocks of the lengths there are, none of which lies in another. */
export function sourceBlocks(ranges: readonly Cidr[]): Cidr[] {
  return widest(ranges).flatMap(divide);
}

function divide(range: Cidr): Cidr[] {
  const prefix = sourcePrefixes[range.family].find((length) => length >= range.prefix) ?? range.prefix;
  const size = cidrSize({ ...range, prefix });
  const first = ipToBigInt(range.base);
  return Array.from({ length: 2 ** (prefix - range.prefix) }, (_, i) => {
    const base = ipFromBigInt(first + BigInt(i) * size, range.family);
    return { base, prefix, family: range.family };
  });
}
