import { SignalboxError } from '../../errors/error.ts';
import { parseCidr } from '../../net/cidr.ts';
import { familyOf, parseIp } from '../../net/ip.ts';
import { isPort } from '../../net/port.ts';
import type { IpSet, SetDeclaration, SetEntry, SetType } from './syntax.ts';

const setTypes: readonly SetType[] = ['hash:ip', 'hash:ip,port', 'hash:ip,port,ip', 'hash:ip,port,net', 'bitmap:port'];

/**
 * Reads what `ipset save` prints. Sets of types that Signalbox does not use are left out.
 * @throws SignalboxError `INVALID_IPSET_TEXT` naming the line
 */
export function parseSets(text: string): IpSet[] {
  const sets = new Map<string, IpSet & { entries: SetEntry[] }>();
  for (const line of text.split('\n')) {
    const [verb, name = '', ...words] = line.trim().split(/\s+/);
    if (verb === '') continue;
    if (verb === 'create') {
      const set = parseDeclaration(name, words);
      if (set !== undefined) sets.set(name, { ...set, entries: [] });
      continue;
    }
    const set = sets.get(name);
    if (verb !== 'add') throw invalid(line);
    if (set === undefined) continue;
    const entry = parseEntry(set, words);
    if (entry === undefined) throw invalid(line);
    set.entries.push(entry);
  }
  return [...sets.values()];
}

function parseDeclaration(name: string, [type, ...words]: readonly string[]): SetDeclaration | undefined {
  const known = setTypes.find((t) => t === type);
  if (known === undefined) return undefined;
  const family = words[words.indexOf('family') + 1] === 'inet6' ? 'IPv6' : 'IPv4';
  return { name, type: known, family, ...(words.includes('skbinfo') ? { marks: true } : {}) };
}

function parseEntry({ type }: SetDeclaration, [text = '', ...extensions]: readonly string[]): SetEntry | undefined {
  const parts = text.split(',');
  const kinds = type.slice(type.indexOf(':') + 1).split(',');
  if (parts.length !== kinds.length) return undefined;
  let entry: SetEntry = {};
  for (const [index, kind] of kinds.entries()) {
    const part = parts[index] ?? '';
    if (kind === 'port') {
      const [, protocol, port] = /^(?:(tcp|udp|sctp):)?(\d{1,5})$/.exec(part) ?? [];
      if (!isPort(Number(port))) return undefined;
      entry = { ...entry, ...(protocol === undefined ? {} : { protocol: protocol as 'tcp' }), port: Number(port) };
    } else if (kind === 'net') entry = { ...entry, net: parseBlock(part) };
    else entry = index === 0 ? { ...entry, ip: parseIp(part) } : { ...entry, ip2: parseIp(part) };
  }
  const mark = extensions[extensions.indexOf('skbmark') + 1];
  return extensions.includes('skbmark') ? { ...entry, mark: Number(mark) } : entry;
}

function parseBlock(text: string): NonNullable<SetEntry['net']> {
  if (text.includes('/')) return parseCidr(text);
  return parseCidr(`${text}/${familyOf(parseIp(text)) === 'IPv4' ? 32 : 128}`);
}

function invalid(line: string): SignalboxError {
  return new SignalboxError('INVALID_IPSET_TEXT', {
    object: `the line "${line}"`,
    problem: 'is not one of ipset save',
    remedy: 'write it as add KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
  });
}
