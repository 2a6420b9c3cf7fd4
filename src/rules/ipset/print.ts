import { formatCidr } from '../../net/cidr.ts';
import type { IpSet, SetCommand, SetDeclaration, SetEntry } from './syntax.ts';

/** An entry without its mark, which is what tells it from others of its set: `10.96.0.10,tcp:80`. */
export function printEntryKey({ ip, protocol, port, ip2, net }: SetEntry): string {
  const parts: (string | number)[] = [];
  if (ip !== undefined) parts.push(ip);
  if (port !== undefined) parts.push(protocol === undefined ? port : `${protocol}:${port}`);
  if (ip2 !== undefined) parts.push(ip2);
  if (net !== undefined) parts.push(printBlock(net));
  return parts.join(',');
}

/** ipset leaves the length off where the block is one address. */
function printBlock(net: NonNullable<SetEntry['net']>): string {
  return net.prefix === (net.family === 'IPv4' ? 32 : 128) ? net.base : formatCidr(net);
}

/** An entry as listings show it. */
export function printEntry(entry: SetEntry): string {
  const { mark } = entry;
  const key = printEntryKey(entry);
  return mark === undefined ? key : `${key} skbmark 0x${mark.toString(16)}`;
}

/** Room in a set that hashes: sixteen times what ipset gives unless told. */
export const maxElements = 1 << 20;

/** What stands behind `create`. */
function printDeclaration({ name, type, family, marks }: SetDeclaration): string {
  if (type === 'bitmap:port') return `${name} ${type} range 0-65535`;
  const word = family === 'IPv4' ? 'inet' : 'inet6';
  return `${name} ${type} family ${word} maxelem ${maxElements}${marks === true ? ' skbinfo' : ''}`;
}

/** One line of `ipset restore`. */
export function printSetCommand(command: SetCommand): string {
  switch (command.verb) {
    case 'create':
      return `create ${printDeclaration(command.set)}`;
    case 'destroy':
      return `destroy ${command.name}`;
    case 'add':
      return `add ${command.set.name} ${printEntry(command.entry)}`;
    case 'del':
      return `del ${command.set.name} ${printEntryKey(command.entry)}`;
  }
}

/** Sets as `ipset save` shows them, less what it tells of their inside: sizes of hash tables and buckets. */
export function printSets(sets: Iterable<IpSet>): string {
  const lines: string[] = [];
  for (const { entries, ...set } of sets) {
    lines.push(printSetCommand({ verb: 'create', set }));
    for (const entry of entries) lines.push(printSetCommand({ verb: 'add', set, entry }));
  }
  return lines.map((line) => `${line}\n`).join('');
}
