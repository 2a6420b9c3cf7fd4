import { SignalboxError } from '../../errors/error.ts';
import { parseServerAddress } from '../forward/address.ts';
import type { ForwardTarget } from './types.ts';

/**
 * Reads an address as `parseServerAddress` does, perhaps with `dns://` or `tls://` before it (the port is 853 then,
 * unless given), or the path of a resolv.conf, which has a slash in it.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseForwardTarget(text: string): ForwardTarget {
  const [, scheme, rest = text] = /^([a-z\d]+):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined && text.includes('/')) return { kind: 'resolvConf', path: text };
  if (scheme !== undefined && scheme !== 'dns' && scheme !== 'tls') {
    throw new SignalboxError('INVALID_CONFIG', {
      object: text,
      problem: `is asked over ${scheme}, which is not supported`,
      remedy: 'choose from dns:// and tls://',
    });
  }
  const transport = scheme ?? 'dns';
  const address = parseServerAddress(rest);
  const hasPort = /^\[.*\]:\d+$|^[^:]+:\d+$/.test(rest);
  return { kind: 'server', ...address, port: hasPort || transport === 'dns' ? address.port : 853, transport };
}
