import { ipFromBytes, ipToBytes, parseIp } from '../../net/ip.ts';
import type {
  Key,
  Selector,
  SetDeclaration,
  TableName,
  TransportProtocol,
  Value,
} from '../../rules/nftables/syntax.ts';
import { align, littleEndian, type WireTarget } from '../netlink/attributes.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from './constants.ts';

/** How one component of a key or of data stands in registers and elements; padded to a multiple of 4 bytes. */
export interface FieldType {
  readonly bytes: number;
  /** nft's number of the type (its src/datatype.c), which the kernel keeps for it. */
  readonly datatype: number;
  /** nft's number of the byte order: 1 the host's, 2 the network's. */
  readonly byteOrder: 1 | 2;
  /** Writes the value; all is zero there so far. */
  write(value: Value, target: WireTarget, at: number): void;
  read(source: WireTarget, at: number): Value;
}

/** A value that does not fit its place is a mistake of the caller's. */
function unfit(value: Value, type: string): never {
  throw new TypeError(`nftables: ${value} is no ${type}`);
}

const ipv4Address: FieldType = {
  bytes: 4,
  datatype: 7,
  byteOrder: 2,
  // By hand, as ipToBytes makes an array for each address and there are hundreds of thousands.
  write(value, { bytes }, at) {
    if (typeof value !== 'string') unfit(value, 'IPv4 address');
    let octet = 0;
    let place = at;
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i);
      if (c === 46) {
        bytes[place++] = octet;
        octet = 0;
      } else octet = octet * 10 + c - 48;
    }
    if (place !== at + 3) unfit(value, 'IPv4 address');
    bytes[place] = octet;
  },
  read: ({ bytes }, at) => ipFromBytes(bytes.subarray(at, at + 4)),
};

function groups(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

const ipv6Address: FieldType = {
  bytes: 16,
  datatype: 8,
  byteOrder: 2,
  // Canonical text only, which is what an Ip is: there are hundreds of thousands.
  write(value, { view }, at) {
    const [head = '', tail] = String(value).split('::');
    const first = groups(head);
    const last = groups(tail ?? '');
    if (tail === undefined && first.length !== 8) unfit(value, 'IPv6 address');
    first.forEach((group, i) => {
      view.setUint16(at + 2 * i, group);
    });
    last.forEach((group, i) => {
      view.setUint16(at + 16 - 2 * (last.length - i), group);
    });
  },
  read: ({ bytes }, at) => ipFromBytes(bytes.subarray(at, at + 16)),
};

const protocolNumbers: { readonly [P in TransportProtocol]: number } = { tcp: 6, udp: 17, sctp: 132 };
const protocolByName = new Map<Value, number>(Object.entries(protocolNumbers) as [TransportProtocol, number][]);
const protocolByNumber = new Map<number, TransportProtocol>(
  Object.entries(protocolNumbers).map(([name, number]) => [number, name as TransportProtocol]),
);

const protocol: FieldType = {
  bytes: 1,
  datatype: 12,
  byteOrder: 2,
  write(value, { bytes }, at) {
    bytes[at] = protocolByName.get(value) ?? unfit(value, 'transport protocol');
  },
  read: ({ bytes }, at) => protocolByNumber.get(bytes[at] ?? 0) ?? bytes[at] ?? 0,
};

const port: FieldType = {
  bytes: 2,
  datatype: 13,
  byteOrder: 2,
  write(value, { view }, at) {
    if (typeof value !== 'number') unfit(value, 'port');
    view.setUint16(at, value);
  },
  read: ({ view }, at) => view.getUint16(at),
};

const number: FieldType = {
  bytes: 4,
  datatype: 4,
  byteOrder: 1,
  write(value, { view }, at) {
    if (typeof value !== 'number') unfit(value, 'number');
    view.setUint32(at, value, littleEndian);
  },
  read: ({ view }, at) => view.getUint32(at, littleEndian),
};

/** The type of what a selector loads. */
export function fieldType(selector: Selector): FieldType {
  switch (selector) {
    case 'ip saddr':
    case 'ip daddr':
    case 'ct original ip daddr':
      return ipv4Address;
    case 'ip6 saddr':
    case 'ip6 daddr':
    case 'ct original ip6 daddr':
      return ipv6Address;
    case 'meta l4proto':
      return protocol;
    case 'th dport':
    case 'th sport':
    case 'ct original proto-dst':
      return port;
    default:
      if (selector.includes('&')) return selector.startsWith('ip6') ? ipv6Address : ipv4Address;
      return number;
  }
}

/** The bits that a selector keeps, or `undefined` if that is all. */
export function maskBytes(selector: Selector): Uint8Array | undefined {
  const [, mask] = selector.split(' & ');
  return mask === undefined ? undefined : ipToBytes(parseIp(mask));
}

/** The number a transport protocol has in `meta l4proto`. */
export function protocolNumber(name: TransportProtocol): number {
  return protocolNumbers[name];
}

/** Its inverse. */
export function protocolName(value: number | undefined): TransportProtocol | undefined {
  return value === undefined ? undefined : protocolByNumber.get(value);
}

/** The nfnetlink family number of a table. */
export function familyNumber({ family }: Pick<TableName, 'family'>): number {
  return family === 'ip' ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

/** Bytes of all fields side by side, each padded. */
export function keyBytes(key: Key): number {
  return key.reduce((sum, selector) => sum + align(fieldType(selector).bytes), 0);
}

/** nft's type number of a concatenation: six bits for each field. */
export function concatenatedType(key: Key): number {
  return key.reduce((type, selector) => (type << 6) | fieldType(selector).datatype, 0);
}

/** The fields of a set's elements. */
export interface ElementLayout {
  readonly key: readonly FieldType[];
  readonly keyBytes: number;
  readonly data: readonly FieldType[];
  readonly dataBytes: number;
  readonly interval: boolean;
}

/** The layout of a declared set. */
export function elementLayout(set: SetDeclaration): ElementLayout {
  const data = set.data ?? [];
  return {
    key: set.key.map(fieldType),
    keyBytes: keyBytes(set.key),
    data: data.map(fieldType),
    dataBytes: keyBytes(data),
    interval: set.interval === true,
  };
}
