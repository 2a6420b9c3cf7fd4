import { tryParseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, ipToBigInt, tryParseIp } from '../../net/ip.ts';
import type { TextCheck } from '../names.ts';

const invalidIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
const invalidCidr = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

/**
 * An address that everybody reads alike (KEP-4858, on by default since Kubernetes 1.36): some read `010.0.0.1` as octal,
 * and some take an IPv4-mapped address for one of IPv4.
 */
export const ipText: TextCheck = (text) => {
  const ip = tryParseIp(text);
  if (ip === undefined) return [isWithLeadingZeros(text) ? 'must not have leading 0s' : invalidIp];
  return isMapped(ip) ? ['must not be an IPv4-mapped IPv6 address'] : [];
};

/** A block of addresses that everybody reads alike: see `ipText`; and one that is not the address of a host. */
export const cidrText: TextCheck = (text) => {
  const [address = '', length = ''] = text.split('/');
  const block = tryParseCidr(text);
  if (block === undefined) {
    if (isWithLeadingZeros(address) && tryParseCidr(`0.0.0.0/${length}`)) return ['must not have leading 0s in IP'];
    return /^0\d/.test(length) && tryParseCidr(`${address}/${Number(length)}`)
      ? ['must not have leading 0s in prefix length']
      : [invalidCidr];
  }
  const ip = tryParseIp(address);
  if (ip !== undefined && isMapped(ip)) return ['must not have an IPv4-mapped IPv6 address'];
  return ip === block.base ? [] : ['must not have bits set beyond the prefix length'];
};

function isWithLeadingZeros(text: string): boolean {
  const octets = text.split('.');
  return octets.length === 4 && octets.every((octet) => /^0*\d{1,3}$/.test(octet) && Number(octet) <= 255);
}

// RFC 4291, section 2.5.5.2.
function isMapped(ip: Ip): boolean {
  return familyOf(ip) === 'IPv6' && ipToBigInt(ip) >> 32n === 0xffffn;
}
