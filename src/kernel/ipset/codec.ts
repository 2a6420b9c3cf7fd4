import { parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Protocol, protocolNumber, protocols } from '../../net/port.ts';
import { maxElements } from '../../rules/ipset/print.ts';
import type { SetDeclaration, SetEntry, SetType } from '../../rules/ipset/syntax.ts';
import {
  type Attribute,
  be16,
  be32,
  be64,
  bytes,
  iterateAttributes,
  NLA_F_NET_BYTEORDER,
  nested,
  nestedList,
  parseAttributes,
  text,
  u8,
} from '../netlink/attributes.ts';
import { readBe16, readBe32, readBe64, readText, readU8 } from '../netlink/readers.ts';

// include/uapi/linux/netfilter/ipset/ip_set.h
export const IPSET_ATTR_PROTOCOL = 1;
export const IPSET_ATTR_SETNAME = 2;
const IPSET_ATTR_TYPENAME = 3;
const IPSET_ATTR_REVISION = 4;
const IPSET_ATTR_FAMILY = 5;
export const IPSET_ATTR_FLAGS = 6;
const IPSET_ATTR_DATA = 7;
const IPSET_ATTR_ADT = 8;
const IPSET_ATTR_LINENO = 9;
const IPSET_ATTR_IP = 1;
const IPSET_ATTR_PORT = 4;
const IPSET_ATTR_PORT_TO = 5;
const IPSET_ATTR_PROTO = 7;
const IPSET_ATTR_CADT_FLAGS = 8;
const IPSET_ATTR_MAXELEM = 19;
const IPSET_ATTR_IP2 = 20;
const IPSET_ATTR_CIDR2 = 21;
const IPSET_ATTR_SKBMARK = 27;
const IPSET_ATTR_IPADDR_IPV4 = 1;
const IPSET_ATTR_IPADDR_IPV6 = 2;
const IPSET_FLAG_WITH_SKBINFO = 1 << 6;
const wholeMark = 0xffffffffn;

/** The revision of each type that has all that is used here, and that every ipset of the last ten years can list. */
const revisions: { readonly [T in SetType]: number } = {
  'hash:ip': 4,
  'hash:ip,port': 5,
  'hash:ip,port,ip': 5,
  'hash:ip,port,net': 7,
  'bitmap:port': 3,
};

/** NFPROTO: sets of ports have none. */
function familyNumber({ type, family }: SetDeclaration): number {
  if (type === 'bitmap:port') return 0;
  return family === 'IPv4' ? 2 : 10;
}

/** The attributes of `IPSET_CMD_CREATE` behind protocol and name. */
export function declarationAttributes(set: SetDeclaration): Attribute[] {
  const data =
    set.type === 'bitmap:port'
      ? [be16(IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, 0), be16(IPSET_ATTR_PORT_TO | NLA_F_NET_BYTEORDER, 65535)]
      : [be32(IPSET_ATTR_MAXELEM | NLA_F_NET_BYTEORDER, maxElements)];
  if (set.marks === true) data.push(be32(IPSET_ATTR_CADT_FLAGS | NLA_F_NET_BYTEORDER, IPSET_FLAG_WITH_SKBINFO));
  return [
    text(IPSET_ATTR_TYPENAME, set.type),
    u8(IPSET_ATTR_REVISION, revisions[set.type]),
    u8(IPSET_ATTR_FAMILY, familyNumber(set)),
    nestedList(IPSET_ATTR_DATA, data),
  ];
}

/** One entry as `IPSET_CMD_ADD` and `IPSET_CMD_DEL` want it. */
export function entryAttribute(entry: SetEntry): Attribute {
  const { ip, protocol, port, ip2, net, mark } = entry;
  const data: Attribute[] = [];
  if (ip !== undefined) data.push(ipAttribute(IPSET_ATTR_IP, ip));
  if (port !== undefined) data.push(be16(IPSET_ATTR_PORT | NLA_F_NET_BYTEORDER, port));
  if (protocol !== undefined) data.push(u8(IPSET_ATTR_PROTO, protocolNumber[protocol.toUpperCase() as Protocol]));
  if (ip2 !== undefined) data.push(ipAttribute(IPSET_ATTR_IP2, ip2));
  if (net !== undefined) data.push(ipAttribute(IPSET_ATTR_IP2, net.base), u8(IPSET_ATTR_CIDR2, net.prefix));
  if (mark !== undefined) data.push(be64(IPSET_ATTR_SKBMARK | NLA_F_NET_BYTEORDER, (BigInt(mark) << 32n) | wholeMark));
  return nestedList(IPSET_ATTR_DATA, data);
}

/** Many entries for one message; the kernel names the first that it refuses by its line. */
export function entriesAttributes(entries: readonly SetEntry[]): Attribute[] {
  return [be32(IPSET_ATTR_LINENO | NLA_F_NET_BYTEORDER, 0), nestedList(IPSET_ATTR_ADT, entries.map(entryAttribute))];
}

function ipAttribute(type: number, ip: Ip): Attribute {
  const inner = familyOf(ip) === 'IPv4' ? IPSET_ATTR_IPADDR_IPV4 : IPSET_ATTR_IPADDR_IPV6;
  return nested(type, bytes(inner | NLA_F_NET_BYTEORDER, ipToBytes(ip)));
}

/** Reads the first message of a set's listing, which alone says what it is; `undefined` for types not used here. */
export function parseDeclaration(payload: Uint8Array, headerLength: number): SetDeclaration | undefined {
  const attributes = parseAttributes(payload, headerLength);
  const typeName = readText(attributes.get(IPSET_ATTR_TYPENAME));
  const type = (Object.keys(revisions) as SetType[]).find((known) => known === typeName);
  if (type === undefined) return undefined;
  const data = parseAttributes(attributes.get(IPSET_ATTR_DATA) ?? nothing);
  const flags = readBe32(data.get(IPSET_ATTR_CADT_FLAGS)) ?? 0;
  return {
    name: readText(attributes.get(IPSET_ATTR_SETNAME)) ?? '',
    type,
    family: readU8(attributes.get(IPSET_ATTR_FAMILY)) === 10 ? 'IPv6' : 'IPv4',
    ...((flags & IPSET_FLAG_WITH_SKBINFO) === 0 ? {} : { marks: true }),
  };
}

/** Reads the entries in any message of a set's listing. */
export function parseEntries(payload: Uint8Array, headerLength: number, type: SetType): SetEntry[] {
  const list = parseAttributes(payload, headerLength).get(IPSET_ATTR_ADT) ?? nothing;
  return Array.from(iterateAttributes(list), ([, value]) => parseEntry(type, value));
}

const nothing = new Uint8Array(0);

function parseEntry(type: SetType, value: Uint8Array): SetEntry {
  const data = parseAttributes(value);
  const ip = readIp(data.get(IPSET_ATTR_IP));
  const port = readBe16(data.get(IPSET_ATTR_PORT));
  const number = readU8(data.get(IPSET_ATTR_PROTO));
  const protocol = protocols.find((name) => protocolNumber[name] === number);
  const second = readIp(data.get(IPSET_ATTR_IP2));
  const mark = readBe64(data.get(IPSET_ATTR_SKBMARK));
  const length = readU8(data.get(IPSET_ATTR_CIDR2)) ?? (second?.includes(':') === true ? 128 : 32);
  return {
    ...(ip === undefined ? {} : { ip }),
    ...(protocol === undefined ? {} : { protocol: protocol.toLowerCase() as Lowercase<Protocol> }),
    ...(port === undefined ? {} : { port }),
    ...(second === undefined
      ? {}
      : type === 'hash:ip,port,net'
        ? { net: parseCidr(`${second}/${length}`) }
        : { ip2: second }),
    ...(mark === undefined ? {} : { mark: Number(mark >> 32n) }),
  };
}

function readIp(value: Uint8Array | undefined): Ip | undefined {
  if (value === undefined) return undefined;
  const inner = parseAttributes(value);
  const address = inner.get(IPSET_ATTR_IPADDR_IPV4) ?? inner.get(IPSET_ATTR_IPADDR_IPV6);
  return address === undefined ? undefined : ipFromBytes(address);
}
