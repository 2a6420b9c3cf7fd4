import { familyOf, type IpFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { type Protocol, protocolNumber, protocols } from '../../net/port.ts';
import { schedulerFlags } from '../../rules/ipvs/print.ts';
import {
  addressFamily,
  type Forwarding,
  type RealServer,
  type SchedulerFlag,
  type VirtualAddress,
  type VirtualServer,
  type VirtualServerOptions,
} from '../../rules/ipvs/syntax.ts';
import { type Attribute, be16, bytes, nested, parseAttributes, text, u16, u32 } from '../netlink/attributes.ts';
import { readBe16, readText, readU16, readU32 } from '../netlink/readers.ts';

// include/uapi/linux/ip_vs.h
export const IPVS_CMD_ATTR_SERVICE = 1;
export const IPVS_CMD_ATTR_DEST = 2;
const IPVS_SVC_ATTR_AF = 1;
const IPVS_SVC_ATTR_PROTOCOL = 2;
const IPVS_SVC_ATTR_ADDR = 3;
const IPVS_SVC_ATTR_PORT = 4;
const IPVS_SVC_ATTR_FWMARK = 5;
const IPVS_SVC_ATTR_SCHED_NAME = 6;
const IPVS_SVC_ATTR_FLAGS = 7;
const IPVS_SVC_ATTR_TIMEOUT = 8;
const IPVS_SVC_ATTR_NETMASK = 9;
const IPVS_DEST_ATTR_ADDR = 1;
const IPVS_DEST_ATTR_PORT = 2;
const IPVS_DEST_ATTR_FWD_METHOD = 3;
const IPVS_DEST_ATTR_WEIGHT = 4;
const IPVS_DEST_ATTR_U_THRESH = 5;
const IPVS_DEST_ATTR_L_THRESH = 6;
const IPVS_DEST_ATTR_ACTIVE_CONNS = 7;
const IPVS_DEST_ATTR_INACT_CONNS = 8;
const IPVS_DEST_ATTR_ADDR_FAMILY = 11;
const IP_VS_SVC_F_PERSISTENT = 0x1;
/** Of sh and mh: SCHED1 is `fallback`, SCHED2 is `port`. */
const schedulerFlagBits: { readonly [F in SchedulerFlag]: number } = { fallback: 0x08, port: 0x10 };
const forwardingNumbers: { readonly [F in Forwarding]: number } = { masquerade: 0, local: 1, tunnel: 2, route: 3 };
const forwardingMask = 0x7;

const familyNumbers: { readonly [F in IpFamily]: number } = { IPv4: 2, IPv6: 10 };

/** What names a virtual server in every message about it. */
function addressAttributes(address: VirtualAddress): Attribute[] {
  const family = u16(IPVS_SVC_ATTR_AF, familyNumbers[addressFamily(address)]);
  if ('mark' in address) return [family, u32(IPVS_SVC_ATTR_FWMARK, address.mark)];
  return [
    family,
    u16(IPVS_SVC_ATTR_PROTOCOL, protocolNumber[address.protocol.toUpperCase() as Protocol]),
    bytes(IPVS_SVC_ATTR_ADDR, unionAddress(ipToBytes(address.ip))),
    be16(IPVS_SVC_ATTR_PORT, address.port),
  ];
}

/** `union nf_inet_addr`: sixteen bytes in either family. */
function unionAddress(address: Uint8Array): Uint8Array {
  const union = new Uint8Array(16);
  union.set(address);
  return union;
}

/** `IPVS_CMD_ATTR_SERVICE` that names a virtual server. */
export function addressAttribute(address: VirtualAddress): Attribute {
  return nested(IPVS_CMD_ATTR_SERVICE, ...addressAttributes(address));
}

/** `IPVS_CMD_ATTR_SERVICE` with all that a virtual server is made of but its real servers. */
export function serverAttribute(address: VirtualAddress, options: VirtualServerOptions): Attribute {
  const { persistentSeconds } = options;
  let flags = persistentSeconds === undefined ? 0 : IP_VS_SVC_F_PERSISTENT;
  for (const flag of options.schedulerFlags) flags |= schedulerFlagBits[flag];
  return nested(
    IPVS_CMD_ATTR_SERVICE,
    ...addressAttributes(address),
    text(IPVS_SVC_ATTR_SCHED_NAME, options.scheduler),
    // `struct ip_vs_flags`: values and which of them are meant.
    bytes(IPVS_SVC_ATTR_FLAGS, new Uint8Array(Uint32Array.of(flags, 0xffffffff).buffer)),
    u32(IPVS_SVC_ATTR_TIMEOUT, persistentSeconds ?? 0),
    // One client is one address: the whole mask in IPv4, its length in IPv6.
    u32(IPVS_SVC_ATTR_NETMASK, addressFamily(address) === 'IPv4' ? 0xffffffff : 128),
  );
}

/** `IPVS_CMD_ATTR_DEST` with all that a real server is made of. */
export function realServerAttribute({ ip, port, weight, forwarding }: RealServer): Attribute {
  return nested(
    IPVS_CMD_ATTR_DEST,
    bytes(IPVS_DEST_ATTR_ADDR, unionAddress(ipToBytes(ip))),
    be16(IPVS_DEST_ATTR_PORT, port),
    u16(IPVS_DEST_ATTR_ADDR_FAMILY, familyNumbers[familyOf(ip)]),
    u32(IPVS_DEST_ATTR_FWD_METHOD, forwardingNumbers[forwarding]),
    u32(IPVS_DEST_ATTR_WEIGHT, weight),
    u32(IPVS_DEST_ATTR_U_THRESH, 0),
    u32(IPVS_DEST_ATTR_L_THRESH, 0),
  );
}

/** Reads `IPVS_CMD_ATTR_SERVICE`, and leaves its real servers out; `undefined` for a protocol without a name here. */
export function parseServer(value: Uint8Array): Omit<VirtualServer, 'realServers'> | undefined {
  const attributes = parseAttributes(value);
  const address = parseAddress(attributes);
  if (address === undefined) return undefined;
  const flags = readU32(attributes.get(IPVS_SVC_ATTR_FLAGS)) ?? 0;
  const scheduler = readText(attributes.get(IPVS_SVC_ATTR_SCHED_NAME)) ?? '';
  const persistent = (flags & IP_VS_SVC_F_PERSISTENT) !== 0;
  return {
    address,
    scheduler,
    schedulerFlags: schedulerFlags.filter((flag) => (flags & schedulerFlagBits[flag]) !== 0),
    ...(persistent ? { persistentSeconds: readU32(attributes.get(IPVS_SVC_ATTR_TIMEOUT)) ?? 0 } : {}),
  };
}

type Attributes = ReadonlyMap<number, Uint8Array>;

function parseAddress(attributes: Attributes): VirtualAddress | undefined {
  const family = readU16(attributes.get(IPVS_SVC_ATTR_AF)) === familyNumbers.IPv6 ? 'IPv6' : 'IPv4';
  const mark = readU32(attributes.get(IPVS_SVC_ATTR_FWMARK));
  if (mark !== undefined) return { mark, family };
  const number = readU16(attributes.get(IPVS_SVC_ATTR_PROTOCOL));
  const protocol = protocols.find((name) => protocolNumber[name] === number);
  const ip = attributes.get(IPVS_SVC_ATTR_ADDR);
  if (protocol === undefined || ip === undefined) return undefined;
  return {
    protocol: protocol.toLowerCase() as Lowercase<Protocol>,
    ip: ipFromUnion(ip, family),
    port: readBe16(attributes.get(IPVS_SVC_ATTR_PORT)) ?? 0,
  };
}

function ipFromUnion(value: Uint8Array, family: IpFamily): RealServer['ip'] {
  return ipFromBytes(value.subarray(0, family === 'IPv4' ? 4 : 16));
}

/** A real server, and how many connections it has. */
export interface ServerState {
  readonly realServer: RealServer;
  /** Active and inactive ones together. */
  readonly connections: number;
}

/** Reads `IPVS_CMD_ATTR_DEST`, of a virtual server of this family. */
export function parseRealServer(value: Uint8Array, family: IpFamily): ServerState {
  const attributes = parseAttributes(value);
  const method = (readU32(attributes.get(IPVS_DEST_ATTR_FWD_METHOD)) ?? 0) & forwardingMask;
  const forwardings: readonly Forwarding[] = ['masquerade', 'local', 'tunnel', 'route'];
  const number = readU16(attributes.get(IPVS_DEST_ATTR_ADDR_FAMILY));
  const own = number === undefined || number === familyNumbers[family];
  const count = (type: number) => readU32(attributes.get(type)) ?? 0;
  return {
    realServer: {
      // A tunnelled server may be of the other family.
      ip: ipFromUnion(
        attributes.get(IPVS_DEST_ATTR_ADDR) ?? new Uint8Array(16),
        own ? family : family === 'IPv4' ? 'IPv6' : 'IPv4',
      ),
      port: readBe16(attributes.get(IPVS_DEST_ATTR_PORT)) ?? 0,
      weight: count(IPVS_DEST_ATTR_WEIGHT),
      forwarding: forwardings.find((name) => forwardingNumbers[name] === method) ?? 'route',
    },
    connections: count(IPVS_DEST_ATTR_ACTIVE_CONNS) + count(IPVS_DEST_ATTR_INACT_CONNS),
  };
}
