import { type Ip, ipFromBytes, ipToBytes, parseIp } from './ip.ts';
import { formatMac, parseMac } from './mac.ts';

/** A question for who has an address, or the answer (RFC 4861, sections 4.3 and 4.4). */
export type NdpPacket = NeighborSolicitation | NeighborAdvertisement;

/** Who asks stays unknown where `source` is `::`, as in duplicate address detection (RFC 4862). */
export interface NeighborSolicitation {
  readonly kind: 'solicitation';
  readonly source: Ip;
  readonly destination: Ip;
  readonly target: Ip;
  /** Of the asker, where the packet tells it. */
  readonly mac?: string;
}

export interface NeighborAdvertisement {
  readonly kind: 'advertisement';
  readonly source: Ip;
  readonly destination: Ip;
  readonly target: Ip;
  /** In answer to a question. */
  readonly solicited: boolean;
  /** Whoever knows another link-layer address is to forget it. */
  readonly override: boolean;
  /** Of the one that has the address, where the packet tells it. */
  readonly mac?: string;
}

export const etherTypeIpv6 = 0x86dd;
export const unspecifiedIpv6: Ip = parseIp('::');
export const allNodes: Ip = parseIp('ff02::1');
const ethernetHeaderLength = 14;
const ipv6HeaderLength = 40;
const icmpAt = ethernetHeaderLength + ipv6HeaderLength;
const optionsAt = icmpAt + 24;
const protocolIcmpv6 = 58;
/** What a router has passed on has less: RFC 4861, section 7.1. */
const hopLimit = 255;
const typeSolicitation = 135;
const typeAdvertisement = 136;
const flagSolicited = 0x40;
const flagOverride = 0x20;
const optionSource = 1;
const optionTarget = 2;
const optionLength = 8;

/** The group in which whoever has the address hears questions for it (RFC 4291, section 2.7.1). */
export function solicitedNodeGroup(ip: Ip): Ip {
  const group = ipToBytes(parseIp('ff02::1:ff00:0'));
  group.set(ipToBytes(ip).subarray(13), 13);
  return ipFromBytes(group);
}

/** The link-layer address of a group of IPv6 (RFC 2464, section 7). */
export function groupMac(group: Ip): string {
  return formatMac(Uint8Array.of(0x33, 0x33, ...ipToBytes(group).subarray(12)));
}

/** An Ethernet frame with the packet, from one station to another. */
export function encodeNdp(packet: NdpPacket, { from, to }: { readonly from: string; readonly to: string }): Uint8Array {
  const frame = new Uint8Array(optionsAt + (packet.mac === undefined ? 0 : optionLength));
  const view = new DataView(frame.buffer);
  frame.set(parseMac(to), 0);
  frame.set(parseMac(from), 6);
  view.setUint16(12, etherTypeIpv6);
  frame[14] = 0x60;
  view.setUint16(18, frame.length - icmpAt);
  frame[20] = protocolIcmpv6;
  frame[21] = hopLimit;
  frame.set(ipToBytes(packet.source), 22);
  frame.set(ipToBytes(packet.destination), 38);
  const isQuestion = packet.kind === 'solicitation';
  frame[icmpAt] = isQuestion ? typeSolicitation : typeAdvertisement;
  if (!isQuestion) frame[icmpAt + 4] = (packet.solicited ? flagSolicited : 0) | (packet.override ? flagOverride : 0);
  frame.set(ipToBytes(packet.target), icmpAt + 8);
  if (packet.mac !== undefined) {
    frame[optionsAt] = isQuestion ? optionSource : optionTarget;
    frame[optionsAt + 1] = optionLength / 8;
    frame.set(parseMac(packet.mac), optionsAt + 2);
  }
  view.setUint16(icmpAt + 2, checksum(frame));
  return frame;
}

/** Reads an Ethernet frame; `undefined` for all that is none of the two, is damaged, or has passed a router. */
export function parseNdp(frame: Uint8Array): NdpPacket | undefined {
  if (frame.length < optionsAt) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint16(12) !== etherTypeIpv6 || frame[20] !== protocolIcmpv6 || frame[21] !== hopLimit) return undefined;
  const type = frame[icmpAt];
  const end = icmpAt + view.getUint16(18);
  if ((type !== typeSolicitation && type !== typeAdvertisement) || frame[icmpAt + 1] !== 0) return undefined;
  if (end < optionsAt || end > frame.length) return undefined;
  const whole = frame.subarray(0, end);
  if (checksum(whole) !== 0) return undefined;
  const at = (start: number) => ipFromBytes(frame.slice(start, start + 16));
  const mac = linkLayerOption(whole, type === typeSolicitation ? optionSource : optionTarget);
  const common = {
    source: at(22),
    destination: at(38),
    target: at(icmpAt + 8),
    ...(mac === undefined ? {} : { mac }),
  };
  if (type === typeSolicitation) return { kind: 'solicitation', ...common };
  const flags = frame[icmpAt + 4] ?? 0;
  return {
    kind: 'advertisement',
    ...common,
    solicited: (flags & flagSolicited) !== 0,
    override: (flags & flagOverride) !== 0,
  };
}

function linkLayerOption(frame: Uint8Array, wanted: number): string | undefined {
  for (let at = optionsAt; at + optionLength <= frame.length; ) {
    const length = (frame[at + 1] ?? 0) * 8;
    if (length === 0) return undefined;
    if (frame[at] === wanted && length === optionLength) return formatMac(frame.subarray(at + 2, at + 8));
    at += length;
  }
  return undefined;
}

/** Of the ICMPv6 part with the pseudo header of RFC 8200, section 8.1; 0 over a packet whose checksum is right. */
function checksum(frame: Uint8Array): number {
  let sum = protocolIcmpv6 + frame.length - icmpAt;
  // The two addresses, which lie side by side, and the packet behind them.
  for (let at = 22; at < frame.length; at += 2) sum += ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
