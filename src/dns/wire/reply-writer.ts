import { flag, headerLength, messageLimit, opcodeMask, pointerMark, rcode } from './constants.ts';
import type { Name } from './name.ts';
import type { Query } from './query.ts';
import type { Rdata } from './rdata.ts';

/** A record ready to be written: everything but its owner's place. */
export interface RecordBody {
  readonly type: number;
  readonly ttl: number;
  readonly rdata: Rdata;
}

/** The sections after the question, in their order on the wire. */
const sections = ['answer', 'authority', 'additional'] as const;
export type Section = (typeof sections)[number];

/** A record where it stands in another message. */
interface Placed {
  /** Offset of what follows it. */
  readonly dataEnd: number;
}

/** The size of the OPT record every answer to an EDNS query ends with. */
const optLength = 11;
/** Pointers have 14 bits. */
const pointerLimit = 0x3fff;
/** Where the question's name begins: the owner of most records. */
export const questionOffset = headerLength;

/**
 * Writes one reply at a time, all into the same memory: what `finish` returns is valid until the next `begin`. Records go
 * in by section order; the one that no longer fits is left out whole, and everything of its section after it.
 */
export class ReplyWriter {
  readonly #ownUdpSize: number;
  readonly #out = Buffer.allocUnsafeSlow(messageLimit);
  #at = 0;
  #limit = 0;
  #flags = 0;
  #edns: Query['edns'];
  #questions = 0;
  #full = false;
  readonly #counts = { answer: 0, authority: 0, additional: 0 };

  /** `ownUdpSize`: the largest UDP message this server takes, said in every OPT record, in octets. */
  constructor(ownUdpSize: number) {
    this.#ownUdpSize = ownUdpSize;
  }

  /** Starts the reply to a query of at most `limit` octets: header and question, the question in the case asked. */
  begin(packet: Buffer, query: Query, limit: number): void {
    this.#at = query.questionEnd;
    packet.copy(this.#out, 0, 0, query.questionEnd);
    // A question that could not be read is not repeated.
    this.#questions = query.questionEnd === headerLength ? 0 : 1;
    this.#edns = query.edns;
    this.#limit = limit - (query.edns === undefined ? 0 : optLength);
    this.#flags = (query.flags & (opcodeMask | flag.RD | flag.CD)) | flag.QR;
    this.#full = false;
    this.#counts.answer = 0;
    this.#counts.authority = 0;
    this.#counts.additional = 0;
  }

  /** Sets bits of the flag word. */
  setFlags(bits: number): void {
    this.#flags |= bits;
  }

  /** Where the next octet goes. */
  get offset(): number {
    return this.#at;
  }

  /**
   * Adds a record. The owner is a name, or the offset of one that stands in the message already. Returns the offset of
   * its data, 0 if it did not fit.
   */
  record(section: Section, owner: Name | number, body: RecordBody): number {
    const pointer = typeof owner === 'number' && owner <= pointerLimit;
    const ownerLength = pointer ? 2 : typeof owner === 'number' ? 0 : owner.length;
    const data = this.#at + ownerLength + 10;
    const end = data + body.rdata.length;
    if (this.#full || ownerLength === 0 || end > this.#limit) {
      // RFC 2181 §9: additional records may be missing without the answer being incomplete.
      if (section !== 'additional') this.#full = true;
      return 0;
    }
    if (pointer) this.#word((pointerMark << 8) | owner);
    else this.#text(owner as Name);
    this.#word(body.type);
    this.#word(1);
    this.#long(body.ttl);
    this.#word(body.rdata.length);
    this.#text(body.rdata);
    this.#counts[section]++;
    return data;
  }

  /**
   * Takes over records of another server's message to the same question, which follow each other from its question on:
   * copied as they stand, so that its compression pointers hold. As many as fit, the first ones.
   */
  recordsOf(message: Buffer, records: { readonly [S in Section]: readonly Placed[] }): void {
    const start = this.#at;
    for (const section of sections) {
      const all = records[section];
      const beyond = all.findIndex(({ dataEnd }) => dataEnd > this.#limit);
      const count = beyond < 0 ? all.length : beyond;
      this.#counts[section] = count;
      this.#at = all[count - 1]?.dataEnd ?? this.#at;
      if (count === all.length) continue;
      if (section !== 'additional') this.#full = true;
      break;
    }
    message.copy(this.#out, start, start, this.#at);
  }

  /** Writes 32 bits over what stands at an offset: the life that is left to a record taken over. */
  overwrite(offset: number, value: number): void {
    const at = this.#at;
    this.#at = offset;
    this.#long(value);
    this.#at = at;
  }

  /** Writes 16 bits over what stands at an offset. */
  overwriteShort(offset: number, value: number): void {
    this.#out[offset] = value >> 8;
    this.#out[offset + 1] = value & 0xff;
  }

  /** Writes octets of another message over those that stand at an offset, as many. */
  overwriteOctets(
    offset: number,
    message: Buffer,
    { start, end }: { readonly start: number; readonly end: number },
  ): void {
    message.copy(this.#out, offset, start, end);
  }

  /** Whether so many octets of a name that stands at an offset are written with capitals. */
  hasCapitals(offset: number, length: number): boolean {
    for (let at = offset; at < offset + length; at++) {
      // No length of a label is a letter: they end at 63.
      const octet = this.#out[at] ?? 0;
      if (octet >= 65 && octet <= 90) return true;
    }
    return false;
  }

  /** Gives a name at an offset the case of one that is equal to it: the question's, unless another stands at `origin`. */
  repeatCase(offset: number, origin = questionOffset): void {
    let from = origin;
    let at = offset;
    for (let length = this.#out[at] ?? 0; length > 0 && length < pointerMark; length = this.#out[at] ?? 0) {
      this.#out.copyWithin(at, from, from + length + 1);
      at += length + 1;
      from += length + 1;
    }
  }

  /** Ends the reply with its response code. */
  finish(code: number): Buffer {
    const out = this.#out;
    let end = this.#at;
    if (this.#full) this.#flags |= flag.TC;
    if (this.#edns !== undefined) end = this.#opt(code);
    const flags = this.#flags | (code & 0x0f);
    out[2] = flags >> 8;
    out[3] = flags & 0xff;
    this.overwriteShort(4, this.#questions);
    this.overwriteShort(6, this.#counts.answer);
    this.overwriteShort(8, this.#counts.authority);
    this.overwriteShort(10, this.#counts.additional + (this.#edns === undefined ? 0 : 1));
    return out.subarray(0, end);
  }

  #opt(code: number): number {
    const out = this.#out;
    const at = this.#at;
    out[at] = 0;
    out[at + 1] = 0;
    out[at + 2] = 41;
    out[at + 3] = this.#ownUdpSize >> 8;
    out[at + 4] = this.#ownUdpSize & 0xff;
    out[at + 5] = code >> 4;
    out[at + 6] = 0;
    out[at + 7] = code !== rcode.BADVERS && this.#edns?.dnssecOk === true ? 0x80 : 0;
    out[at + 8] = 0;
    out[at + 9] = 0;
    out[at + 10] = 0;
    return at + optLength;
  }

  #word(value: number): void {
    this.#out[this.#at++] = value >> 8;
    this.#out[this.#at++] = value & 0xff;
  }

  #long(value: number): void {
    this.#word(value >>> 16);
    this.#word(value & 0xffff);
  }

  #text(text: string): void {
    // A call into the runtime costs more than a few dozen octets written here.
    if (text.length > 48) this.#at += this.#out.write(text, this.#at, 'latin1');
    else for (let i = 0; i < text.length; i++) this.#out[this.#at++] = text.charCodeAt(i);
  }
}
