import { SignalboxError } from '../errors/error.ts';
import { type Ip, type IpFamily, ipFromBytes } from '../net/ip.ts';
import { type Protocol, protocolNumber } from '../net/port.ts';
import { errnoNumber, isKernelError } from './ffi.ts';
import {
  type Attribute,
  be16,
  bytes,
  encodePayload,
  NLA_F_NESTED,
  nested,
  parseAttributes,
  u8,
  u32,
} from './netlink/attributes.ts';
import { TransactionError } from './netlink/failure.ts';
import { type NetlinkRequest, NLM_F_DUMP } from './netlink/message.ts';
import { readBe16, readU8 } from './netlink/readers.ts';
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

type Attributes = ReadonlyMap<number, Uint8Array>;

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
    return wanted.flatMap((family) => this.#dump(family, filter.protocol));
  }

  #dump(family: IpFamily, protocol: Protocol | undefined): Entry[] {
    const attributes = protocol === undefined ? [] : protocolFilter(protocolNumber[protocol]);
    const request = {
      type: IPCTNL_MSG_CT_GET,
      flags: NLM_F_DUMP,
      payload: encodePayload(header(family), attributes),
      operation: 'list connections',
    };
    const entries: Entry[] = [];
    for (const reply of this.#ask(request)) {
      const entry = parseEntry(family, parseAttributes(reply.payload, headerBytes));
      // Kernels before 5.8 do not know the filter and send everything.
      if (entry !== undefined && (protocol === undefined || entry.flow.protocol === protocolNumber[protocol])) {
        entries.push(entry);
      }
    }
    return entries;
  }

  #ask(request: NetlinkRequest) {
    try {
      return this.#socket.dump(request);
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
  readonly attributes: Attributes;
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

function parseEntry(family: IpFamily, attributes: Attributes): Entry | undefined {
  const original = parseTuple(attributes.get(CTA_TUPLE_ORIG));
  const reply = parseTuple(attributes.get(CTA_TUPLE_REPLY));
  if (original === undefined || reply === undefined) return undefined;
  const flow = { protocol: original.protocol, original: original.tuple, reply: reply.tuple };
  return { family, flow, attributes };
}

function parseTuple(value: Uint8Array | undefined): { protocol: number; tuple: FlowTuple } | undefined {
  if (value === undefined) return undefined;
  const parts = parseAttributes(value);
  const ip = parseAttributes(parts.get(CTA_TUPLE_IP) ?? nothing);
  const proto = parseAttributes(parts.get(CTA_TUPLE_PROTO) ?? nothing);
  const source = ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC);
  const destination = ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST);
  if (source === undefined || destination === undefined) return undefined;
  return {
    protocol: readU8(proto.get(CTA_PROTO_NUM)) ?? 0,
    tuple: {
      source: ipFromBytes(source),
      destination: ipFromBytes(destination),
      sourcePort: readBe16(proto.get(CTA_PROTO_SRC_PORT)) ?? 0,
      destinationPort: readBe16(proto.get(CTA_PROTO_DST_PORT)) ?? 0,
    },
  };
}

const nothing = new Uint8Array(0);

/** By tuple and id: a younger flow of the same tuple is another one. */
function deletion({ family, attributes }: Entry): NetlinkRequest {
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
