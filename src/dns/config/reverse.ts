import { bits, type Cidr, cidrAddress, parseCidr } from '../../net/cidr.ts';
import { ipToBytes } from '../../net/ip.ts';
import { joinName, type Name } from '../wire/name.ts';
import { reverseZones } from './defaults.ts';

/**
 * The zones that hold the names of a block's addresses: `0.0.10.in-addr.arpa` for `10.0.0.0/24`. A block that ends
 * between two labels (each 8 bits of IPv4, 4 of IPv6) needs several. `undefined` when the text is no block.
 */
export function tryReverseZones(text: string): Name[] | undefined {
  if (!/^[\d.a-fA-F:]+\/\d{1,3}$/.test(text)) return undefined;
  const cidr = parseCidr(text);
  const labelBits = cidr.family === 'IPv4' ? 8 : 4;
  const labels = Math.ceil(cidr.prefix / labelBits);
  const count = 2 ** (labels * labelBits - cidr.prefix);
  const step = 1n << BigInt(bits(cidr.family) - labels * labelBits);
  return Array.from({ length: count }, (_, i) => reverseZone(cidr, cidrAddressAt(cidr, BigInt(i) * step), labels));
}

function cidrAddressAt(cidr: Cidr, offset: bigint): Uint8Array {
  return ipToBytes(cidrAddress(cidr, offset));
}

function reverseZone({ family }: Cidr, bytes: Uint8Array, labels: number): Name {
  const [ipv4, ipv6] = reverseZones as readonly [Name, Name];
  const digits = family === 'IPv4' ? [...bytes].map(String) : [...bytes].flatMap((b) => [b >> 4, b & 15].map(hex));
  return joinName(digits.slice(0, labels).reverse(), family === 'IPv4' ? ipv4 : ipv6) as Name;
}

function hex(nibble: number): string {
  return nibble.toString(16);
}
