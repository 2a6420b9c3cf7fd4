import { SignalboxError } from '../errors/error.ts';
import { familyOf, type Ip, type IpFamily, ipFromBigInt, ipToBigInt, tryParseIp } from './ip.ts';

/** A block of addresses; `base` has all host bits zero. */
export interface Cidr {
  readonly family: IpFamily;
  readonly base: Ip;
  /** Prefix length: 0–32 or 0–128. */
  readonly prefix: number;
}

/**
 * Reads `address/prefix`. Host bits are allowed and dropped.
 * @throws SignalboxError `INVALID_CIDR`
 */
export function parseCidr(text: string): Cidr {
  const cidr = tryParseCidr(text);
  if (cidr === undefined) {
    throw new SignalboxError('INVALID_CIDR', {
      object: text,
      problem: 'is not a block of addresses',
      remedy: 'write it as 10.244.0.0/16 or fd00::/64',
    });
  }
  return cidr;
}

/** As `parseCidr`, `undefined` instead of an error. */
export function tryParseCidr(text: string): Cidr | undefined {
  const [, address, length] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const ip = tryParseIp(address ?? '');
  const prefix = Number(length);
  if (ip === undefined || prefix > bits(familyOf(ip))) return undefined;
  const family = familyOf(ip);
  const hostBits = BigInt(bits(family) - prefix);
  return { family, base: ipFromBigInt((ipToBigInt(ip) >> hostBits) << hostBits, family), prefix };
}

/** The inverse of `parseCidr`. */
export function formatCidr(cidr: Cidr): `${string}/${number}` {
  return `${cidr.base}/${cidr.prefix}`;
}

/** Address bits of a family: 32 or 128. */
export function bits(family: IpFamily): number {
  return family === 'IPv4' ? 32 : 128;
}

/** How many addresses the block has. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(bits(cidr.family) - cidr.prefix);
}

/** Whether the address lies in the block. False across families. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (familyOf(ip) !== cidr.family) return false;
  const hostBits = BigInt(bits(cidr.family) - cidr.prefix);
  return ipToBigInt(ip) >> hostBits === ipToBigInt(cidr.base) >> hostBits;
}

/** The blocks without those that lie in another. */
export function widest(blocks: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = [];
  for (const block of [...blocks].sort((a, b) => a.prefix - b.prefix)) {
    if (!kept.some((wider) => cidrContains(wider, block.base))) kept.push(block);
  }
  return kept;
}

/**
 * The address `offset` steps after the base.
 * @throws SignalboxError `ADDRESS_OUT_OF_RANGE` when the block ends before
 */
export function cidrAddress(cidr: Cidr, offset: bigint | number): Ip {
  const step = BigInt(offset);
  if (step < 0n || step >= cidrSize(cidr)) {
    throw new SignalboxError('ADDRESS_OUT_OF_RANGE', {
      object: formatCidr(cidr),
      problem: `has no address number ${step}`,
      remedy: 'use a larger block',
    });
  }
  return ipFromBigInt(ipToBigInt(cidr.base) + step, cidr.family);
}
