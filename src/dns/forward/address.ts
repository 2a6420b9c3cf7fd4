import { SignalboxError } from '../../errors/error.ts';
import { type Ip, type IpFamily, tryParseIp, urlHost } from '../../net/ip.ts';
import { isPort } from '../../net/port.ts';

/** Where a server listens. */
export interface ServerAddress {
  readonly ip: Ip;
  readonly port: number;
}

/**
 * Reads `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`; the port is 53 unless given.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseServerAddress(text: string): ServerAddress {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text);
  const ip = tryParseIp(bracketed?.[1] ?? text);
  const port = Number(bracketed?.[2] ?? 53);
  if (ip === undefined || !isPort(port)) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: text,
      problem: 'is not the address of a DNS server',
      remedy: 'write it as 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:5353',
    });
  }
  return { ip, port };
}

/** The inverse of `parseServerAddress`, always with the port. */
export function formatServerAddress({ ip, port }: ServerAddress): string {
  return `${urlHost(ip)}:${port}`;
}

/** The datagram socket type of a family, as Node spells it. */
export function socketType(family: IpFamily): 'udp4' | 'udp6' {
  return family === 'IPv4' ? 'udp4' : 'udp6';
}

/** For sockets that are only ever given addresses: no resolver is asked, and the answer is there at once. */
export function lookupNothing(
  address: string,
  _options: unknown,
  done: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4);
}
