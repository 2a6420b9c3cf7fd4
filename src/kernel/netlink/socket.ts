import { SignalboxError } from '../../errors/error.ts';
import {
  close,
  connect,
  errnoNumber,
  getSocketOption,
  KernelError,
  send,
  setSocketOption,
  setSocketOptionBytes,
  socket,
} from '../ffi.ts';
import { littleEndian } from './attributes.ts';
import { type NetlinkFailure, parseFailure, TransactionError } from './failure.ts';
import {
  MessageBatch,
  messageHeaderLength,
  type NetlinkReply,
  type NetlinkRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
} from './message.ts';
import { messagesIn, payloadInPlace, type ReceivedMessage, receive, receiveCapacity, replyOf } from './receive.ts';

/** `route`: links, addresses, routes; `netfilter`: nftables, conntrack, ipset; `generic`: IPVS and others. */
export type NetlinkProtocol = 'route' | 'netfilter' | 'generic';

/** How a socket behaves; all have defaults. */
export interface NetlinkOptions {
  /** Milliseconds to wait for one reply: 10,000 unless told. */
  readonly timeout?: number;
  /** Size to ask the kernel for instead of the largest it gives; it gives twice this. See `transact`. */
  readonly sendBuffer?: number;
}

/**
 * A conversation with the kernel, in the network namespace its maker's thread was in at that moment, wherever the
 * thread goes later. Every call blocks until the kernel has answered; the kernel works within the call, so this is
 * the time the change takes. Use from one thread.
 */
export interface NetlinkSocket {
  /** The most bytes one send can have: see `transact`. */
  readonly maxMessageBytes: number;
  /**
   * Sends one message and gathers what the kernel answers, the acknowledgement left off. A request flagged
   * `NLM_F_DUMP` is a dump.
   * @throws KernelError the kernel's refusal, with its own words where it has some
   */
  request(request: NetlinkRequest): NetlinkReply[];
  /**
   * All objects of a kind. A dump that a change interrupted is begun again, five times at the most.
   * @throws KernelError the kernel's refusal; `EINTR` when no try gave a consistent picture
   */
  dump(request: NetlinkRequest): Iterable<NetlinkReply>;
  /**
   * As `dump`, one datagram a step. `read` is given the payload of every message where it lies in the receive buffer,
   * to be read at once. Nothing else can be asked through this socket until the end, which says whether the picture is
   * consistent: if not, a change came in between.
   * @throws KernelError the kernel's refusal
   */
  dumpInSteps(request: NetlinkRequest, read: (payload: Uint8Array) => void): Generator<undefined, boolean, undefined>;
  /**
   * Sends messages in one system call and gives what the kernel echoed. Whether they are one atomic change is the
   * protocol's affair: nftables messages between batch begin and end are, rtnetlink messages each stand alone.
   * @throws TransactionError every refusal, with the index of the message it answers
   * @throws SignalboxError `KERNEL_MESSAGE_TOO_LARGE` above `maxMessageBytes`, before anything is sent. That is
   *   2 GiB for root of the machine. Within a user namespace it is twice the machine's sysctl net.core.wmem_max: 416 KiB
   *   by the default that kernels had for long, 8 MiB where it is 4 MiB. What is more must go as several transactions.
   */
  transact(parts: readonly NetlinkRequest[] | MessageBatch): NetlinkReply[];
  close(): void;
}

/**
 * Opens a netlink socket in the current network namespace.
 * @throws KernelError `EPROTONOSUPPORT` when the kernel lacks the protocol
 */
export function openNetlink(protocol: NetlinkProtocol, options: NetlinkOptions = {}): NetlinkSocket {
  return new KernelSocket(protocol, options);
}

const defaultTimeout = 10_000;
const maxDumpTries = 5;

// include/uapi/linux/netlink.h and include/uapi/asm-generic/socket.h
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const protocolNumbers: { readonly [P in NetlinkProtocol]: number } = { route: 0, netfilter: 12, generic: 16 };

/** What the kernel keeps of a socket's send buffer for itself, in netlink_sendmsg. */
const sendOverhead = 32;
/** The largest value the kernel takes: it doubles it into an int. */
const largestBuffer = 0x3fffffff;
/** Room for the replies to one transaction: an error takes about 1 KiB, so some thousands of them. */
const receiveBuffer = 4 << 20;

class KernelSocket implements NetlinkSocket {
  readonly maxMessageBytes: number;
  readonly #fd: number;
  readonly #protocol: NetlinkProtocol;
  #sequence = 1;

  constructor(protocol: NetlinkProtocol, { timeout = defaultTimeout, sendBuffer }: NetlinkOptions) {
    this.#protocol = protocol;
    this.#fd = openSocket(protocol);
    try {
      setBufferSize(this.#fd, { force: SO_RCVBUFFORCE, plain: SO_RCVBUF }, receiveBuffer);
      if (sendBuffer === undefined) {
        setBufferSize(this.#fd, { force: SO_SNDBUFFORCE, plain: SO_SNDBUF }, largestBuffer);
      } else setSocketOption(this.#fd, SOL_SOCKET, SO_SNDBUF, sendBuffer);
      this.maxMessageBytes = getSocketOption(this.#fd, SOL_SOCKET, SO_SNDBUF) - sendOverhead;
      setSocketOptionBytes(this.#fd, { level: SOL_SOCKET, name: SO_RCVTIMEO }, timeval(timeout));
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
        setSocketOption(this.#fd, SOL_NETLINK, option, 1);
      }
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  request(request: NetlinkRequest): NetlinkReply[] {
    if ((request.flags & NLM_F_DUMP) === NLM_F_DUMP) return this.dump(request);
    const sequence = this.#send(request, NLM_F_ACK);
    return this.#gather(request, sequence).replies;
  }

  dump(request: NetlinkRequest): NetlinkReply[] {
    for (let attempt = 1; attempt <= maxDumpTries; attempt++) {
      const sequence = this.#send(request, NLM_F_DUMP);
      const { replies, interrupted } = this.#gather(request, sequence);
      if (!interrupted) return replies;
    }
    throw new KernelError(this.#operation(request), errnoNumber.EINTR, 'changed while it was read, each time');
  }

  *dumpInSteps(request: NetlinkRequest, read: (payload: Uint8Array) => void): Generator<undefined, boolean, undefined> {
    const sequence = this.#send(request, NLM_F_DUMP);
    let consistent = true;
    for (;;) {
      const length = this.#receive(this.#operation(request));
      for (const message of messagesIn(length)) {
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) consistent = false;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwFailure(this.#operation(request), message);
          return consistent;
        }
        if (message.type !== NLMSG_NOOP) read(payloadInPlace(message));
      }
      yield;
    }
  }

  transact(parts: readonly NetlinkRequest[] | MessageBatch): NetlinkReply[] {
    const batch = parts instanceof MessageBatch ? parts : batchOf(parts);
    if (batch.count === 0) return [];
    this.#checkSize(batch.byteLength);
    const first = this.#sequence;
    this.#sequence = (first + batch.count) >>> 0;
    batch.numberFrom(first);
    send(this.#fd, batch.bytes, 0);
    return this.#drain(batch, first);
  }

  close(): void {
    close(this.#fd);
  }

  #send(request: NetlinkRequest, flags: number): number {
    const batch = new MessageBatch(messageHeaderLength + request.payload.length + 4);
    batch.add({ ...request, flags: request.flags | flags });
    this.#checkSize(batch.byteLength);
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) >>> 0;
    batch.numberFrom(sequence);
    send(this.#fd, batch.bytes, 0);
    return sequence;
  }

  /** Receives until the acknowledgement, or the end of a dump, of one request. */
  #gather(request: NetlinkRequest, sequence: number): { replies: NetlinkReply[]; interrupted: boolean } {
    const replies: NetlinkReply[] = [];
    let interrupted = false;
    for (;;) {
      const length = this.#receive(this.#operation(request));
      for (const message of messagesIn(length)) {
        // An answer to an earlier request whose wait had run out.
        if (message.sequence !== sequence) continue;
        interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwFailure(this.#operation(request), message);
          return { replies, interrupted };
        }
        if (message.type !== NLMSG_NOOP) replies.push(replyOf(message));
      }
    }
  }

  /**
   * Takes what the kernel has put in the queue. It works through the messages within send(2), so the end of the queue
   * is the end of the answers, and success needs no acknowledgement.
   */
  #drain(batch: MessageBatch, first: number): NetlinkReply[] {
    const replies: NetlinkReply[] = [];
    const failures: NetlinkFailure[] = [];
    let overrun = false;
    for (;;) {
      const length = receive(this.#fd, { wait: false });
      if (length === -errnoNumber.EAGAIN) break;
      if (length === -errnoNumber.ENOBUFS) overrun = true;
      else if (length >= 0) collect({ batch, first, replies, failures }, length);
      else if (length !== -errnoNumber.EINTR) throw new KernelError(`receive ${this.#protocol} netlink`, -length);
    }
    if (failures.length > 0 || overrun) throw new TransactionError(failures, { count: batch.count, overrun });
    return replies;
  }

  #receive(operation: string): number {
    for (;;) {
      const length = receive(this.#fd, { wait: true });
      if (length > receiveCapacity) throw new KernelError(operation, errnoNumber.EMSGSIZE, `reply of ${length} bytes`);
      if (length >= 0) return length;
      if (length === -errnoNumber.EAGAIN) throw new KernelError(operation, errnoNumber.ETIMEDOUT, 'no reply');
      if (length !== -errnoNumber.EINTR) throw new KernelError(operation, -length);
    }
  }

  #operation(request: NetlinkRequest): string {
    return request.operation ?? `${this.#protocol} netlink request ${request.type}`;
  }

  #checkSize(length: number): void {
    if (length <= this.maxMessageBytes) return;
    throw new SignalboxError('KERNEL_MESSAGE_TOO_LARGE', {
      object: `a netlink transaction of ${length} bytes`,
      problem: `passes the send buffer, which takes ${this.maxMessageBytes} bytes`,
      remedy: 'split it, run as root, or let the administrator raise the sysctl net.core.wmem_max',
    });
  }
}

/** Opens and connects to the kernel, so that no process can put words into its mouth. */
export function openSocket(protocol: NetlinkProtocol): number {
  const fd = socket(AF_NETLINK, SOCK_RAW, protocolNumbers[protocol]);
  try {
    connect(fd, kernelAddress());
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** `sockaddr_nl` of the kernel: port 0, no groups. */
function kernelAddress(): Uint8Array {
  const address = new Uint8Array(12);
  new DataView(address.buffer).setUint16(0, AF_NETLINK, littleEndian);
  return address;
}

/** Raises a buffer past the system's limit where the caller may (CAP_NET_ADMIN of the machine), else up to it. */
function setBufferSize(fd: number, option: { force: number; plain: number }, size: number): void {
  try {
    setSocketOption(fd, SOL_SOCKET, option.force, size);
  } catch {
    setSocketOption(fd, SOL_SOCKET, option.plain, size);
  }
}

/** `struct timeval` with 64-bit fields, as all 64-bit machines have it. */
function timeval(milliseconds: number): Uint8Array {
  const seconds = Math.floor(milliseconds / 1000);
  return new Uint8Array(BigInt64Array.of(BigInt(seconds), BigInt((milliseconds - seconds * 1000) * 1000)).buffer);
}

function batchOf(parts: readonly NetlinkRequest[]): MessageBatch {
  const batch = new MessageBatch(parts.reduce((sum, part) => sum + messageHeaderLength + part.payload.length + 4, 0));
  for (const part of parts) batch.add(part);
  return batch;
}

function throwFailure(operation: string, message: ReceivedMessage): void {
  const failure = parseFailure(payloadInPlace(message), message);
  if (failure !== undefined) throw new KernelError(operation, failure.errno, failure.detail);
}

function collect(
  into: { batch: MessageBatch; first: number; replies: NetlinkReply[]; failures: NetlinkFailure[] },
  length: number,
): void {
  for (const message of messagesIn(length)) {
    const index = (message.sequence - into.first) >>> 0;
    if (index >= into.batch.count) continue;
    if (message.type === NLMSG_ERROR) {
      const failure = parseFailure(payloadInPlace(message), message);
      if (failure !== undefined) into.failures.push({ ...failure, index, operation: into.batch.operation(index) });
    } else if (message.type !== NLMSG_NOOP && message.type !== NLMSG_DONE) into.replies.push(replyOf(message));
  }
}
