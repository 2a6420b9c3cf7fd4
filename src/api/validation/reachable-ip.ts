import { isLoopback, tryParseIp } from '../../net/ip.ts';
import type { FieldErrors } from '../field-error.ts';

/**
 * Checks an address that traffic is to be sent to, or taken over for: not one at which a node's own or link-local
 * services are.
 */
export function validateReachableIp(text: string, field: string, errors: FieldErrors): void {
  const ip = tryParseIp(text);
  if (ip === undefined) errors.invalid(field, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else if (ip === '0.0.0.0' || ip === '::') errors.invalid(field, text, `may not be unspecified (${ip})`);
  else if (isLoopback(ip)) errors.invalid(field, text, 'may not be in the loopback range (127.0.0.0/8, ::1/128)');
  else if (ip.startsWith('169.254.') || /^fe[89ab]/i.test(ip)) {
    errors.invalid(field, text, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)');
  } else if (/^224\.0\.0\./.test(ip) || /^ff02:/i.test(ip)) {
    errors.invalid(field, text, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
  }
}
