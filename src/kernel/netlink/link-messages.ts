import { formatMac, parseMac } from '../../net/mac.ts';
import {
  type Attribute,
  bytes,
  encodePayload,
  littleEndian,
  nested,
  parseAttributes,
  text,
  u32,
} from './attributes.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from './message.ts';
import { readText, readU32 } from './readers.ts';

/** A network device as rtnetlink tells it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `dummy`, …; `undefined` for what has no kind: loopback and real hardware. */
  readonly kind: string | undefined;
  /** Set up by its owner (IFF_UP). */
  readonly up: boolean;
  /** Up, and with a carrier (IFF_LOWER_UP). */
  readonly running: boolean;
  /** In bytes. */
  readonly mtu: number;
  /** `02:42:ac:11:00:02`; `undefined` for a device without link-layer address. */
  readonly mac: string | undefined;
  /** Index of the bridge it is a port of. */
  readonly master: number | undefined;
  /** Index of a veth's other end, in that end's namespace. */
  readonly peer: number | undefined;
}

/** A network namespace, by an open file of it or by the path it is pinned at. */
export type NetnsReference = { readonly fd: number } | { readonly path: string };

/** What a new device starts with. */
export interface LinkOptions {
  readonly name: string;
  readonly up?: boolean;
  readonly mtu?: number;
  /** `02:42:ac:11:00:02`; random unless given. */
  readonly mac?: string;
}

/** Attributes and flags of a device about to be made, references resolved. */
export interface NewLink extends LinkOptions {
  readonly master?: number;
  readonly netnsFd?: number;
}

/** What `setLink` may change, references resolved. `master: 0` takes a port off its bridge. */
export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  readonly mtu?: number;
  readonly mac?: string;
  readonly master?: number;
  readonly netnsFd?: number;
}

// include/uapi/linux/rtnetlink.h, if_link.h, if.h, veth.h
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;
const RTEXT_FILTER_SKIP_STATS = 8;

const headerLength = 16;

/** `struct ifinfomsg` with an index and the flags to change. */
function ifinfomsg(index: number, up: boolean | undefined): Uint8Array {
  const header = new Uint8Array(headerLength);
  const view = new DataView(header.buffer);
  view.setInt32(4, index, littleEndian);
  view.setUint32(8, up ? IFF_UP : 0, littleEndian);
  view.setUint32(12, up === undefined ? 0 : IFF_UP, littleEndian);
  return header;
}

/** Asks for one device by name or index. */
export function getLinkRequest(link: string | number): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: 0,
    payload: encodePayload(ifinfomsg(indexOf(link), undefined), [...nameOf(link), withoutStats]),
    operation: `get link ${link}`,
  };
}

/** Asks for all devices of the namespace. */
export function listLinksRequest(): NetlinkRequest {
  return {
    type: RTM_GETLINK,
    flags: NLM_F_DUMP,
    payload: encodePayload(ifinfomsg(0, undefined), [withoutStats]),
    operation: 'list links',
  };
}
const withoutStats = u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

/** Makes a device of a kind that needs no more than a name. Refused with EEXIST when the name is taken. */
export function newLinkRequest(kind: string, link: NewLink, data: readonly Attribute[] = []): NetlinkRequest {
  const info = [text(IFLA_INFO_KIND, kind), ...(data.length === 0 ? [] : [nested(IFLA_INFO_DATA, ...data)])];
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload: encodePayload(ifinfomsg(0, link.up), [...linkAttributes(link), nested(IFLA_LINKINFO, ...info)]),
    operation: `add ${kind} ${link.name}`,
  };
}

/**
 * Makes both ends of a veth in one step. Of the two only the first can start up. Only the second can be in another
 * namespace under a name that this one has too: of the first, older kernels (6.1 for one) look for the name here.
 */
export function newVethRequest(
  first: Omit<NewLink, 'netnsFd'>,
  second: Omit<NewLink, 'up' | 'master'>,
): NetlinkRequest {
  // The second is told by a message within the message: its own ifinfomsg, then attributes.
  const inner = encodePayload(ifinfomsg(0, undefined), linkAttributes(second));
  const request = newLinkRequest('veth', first, [bytes(VETH_INFO_PEER, inner)]);
  return { ...request, operation: `add veth ${first.name}, other end ${second.name}` };
}

/** Changes a device. A new name needs the device given by index: the message has one place for a name. */
export function setLinkRequest(link: string | number, change: LinkChange): NetlinkRequest {
  return {
    type: RTM_NEWLINK,
    flags: 0,
    payload: encodePayload(ifinfomsg(indexOf(link), change.up), [...nameOf(link), ...linkAttributes(change)]),
    operation: `set link ${link}`,
  };
}

/** Removes a device by name or index. */
export function deleteLinkRequest(link: string | number): NetlinkRequest {
  return {
    type: RTM_DELLINK,
    flags: 0,
    payload: encodePayload(ifinfomsg(indexOf(link), undefined), nameOf(link)),
    operation: `delete link ${link}`,
  };
}

function indexOf(link: string | number): number {
  return typeof link === 'number' ? link : 0;
}

function nameOf(link: string | number): Attribute[] {
  return typeof link === 'string' ? [text(IFLA_IFNAME, link)] : [];
}

function linkAttributes(link: LinkChange): Attribute[] {
  const attributes: Attribute[] = [];
  if (link.name !== undefined) attributes.push(text(IFLA_IFNAME, link.name));
  if (link.mtu !== undefined) attributes.push(u32(IFLA_MTU, link.mtu));
  if (link.mac !== undefined) attributes.push(bytes(IFLA_ADDRESS, parseMac(link.mac)));
  if (link.master !== undefined) attributes.push(u32(IFLA_MASTER, link.master));
  if (link.netnsFd !== undefined) attributes.push(u32(IFLA_NET_NS_FD, link.netnsFd));
  return attributes;
}

/** Reads the payload of `RTM_NEWLINK`. */
export function parseLink(payload: Uint8Array): Link {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const flags = view.getUint32(8, littleEndian);
  const attributes = parseAttributes(payload, headerLength);
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info === undefined ? undefined : readText(parseAttributes(info).get(IFLA_INFO_KIND));
  const mac = attributes.get(IFLA_ADDRESS);
  return {
    index: view.getInt32(4, littleEndian),
    name: readText(attributes.get(IFLA_IFNAME)) ?? '',
    kind,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0,
    mtu: readU32(attributes.get(IFLA_MTU)) ?? 0,
    mac: mac === undefined || mac.length === 0 ? undefined : formatMac(mac),
    master: readU32(attributes.get(IFLA_MASTER)),
    peer: kind === 'veth' ? readU32(attributes.get(IFLA_LINK)) : undefined,
  };
}
