import {
  type Attribute,
  align,
  attributesLength,
  littleEndian,
  type WireTarget,
  writeAttributes,
} from './attributes.ts';

/** One message to the kernel: `payload` is all that follows `nlmsghdr`. */
export interface NetlinkRequest {
  readonly type: number;
  /** `NLM_F_…`; whoever sends adds `NLM_F_REQUEST` and what it needs to hear back. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** What it is for, in a few words with the object's name; errors begin with it. */
  readonly operation?: string;
}

/** One message from the kernel. The payload is a copy of its own. */
export interface NetlinkReply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** Bytes of `nlmsghdr`: u32 length, u16 type, u16 flags, u32 sequence, u32 port. */
export const messageHeaderLength = 16;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_DUMP_INTR = 0x10;
/** On a get: all objects. The same bits mean replace and exclusive on a create. */
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const initialCapacity = 4096;

/**
 * Messages for one send, one behind the other in one buffer that grows. A message is encoded straight into it, so a
 * transaction of megabytes exists once.
 */
export class MessageBatch {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  readonly #offsets: number[] = [];
  readonly #operations = new Map<number, string>();

  constructor(capacity: number = initialCapacity) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Number of messages. */
  get count(): number {
    return this.#offsets.length;
  }

  /** Bytes of all messages. */
  get byteLength(): number {
    return this.#length;
  }

  /** The encoded messages: a view that the next `add` may make stale. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds a message whose payload is already encoded. */
  add(request: NetlinkRequest): void {
    const start = this.#begin(request, align(request.payload.length));
    this.#bytes.set(request.payload, start);
    this.#end(start, request.payload.length);
  }

  /**
   * Adds a message of a family's fixed header (`nfgenmsg`, `ifinfomsg`, …) and attributes: the way without an
   * intermediate copy.
   */
  addMessage(
    head: { readonly type: number; readonly flags: number; readonly header: Uint8Array; readonly operation?: string },
    attributes: readonly Attribute[],
  ): void {
    const headerLength = align(head.header.length);
    const payloadLength = headerLength + attributesLength(attributes);
    const start = this.#begin(head, payloadLength);
    this.#bytes.set(head.header, start);
    writeAttributes(attributes, this.#target, start + headerLength);
    this.#end(start, payloadLength);
  }

  /** Numbers the messages from `first` upward, so that replies can be told apart. Done by the socket that sends. */
  numberFrom(first: number): void {
    let sequence = first;
    for (const offset of this.#offsets) this.#view.setUint32(offset + 8, sequence++ >>> 0, littleEndian);
  }

  /** What message `index` was for, where its sender said so. */
  operation(index: number): string | undefined {
    return this.#operations.get(index);
  }

  get #target(): WireTarget {
    return { bytes: this.#bytes, view: this.#view };
  }

  /** Reserves room and writes the header; gives the payload's offset. */
  #begin(
    head: { readonly type: number; readonly flags: number; readonly operation?: string },
    payloadLength: number,
  ): number {
    this.#reserve(this.#length + messageHeaderLength + payloadLength);
    const offset = this.#length;
    this.#view.setUint16(offset + 4, head.type, littleEndian);
    this.#view.setUint16(offset + 6, head.flags | NLM_F_REQUEST, littleEndian);
    this.#view.setUint32(offset + 12, 0);
    if (head.operation !== undefined) this.#operations.set(this.#offsets.length, head.operation);
    this.#offsets.push(offset);
    return offset + messageHeaderLength;
  }

  #end(start: number, payloadLength: number): void {
    this.#view.setUint32(start - messageHeaderLength, messageHeaderLength + payloadLength, littleEndian);
    this.#length = start + align(payloadLength);
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(length, this.#bytes.length * 2));
    grown.set(this.bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
