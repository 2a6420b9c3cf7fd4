import { SignalboxError } from '../errors/error.ts';
import { familyOf, type Ip, type IpFamily, ipFromBytes, ipToBytes } from '../net/ip.ts';
import { type Protocol, protocolNumber } from '../net/port.ts';
import { errnoNumber, isKernelError } from './ffi.ts';
import {
  type Attribute,
  align,
  attributeHeaderLength,
  be16,
  bytes,
  encodePayload,
  littleEndian,
  NLA_F_NESTED,
  nested,
  parseAttributes,
  u8,
  u32,
} from './netlink/attributes.ts';
import { TransactionError } from './netlink/failure.ts';
import { type NetlinkRequest, NLM_F_DUMP } from './netlink/message.ts';
import { readBe16 } from './netlink/readers.ts';
import { type NetlinkSocket, openNetlink } from './netlink/socket.ts';

/** One direction of a flow, as its packets have it on the wire. */
interface FlowTuple {
  readonly source: Ip;
  readonly destination: Ip;
  /** 0 for protocols without ports. */
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A connection that the kernel tracks. */
export interface Flow {
  /** IANA number. */
  readonly protocol: number;
  /** What the client sent: its destination may be a virtual address. */
  readonly original: FlowTuple;
  /** What comes back, before translation: its source is the endpoint. */
  readonly reply: FlowTuple;
}

/** Which flows are meant; all where nothing is given. */
interface FlowFilter {
  readonly family?: IpFamily;
  readonly protocol?: Protocol;
  /** Those sent to one of these. The table may be large: it is gone through much faster for a few of them. */
  readonly destinations?: readonly FlowDestination[];
}

/** What a client sent to. */
export interface FlowDestination {
  readonly ip: Ip;
  readonly port: number;
}

/** The kernel's table of connections, of one network namespace. */
export interface Conntrack {
  /** Flows as of now. A table that changes meanwhile may leave one out or have one twice. */
  list(filter?: FlowFilter): Flow[];
  /** Deletes the flows that the predicate is true of, in one pass; gives their number. */
  delete(predicate: (flow: Flow) => boolean, filter?: FlowFilter): number;
  close(): void;
}

/**
 * Opens the connection table of the current network namespace.
 * @throws KernelError when the kernel has no netfilter netlink at all
 */
export function openConntrack(): Conntrack {
  return new ConntrackSocket(openNetlink('netfilter'));
}

// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_FILTER_ORIG_FLAGS = 1;
/** The filter's bit for `CTA_PROTO_NUM`; not in a public header (nf_conntrack_netlink.c). */
const filterByProtocol = 1 << 3;

const familyNumbers: { readonly [F in IpFamily]: number } = { IPv4: 2, IPv6: 10 };
const families: readonly IpFamily[] = ['IPv4', 'IPv6'];
/** Bytes of `nfgenmsg`. */
const headerBytes = 4;
/** Deletions in one send: well below any buffer's size. */
const deletionsAtOnce = 500;

class ConntrackSocket implements Conntrack {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  list(filter: FlowFilter = {}): Flow[] {
    return this.#entries(filter).map(({ flow }) => flow);
  }

  delete(predicate: (flow: Flow) => boolean, filter: FlowFilter = {}): number {
    const doomed = this.#entries(filter).filter(({ flow }) => predicate(flow));
    let deleted = 0;
    for (let from = 0; from < doomed.length; from += deletionsAtOnce) {
      deleted += this.#delete(doomed.slice(from, from + deletionsAtOnce));
    }
    return deleted;
  }

  close(): void {
    this.#socket.close();
  }

  #entries(filter: FlowFilter): Entry[] {
    const wanted = filter.family === undefined ? families : [filter.family];
    return wanted.flatMap((family) => {
      const destinations = filter.destinations?.filter(({ ip }) => familyOf(ip) === family);
      return destinations?.length === 0 ? [] : this.#dump(family, filter.protocol, destinations);
    });
  }

  #dump(family: IpFamily, protocol: Protocol | undefined, to: readonly FlowDestination[] | undefined): Entry[] {
    const attributes = protocol === undefined ? [] : protocolFilter(protocolNumber[protocol]);
    const request = {
      type: IPCTNL_MSG_CT_GET,
      flags: NLM_F_DUMP,
      payload: encodePayload(header(family), attributes),
      operation: 'list connections',
    };
    const destinations = to && new Set(to.map(destinationKey));
    const entries: Entry[] = [];
    this.#ask(request, (payload) => {
      if (destinations !== undefined && !destinations.has(sentTo(payload))) return;
      // What is kept must not lie in the buffer that the next ones come into.
      const entry = parseEntry(family, Buffer.from(payload));
      // Kernels before 5.8 do not know the filter and send everything.
      if (entry !== undefined && (protocol === undefined || entry.flow.protocol === protocolNumber[protocol])) {
        entries.push(entry);
      }
    });
    return entries;
  }

  #ask(request: NetlinkRequest, read: (payload: Uint8Array) => void): void {
    try {
      const steps = this.#socket.dumpInSteps(request, read);
      while (steps.next().done !== true);
    } catch (error) {
      if (!isKernelError(error, 'EINVAL', 'EOPNOTSUPP')) throw error;
      throw new SignalboxError('KERNEL_LACKS_FEATURE', {
        object: 'the kernel',
        problem: 'does not let its table of connections be read',
        remedy: 'load it with `modprobe nf_conntrack_netlink`',
        cause: error,
      });
    }
  }

  /** A flow that has ended in the meantime is no failure. */
  #delete(entries: readonly Entry[]): number {
    try {
      this.#socket.transact(entries.map(deletion));
      return entries.length;
    } catch (error) {
      if (!(error instanceof TransactionError)) throw error;
      const gone = error.failures.filter((failure) => failure.errno === errnoNumber.ENOENT);
      if (gone.length < error.failures.length || error.overrun) throw error;
      return entries.length - gone.length;
    }
  }
}

interface Entry {
  readonly family: IpFamily;
  readonly flow: Flow;
  /** As the kernel sent it. */
  readonly message: Buffer;
}

function header(family: IpFamily): Uint8Array {
  return Uint8Array.of(familyNumbers[family], 0, 0, 0);
}

function protocolFilter(number: number): Attribute[] {
  return [
    nested(CTA_TUPLE_ORIG, nested(CTA_TUPLE_PROTO, u8(CTA_PROTO_NUM, number))),
    nested(CTA_FILTER, u32(CTA_FILTER_ORIG_FLAGS, filterByProtocol)),
  ];
}

/** An address and port as `sentTo` reads them. */
function destinationKey({ ip, port }: FlowDestination): string {
  return Buffer.from([...ipToBytes(ip), port >> 8, port & 255]).toString('latin1');
}

/** What the client sent to, as text of its bytes: without an object for each of a hundred thousand connections. */
function sentTo(payload: Uint8Array): string {
  const message = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const { ip, port } = sideOf(message, attributeIn(message, wholeOf(message), [CTA_TUPLE_ORIG]), destinationSide);
  return message.toString('latin1', ip.from, ip.to) + message.toString('latin1', port.from, port.to);
}

/** The types of the attributes that one end of a tuple consists of. */
interface Side {
  readonly ip: readonly number[];
  readonly port: readonly number[];
}
const sourceSide: Side = { ip: [CTA_IP_V4_SRC, CTA_IP_V6_SRC], port: [CTA_PROTO_SRC_PORT] };
const destinationSide: Side = { ip: [CTA_IP_V4_DST, CTA_IP_V6_DST], port: [CTA_PROTO_DST_PORT] };

function sideOf(message: Buffer, tuple: Stretch, side: Side): { readonly ip: Stretch; readonly port: Stretch } {
  return {
    ip: attributeIn(message, attributeIn(message, tuple, [CTA_TUPLE_IP]), side.ip),
    port: attributeIn(message, attributeIn(message, tuple, [CTA_TUPLE_PROTO]), side.port),
  };
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Where the value of the first attribute of one of these types is; empty where there is none. */
function attributeIn(message: Buffer, { from, to }: Stretch, types: readonly number[]): Stretch {
  for (let at = from; at + attributeHeaderLength <= to; ) {
    const length = littleEndian ? message.readUInt16LE(at) : message.readUInt16BE(at);
    const type = (littleEndian ? message.readUInt16LE(at + 2) : message.readUInt16BE(at + 2)) & ~NLA_F_NESTED;
    if (length < attributeHeaderLength) break;
    if (types.includes(type)) return { from: at + attributeHeaderLength, to: Math.min(at + length, to) };
    at += align(length);
  }
  return { from: 0, to: 0 };
}

function wholeOf(message: Buffer): Stretch {
  return { from: headerBytes, to: message.length };
}

function parseEntry(family: IpFamily, message: Buffer): Entry | undefined {
  const original = attributeIn(message, wholeOf(message), [CTA_TUPLE_ORIG]);
  const number = attributeIn(message, attributeIn(message, original, [CTA_TUPLE_PROTO]), [CTA_PROTO_NUM]);
  const sent = parseTuple(message, original);
  const reply = parseTuple(message, attributeIn(message, wholeOf(message), [CTA_TUPLE_REPLY]));
  if (sent === undefined || reply === undefined) return undefined;
  return { family, flow: { protocol: message[number.from] ?? 0, original: sent, reply }, message };
}

function parseTuple(message: Buffer, tuple: Stretch): FlowTuple | undefined {
  const source = sideOf(message, tuple, sourceSide);
  const destination = sideOf(message, tuple, destinationSide);
  if (isEmpty(source.ip) || isEmpty(destination.ip)) return undefined;
  return {
    source: ipFromBytes(message.subarray(source.ip.from, source.ip.to)),
    destination: ipFromBytes(message.subarray(destination.ip.from, destination.ip.to)),
    sourcePort: isEmpty(source.port) ? 0 : message.readUInt16BE(source.port.from),
    destinationPort: isEmpty(destination.port) ? 0 : message.readUInt16BE(destination.port.from),
  };
}

function isEmpty({ from, to }: Stretch): boolean {
  return from === to;
}

const nothing = new Uint8Array(0);

/** By tuple and id: a younger flow of the same tuple is another one. */
function deletion({ family, message }: Entry): NetlinkRequest {
  const attributes = parseAttributes(message, headerBytes);
  const sent = [nestedBytes(CTA_TUPLE_ORIG, attributes.get(CTA_TUPLE_ORIG) ?? nothing)];
  const id = attributes.get(CTA_ID);
  if (id !== undefined) sent.push(bytes(CTA_ID, id));
  const zone = readBe16(attributes.get(CTA_ZONE));
  if (zone !== undefined) sent.push(be16(CTA_ZONE, zone));
  return {
    type: IPCTNL_MSG_CT_DELETE,
    flags: 0,
    payload: encodePayload(header(family), sent),
    operation: 'delete a connection',
  };
}

function nestedBytes(type: number, value: Uint8Array): Attribute {
  return bytes(type | NLA_F_NESTED, value);
}
