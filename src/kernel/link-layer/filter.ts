import { familyOf, type Ip, ipToBytes } from '../../net/ip.ts';
import { littleEndian } from '../netlink/attributes.ts';

/** One instruction of classic BPF (`struct sock_filter`); jumps are counted from the next instruction. */
export interface FilterInstruction {
  readonly code: number;
  readonly jumpTrue?: number;
  readonly jumpFalse?: number;
  readonly value: number;
}

// include/uapi/linux/bpf_common.h, filter.h, if_packet.h
/** Load a word, a half word, a byte of the packet. */
const LD_W_ABS = 0x20;
const LD_H_ABS = 0x28;
const LD_B_ABS = 0x30;
const JEQ = 0x15;
const JGE = 0x35;
const RET = 0x06;
/** Where a load finds how the packet came, in place of a byte of it: SKF_AD_OFF + SKF_AD_PKTTYPE. */
const packetTypeAt = 0xfffff004;
/** This packet type and those above are not for this station: PACKET_OTHERHOST, PACKET_OUTGOING, … */
const PACKET_OTHERHOST = 3;

const wholePacket = 0xffff;
/** A program has 4,096 instructions at the most (BPF_MAXINSNS); here every address takes two or four. */
const maxAddresses = 1000;
const [inverseRequest, inverseReply] = [8, 9];
const icmpv6 = 58;
const [neighborSolicitation, neighborAdvertisement] = [135, 136];
// In an Ethernet frame.
const arpOperationAt = 20;
const arpSenderIpAt = 28;
const arpTargetIpAt = 38;
const ipv6NextHeaderAt = 20;
const icmpv6TypeAt = 54;
const ndpTargetEndAt = 74;

const load = (code: number, value: number): FilterInstruction => ({ code, value });
const unless = (code: number, value: number, skip: number): FilterInstruction[] => [
  { code, value, jumpTrue: 0, jumpFalse: skip },
];
const accept: FilterInstruction = { code: RET, value: wholePacket };
const drop: FilterInstruction = { code: RET, value: 0 };
const acceptIf = (value: number): FilterInstruction[] => [...unless(JEQ, value, 1), accept];
const forUs: FilterInstruction[] = [load(LD_B_ABS, packetTypeAt), ...unless(JGE, PACKET_OTHERHOST, 1), drop];

/**
 * Takes ARP packets to this station that name one of the addresses as sender or as target, and those of the inverse
 * kind. With more than 1,000 addresses it takes all ARP packets to this station.
 */
export function arpFilter(addresses: readonly Ip[]): FilterInstruction[] {
  const own = addresses.filter((ip) => familyOf(ip) === 'IPv4');
  if (own.length > maxAddresses) return [...forUs, accept];
  const named = own.flatMap((ip) => acceptIf(word(ipToBytes(ip))));
  return [
    ...forUs,
    load(LD_H_ABS, arpOperationAt),
    ...acceptIf(inverseRequest),
    ...acceptIf(inverseReply),
    load(LD_W_ABS, arpTargetIpAt),
    ...named,
    load(LD_W_ABS, arpSenderIpAt),
    ...named,
    drop,
  ];
}

/**
 * Takes neighbour solicitations and advertisements about one of the addresses, or one that has the same last 32 bits.
 * With more than 1,000 addresses it takes all that come to this station.
 */
export function ndpFilter(addresses: readonly Ip[]): FilterInstruction[] {
  const own = addresses.filter((ip) => familyOf(ip) === 'IPv6');
  const about =
    own.length > maxAddresses
      ? [accept]
      : [load(LD_W_ABS, ndpTargetEndAt), ...own.flatMap((ip) => acceptIf(word(ipToBytes(ip).subarray(12)))), drop];
  return [
    ...forUs,
    load(LD_B_ABS, ipv6NextHeaderAt),
    { code: JEQ, value: icmpv6, jumpTrue: 1, jumpFalse: 0 },
    drop,
    load(LD_B_ABS, icmpv6TypeAt),
    { code: JEQ, value: neighborSolicitation, jumpTrue: 2, jumpFalse: 0 },
    { code: JEQ, value: neighborAdvertisement, jumpTrue: 1, jumpFalse: 0 },
    drop,
    ...about,
  ];
}

/** The program as the kernel reads it. */
export function encodeFilter(program: readonly FilterInstruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, { code, jumpTrue = 0, jumpFalse = 0, value }] of program.entries()) {
    view.setUint16(i * 8, code, littleEndian);
    view.setUint8(i * 8 + 2, jumpTrue);
    view.setUint8(i * 8 + 3, jumpFalse);
    view.setUint32(i * 8 + 4, value, littleEndian);
  }
  return bytes;
}

function word(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}
