import { SignalboxError } from '../../errors/error.ts';
import { parseServerAddress } from '../forward/address.ts';
import type { ForwardTarget } from './types.ts';

/**
 * Reads an address as `parseServerAddress` does, perhaps with `dns://` or `tls://` before it (the port is 853 then,
 * unless given), or the path of a resolv.conf, which has a slash in it. `tls://ADDRESS%NAME[:PORT]` says what name the
 * certificate must have.
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
  const named = transport === 'tls' ? /^\[?([^%\]]+)%([^:\]]+)\]?(:\d+)?$/.exec(rest) : null;
  const [, host = '', serverName, portPart = ''] = named ?? [];
  const place =
    named === null ? rest : portPart === '' ? host : `${host.includes(':') ? `[${host}]` : host}${portPart}`;
  const address = parseServerAddress(place);
  const hasPort = /^\[.*\]:\d+$|^[^:]+:\d+$/.test(place);
  const port = hasPort || transport === 'dns' ? address.port : 853;
  return { kind: 'server', ...address, port, transport, ...(serverName !== undefined && { serverName }) };
}
