import { tryParseIp } from '../net/ip.ts';
import { type ConfigValue, readText } from './config-fields.ts';
import type { PageAddress } from './pages.ts';

/**
 * Reads where pages are served: `192.0.2.1:8080`, `[2001:db8::1]:8080`, or `:8080` for all addresses of both families.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function readBindAddress(at: ConfigValue): PageAddress {
  const [, ipv6, ipv4 = '', digits] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(readText(at)) ?? [];
  const [host, port] = [tryParseIp(ipv6 ?? ipv4), Number(digits)];
  if (port <= 65_535 && (host !== undefined || `${ipv6 ?? ''}${ipv4}` === '')) return { host, port };
  throw at.valueError('is not an address with a port', 'write it as 0.0.0.0:8080, [::]:8080, or :8080 for both');
}
