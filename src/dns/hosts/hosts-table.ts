import { type Ip, tryParseIp } from '../../net/ip.ts';
import { isWithin, type Name, parseName } from '../wire/name.ts';
import { reverseName } from '../zone-records.ts';

/** Names and addresses in the form of `/etc/hosts`, to be looked up. */
export interface HostsTable {
  /** Addresses by name, IPv4 and IPv6 together, in the order of the lines. */
  readonly addresses: ReadonlyMap<Name, readonly Ip[]>;
  /** Names by the reverse name of their address. */
  readonly names: ReadonlyMap<Name, readonly Name[]>;
}

/** Pairs of name and address in one table: what is beyond is left out. */
const maxPairs = 1_000_000;

/**
 * Reads lines `ADDRESS NAME…`, with `#` before comments. As every resolver does, it passes over what is no address or
 * no name, and over names outside `zones`. An IPv6 address may have a zone behind `%`, which says nothing to others.
 */
export function parseHosts(lines: Iterable<string>, zones: readonly Name[]): HostsTable {
  const addresses = new Map<Name, Ip[]>();
  const names = new Map<Name, Name[]>();
  let pairs = 0;
  for (const line of lines) {
    const [address = '', ...words] = line.replace(/#.*/s, '').trim().split(/\s+/);
    const ip = tryParseIp(address.replace(/%.*/s, ''));
    if (ip === undefined) continue;
    for (const word of words) {
      const name = parseName(word);
      if (name === undefined || !zones.some((zone) => isWithin(name, zone))) continue;
      if (pairs === maxPairs) return { addresses, names };
      pairs++;
      addOnce(addresses, name, ip);
      addOnce(names, reverseName(ip), name);
    }
  }
  return { addresses, names };
}

function addOnce<V>(map: Map<Name, V[]>, key: Name, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else if (!values.includes(value)) values.push(value);
}
