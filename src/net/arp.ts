import { familyOf, type Ip, ipFromBytes, ipToBytes } from './ip.ts';
import { formatMac, parseMac } from './mac.ts';

/** What an ARP packet does. The inverse kind asks a station for its protocol address (RFC 2390). */
export type ArpOperation = 'request' | 'reply' | 'inverse-request' | 'inverse-reply';

/** One of the two parties an ARP packet names. Its address is all zeros where it is not known or not to be told. */
export interface ArpParty {
  readonly mac: string;
  readonly ip: Ip;
}

/** An ARP packet on Ethernet: RFC 826. Both addresses are of one family. */
export interface ArpPacket {
  readonly operation: ArpOperation;
  readonly sender: ArpParty;
  readonly target: ArpParty;
}

/** The link-layer address of nobody. */
export const noMac = '00:00:00:00:00:00';

export const etherTypeArp = 0x0806;
const etherTypeOf = { IPv4: 0x0800, IPv6: 0x86dd } as const;
const ethernetHeaderLength = 14;
const arpHeaderLength = 8;
const hardwareEthernet = 1;
const macLength = 6;
/** Ethernet's least, without checksum: what is shorter may be padded with whatever lay in a buffer. */
const minFrameLength = 60;
const operationNumbers: { readonly [O in ArpOperation]: number } = {
  request: 1,
  reply: 2,
  'inverse-request': 8,
  'inverse-reply': 9,
};
const operations = new Map(Object.entries(operationNumbers).map(([name, n]) => [n, name as ArpOperation]));

/** An Ethernet frame with the packet, from the sender's link-layer address to `to`. */
export function encodeArp({ operation, sender, target }: ArpPacket, to: string): Uint8Array {
  const [senderIp, targetIp] = [ipToBytes(sender.ip), ipToBytes(target.ip)];
  const length = ethernetHeaderLength + arpHeaderLength + 2 * (macLength + senderIp.length);
  const frame = new Uint8Array(Math.max(length, minFrameLength));
  const view = new DataView(frame.buffer);
  frame.set(parseMac(to), 0);
  frame.set(parseMac(sender.mac), macLength);
  view.setUint16(12, etherTypeArp);
  view.setUint16(14, hardwareEthernet);
  view.setUint16(16, etherTypeOf[familyOf(sender.ip)]);
  view.setUint8(18, macLength);
  view.setUint8(19, senderIp.length);
  view.setUint16(20, operationNumbers[operation]);
  let at = ethernetHeaderLength + arpHeaderLength;
  for (const part of [parseMac(sender.mac), senderIp, parseMac(target.mac), targetIp]) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** Reads an Ethernet frame; `undefined` for all that is no ARP of IP on Ethernet, or is cut short. */
export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  if (frame.length < ethernetHeaderLength + arpHeaderLength) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint16(12) !== etherTypeArp || view.getUint16(14) !== hardwareEthernet) return undefined;
  const ipLength = frame[19] ?? 0;
  const family = ipLength === 4 ? 'IPv4' : 'IPv6';
  if (frame[18] !== macLength || (ipLength !== 4 && ipLength !== 16)) return undefined;
  const operation = operations.get(view.getUint16(20));
  if (view.getUint16(16) !== etherTypeOf[family] || operation === undefined) return undefined;
  const sender = ethernetHeaderLength + arpHeaderLength;
  const target = sender + macLength + ipLength;
  if (frame.length < target + macLength + ipLength) return undefined;
  const partyAt = (at: number): ArpParty => ({
    mac: formatMac(frame.subarray(at, at + macLength)),
    ip: ipFromBytes(frame.slice(at + macLength, at + macLength + ipLength)),
  });
  return { operation, sender: partyAt(sender), target: partyAt(target) };
}
