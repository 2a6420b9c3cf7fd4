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

/** Lines that are read before others have their turn. */
const linesAtOnce = 1_000;

/**
 * Reads lines `ADDRESS NAME…`, with `#` before comments. As every resolver does, it passes over what is no address or
 * no name, and over names outside `zones`. An IPv6 address may have a zone behind `%`, which says nothing to others, and
 * one that holds an IPv4 address (`::ffff:10.0.0.1`) is that one.
 * Yields now and then, so that whoever has other things to do need not wait for the end of a long list.
 */
export function* readHosts(lines: Iterable<string>, zones: readonly Name[]): Generator<void, HostsTable> {
  const addresses = new Map<Name, Ip[]>();
  const names = new Map<Name, Name[]>();
  // Lists of unwanted names lead a hundred thousand of them to one address: none of them is looked for among the others.
  const pairs = new Set<string>();
  let count = 0;
  for (const line of lines) {
    if (++count % linesAtOnce === 0) yield;
    const [address = '', ...words] = line.replace(/#.*/s, '').trim().split(/\s+/);
    const ip = tryParseIp(address.replace(/%.*/s, '').replace(/^::ffff:(?=[\d.]+$)/i, ''));
    if (ip === undefined) continue;
    const reverse = reverseName(ip);
    for (const word of words) {
      const name = parseName(word);
      if (name === undefined || !zones.some((zone) => isWithin(name, zone))) continue;
      if (pairs.size === maxPairs) return { addresses, names };
      const pair = `${ip} ${name}`;
      if (pairs.has(pair)) continue;
      pairs.add(pair);
      add(addresses, name, ip);
      add(names, reverse, name);
    }
  }
  return { addresses, names };
}

/** As `readHosts`, to the end. */
export function parseHosts(lines: Iterable<string>, zones: readonly Name[]): HostsTable {
  const reading = readHosts(lines, zones);
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) return value;
  }
}

function add<V>(map: Map<Name, V[]>, key: Name, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
