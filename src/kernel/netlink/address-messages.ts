import { familyOf, type Ip, type IpFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { parseMac } from '../../net/mac.ts';
import { bytes, encodePayload, littleEndian, parseAttributes, u32 } from './attributes.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE } from './message.ts';
import { readU32 } from './readers.ts';

/** An address with the length of its on-link prefix. */
export interface InterfaceAddress {
  readonly ip: Ip;
  readonly prefix: number;
}

/** An address as the kernel has it. */
export interface AddressEntry extends InterfaceAddress {
  /** Index of the device it is on. */
  readonly link: number;
  /** IPv6: not usable yet, duplicate address detection runs. Never for addresses made here. */
  readonly tentative: boolean;
}

/** Who has an IP address, on the link layer. */
export interface Neighbor {
  readonly ip: Ip;
  /** `02:42:ac:11:00:02` */
  readonly mac: string;
}

// include/uapi/linux/rtnetlink.h, if_addr.h, neighbour.h
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWNEIGH = 28;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_TENTATIVE = 0x40;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_PERMANENT = 0x80;

const addressHeaderLength = 8;

/** Address families of the socket interface. */
export const addressFamily: { readonly [F in IpFamily]: number } = { IPv4: 2, IPv6: 10 };

/** `struct ifaddrmsg`. */
function ifaddrmsg(fields: { family: number; prefix: number; link: number }): Uint8Array {
  const header = new Uint8Array(addressHeaderLength);
  header[0] = fields.family;
  header[1] = fields.prefix;
  new DataView(header.buffer).setUint32(4, fields.link, littleEndian);
  return header;
}

/** Puts an address on a device. Refused with EEXIST when it is there. */
export function newAddressRequest(link: number, address: InterfaceAddress, on: string): NetlinkRequest {
  // The kernel would keep an IPv6 address back for a second, to ask whether it is taken. We are who gives them out.
  const flags = familyOf(address.ip) === 'IPv6' ? [u32(IFA_FLAGS, IFA_F_NODAD)] : [];
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: addressPayload(link, address, flags),
    operation: `add address ${address.ip}/${address.prefix} to ${on}`,
  };
}

/** Takes an address off a device. Refused with EADDRNOTAVAIL when it is not there. */
export function deleteAddressRequest(link: number, address: InterfaceAddress, on: string): NetlinkRequest {
  return {
    type: RTM_DELADDR,
    flags: 0,
    payload: addressPayload(link, address, []),
    operation: `remove address ${address.ip}/${address.prefix} from ${on}`,
  };
}

function addressPayload(
  link: number,
  { ip, prefix }: InterfaceAddress,
  more: readonly ReturnType<typeof u32>[],
): Uint8Array {
  const value = ipToBytes(ip);
  const header = ifaddrmsg({ family: addressFamily[familyOf(ip)], prefix, link });
  return encodePayload(header, [bytes(IFA_LOCAL, value), bytes(IFA_ADDRESS, value), ...more]);
}

/** Asks for the addresses of one device, or of all. */
export function listAddressesRequest(link: number | undefined): NetlinkRequest {
  return {
    type: RTM_GETADDR,
    flags: NLM_F_DUMP,
    payload: ifaddrmsg({ family: 0, prefix: 0, link: link ?? 0 }),
    operation: 'list addresses',
  };
}

/** Reads the payload of `RTM_NEWADDR`. */
export function parseAddress(payload: Uint8Array): AddressEntry | undefined {
  const attributes = parseAttributes(payload, addressHeaderLength);
  const value = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (value === undefined) return undefined;
  return {
    ip: ipFromBytes(value),
    prefix: payload[1] ?? 0,
    link: new DataView(payload.buffer, payload.byteOffset).getUint32(4, littleEndian),
    tentative: ((readU32(attributes.get(IFA_FLAGS)) ?? 0) & IFA_F_TENTATIVE) !== 0,
  };
}

/** Sets the link-layer address of a neighbour for good, in place of what was known. */
export function newNeighborRequest(link: number, { ip, mac }: Neighbor, on: string): NetlinkRequest {
  const header = new Uint8Array(12);
  const view = new DataView(header.buffer);
  header[0] = addressFamily[familyOf(ip)];
  view.setInt32(4, link, littleEndian);
  view.setUint16(8, NUD_PERMANENT, littleEndian);
  return {
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: encodePayload(header, [bytes(NDA_DST, ipToBytes(ip)), bytes(NDA_LLADDR, parseMac(mac))]),
    operation: `add neighbour ${ip} on ${on}`,
  };
}
