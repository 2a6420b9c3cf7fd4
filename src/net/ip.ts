import ipaddr from 'ipaddr.js';
import { SignalboxError } from '../errors/error.ts';

/** IPv4 (`32` bits) or IPv6 (`128` bits), as Kubernetes spells them in `ipFamilies`. */
export type IpFamily = 'IPv4' | 'IPv6';

declare const ipBrand: unique symbol;
/** An IP address in canonical text: dotted quad, or RFC 5952 for IPv6. Equal addresses are equal strings. */
export type Ip = string & { readonly [ipBrand]: true };

/**
 * Reads an address strictly: four decimal octets without leading zeros, or an IPv6 text form without zone.
 * @throws SignalboxError `INVALID_ADDRESS`
 */
export function parseIp(text: string): Ip {
  const ip = tryParseIp(text);
  if (ip === undefined) {
    throw new SignalboxError('INVALID_ADDRESS', {
      object: text,
      problem: 'is not an IP address',
      remedy: 'write it as 10.0.0.1 or fd00::1, without leading zeros, zone or prefix length',
    });
  }
  return ip;
}

/** As `parseIp`, `undefined` instead of an error. */
export function tryParseIp(text: string): Ip | undefined {
  if (isDottedQuad(text)) return text as Ip;
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.IPv6.parse(text).toRFC5952String() as Ip;
}

// Past the library here and below: a full sync does this for every map element, a write of a Service several times.
function isDottedQuad(text: string): boolean {
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      if (octet < 0 || ++dots > 3) return false;
      octet = -1;
    } else {
      const digit = c - 48;
      // A digit after a lone zero would be one after a leading zero.
      if (digit < 0 || digit > 9 || octet === 0) return false;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return false;
    }
  }
  return dots === 3 && octet >= 0;
}

/** The family of a parsed address. */
export function familyOf(ip: Ip): IpFamily {
  return ip.includes(':') ? 'IPv6' : 'IPv4';
}

/** Network byte order: 4 or 16 bytes. */
export function ipToBytes(ip: Ip): Uint8Array {
  if (familyOf(ip) === 'IPv4') return ipv4ToBytes(ip);
  return Uint8Array.from(ipaddr.IPv6.parse(ip).toByteArray());
}

function ipv4ToBytes(ip: Ip): Uint8Array {
  const n = ipv4ToNumber(ip);
  return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
}

function ipv4ToNumber(ip: Ip): number {
  let n = 0;
  let octet = 0;
  for (let i = 0; i < ip.length; i++) {
    const c = ip.charCodeAt(i);
    if (c === 46) {
      n = n * 256 + octet;
      octet = 0;
    } else octet = octet * 10 + c - 48;
  }
  return n * 256 + octet;
}

/**
 * The inverse of `ipToBytes`.
 * @throws SignalboxError `INVALID_ADDRESS` unless there are 4 or 16 bytes
 */
export function ipFromBytes(bytes: Uint8Array): Ip {
  // By hand, as tables of the kernel have hundreds of thousands.
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip;
  if (bytes.length === 16) return new ipaddr.IPv6([...bytes]).toRFC5952String() as Ip;
  throw new SignalboxError('INVALID_ADDRESS', {
    object: `${bytes.length} bytes`,
    problem: 'are no IP address',
    remedy: 'pass 4 or 16 bytes',
  });
}

/** The address as an integer: below 2^32 or 2^128. */
export function ipToBigInt(ip: Ip): bigint {
  if (familyOf(ip) === 'IPv4') return BigInt(ipv4ToNumber(ip));
  return ipToBytes(ip).reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);
}

/** The inverse of `ipToBigInt`. */
export function ipFromBigInt(value: bigint, family: IpFamily): Ip {
  if (family === 'IPv4') {
    const n = Number(value & 0xffff_ffffn);
    return `${n >>> 24}.${(n >>> 16) & 255}.${(n >>> 8) & 255}.${n & 255}` as Ip;
  }
  const bytes = new Uint8Array(16);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return ipFromBytes(bytes);
}

/** Whether the address is loopback (127.0.0.0/8, ::1). */
export function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/** Whether the address is the one that means all of a machine's (0.0.0.0, ::). */
export function isUnspecified(ip: Ip): boolean {
  return ip === '0.0.0.0' || ip === '::';
}

/** A host as it stands before a port, in a URL or alone: IPv6 addresses in brackets (RFC 3986). */
export function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
