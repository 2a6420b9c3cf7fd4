import type { LabelMatcher, Labels } from '../../api/label-selector.ts';
import { bits, cidrSize, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, ipFromBigInt, ipToBigInt, parseIp } from '../../net/ip.ts';

/** Addresses that balancers may have, the ends included. */
export interface AddressRange {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly last: bigint;
}

/** Where addresses of balancers come from. */
export interface AddressPool {
  readonly name: string;
  readonly ranges: readonly AddressRange[];
  /** Whose Services may have them: those of these namespaces, and of those with such labels; everybody's without both. */
  readonly namespaces?: readonly string[];
  readonly namespaceSelector?: LabelMatcher;
  /** Whether a Service gets one of them without asking for this pool, or for one of its addresses. */
  readonly autoAssign: boolean;
}

/**
 * Reads an address, two with a dash between them, or a block, `192.168.102.0/24`. Of a block of IPv4 the first and the last
 * address are left out: hosts on the link have other uses for them.
 * @throws SignalboxError `INVALID_CIDR`, `INVALID_ADDRESS`
 */
export function parseRange(text: string): AddressRange | undefined {
  const [from = '', to = from, ...more] = text.split('-').map((part) => part.trim());
  if (more.length > 0) return undefined;
  if (to !== from || !from.includes('/')) {
    const [first, last] = [parseIp(from), parseIp(to)];
    const range = { family: familyOf(first), first: ipToBigInt(first), last: ipToBigInt(last) };
    return familyOf(last) === range.family && range.first <= range.last ? range : undefined;
  }
  const block = parseCidr(from);
  const first = ipToBigInt(block.base);
  const last = first + cidrSize(block) - 1n;
  const hasEnds = block.family === 'IPv4' && block.prefix < bits(block.family) - 1;
  return { family: block.family, first: hasEnds ? first + 1n : first, last: hasEnds ? last - 1n : last };
}

/** Blocks whose addresses no host is reached at from elsewhere. */
const unreachable = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'],
  ...['::/127', 'fe80::/10', 'ff00::/8'],
].map((text) => {
  const block = parseCidr(text);
  const first = ipToBigInt(block.base);
  return { text, family: block.family, first, last: first + cidrSize(block) - 1n };
});

/** The first of the blocks that the range touches whose addresses no host is reached at from elsewhere. */
export function unreachableIn(range: AddressRange): string | undefined {
  return unreachable.find((block) => meet(block, range))?.text;
}

function meet(one: AddressRange, other: AddressRange): boolean {
  return one.family === other.family && other.first <= one.last && one.first <= other.last;
}

/** Two pools that have an address in common, by their names. */
export function overlapping(pools: readonly AddressPool[]): readonly [string, string] | undefined {
  const all = pools.flatMap(({ name, ranges }) => ranges.map((range) => ({ name, ...range })));
  for (const [i, one] of all.entries()) {
    const other = all.slice(i + 1).find((each) => meet(one, each));
    if (other !== undefined) return [one.name, other.name];
  }
  return undefined;
}

/** Whether only Services of some namespaces may have the pool's addresses. */
export function isReserved({ namespaces, namespaceSelector }: AddressPool): boolean {
  return namespaces !== undefined || namespaceSelector !== undefined;
}

/** Whether Services of a namespace with these labels may have the pool's addresses. */
export function isOpenTo(pool: AddressPool, namespace: string, labels: Labels | undefined): boolean {
  if (!isReserved(pool)) return true;
  return pool.namespaces?.includes(namespace) === true || pool.namespaceSelector?.(labels) === true;
}

/** Whether the pool has the address. */
export function hasAddress({ ranges }: AddressPool, ip: Ip): boolean {
  const value = ipToBigInt(ip);
  return ranges.some(({ family, first, last }) => family === familyOf(ip) && first <= value && value <= last);
}

/** The pool's addresses of a family, in their order. */
export function* addressesOf({ ranges }: AddressPool, family: IpFamily): Generator<Ip, undefined, undefined> {
  for (const range of ranges) {
    if (range.family !== family) continue;
    for (let value = range.first; value <= range.last; value++) yield ipFromBigInt(value, family);
  }
}
