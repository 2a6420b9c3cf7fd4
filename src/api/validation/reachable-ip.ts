import { cidrContains, parseCidr } from '../../net/cidr.ts';
import { isLoopback, isUnspecified, tryParseIp } from '../../net/ip.ts';
import type { FieldErrors } from '../field-error.ts';
import { ipText } from './address-text.ts';

const linkLocal = ['169.254.0.0/16', 'fe80::/10'].map(parseCidr);
// Of IPv6 only ff02::/16 is link-local multicast (RFC 4291), whatever block the message names.
const linkLocalMulticast = ['224.0.0.0/24', 'ff02::/16'].map(parseCidr);

/**
 * Checks an address that traffic is to be sent to, or taken over for: not one at which a node's own or link-local
 * services are.
 */
export function validateReachableIp(text: string, field: string, errors: FieldErrors): void {
  const problems = ipText(text);
  const ip = tryParseIp(text);
  if (problems.length > 0 || ip === undefined) errors.invalidEach(field, text, problems);
  else if (isUnspecified(ip)) errors.invalid(field, text, `may not be unspecified (${text})`);
  else if (isLoopback(ip)) errors.invalid(field, text, 'may not be in the loopback range (127.0.0.0/8, ::1/128)');
  else if (linkLocal.some((block) => cidrContains(block, ip)))
    errors.invalid(field, text, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)');
  else if (linkLocalMulticast.some((block) => cidrContains(block, ip)))
    errors.invalid(field, text, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
}
