import { flag, headerLength, recordType } from './constants.ts';
import { type Name, readName } from './name.ts';
import type { Rdata } from './rdata.ts';
import type { RecordBody } from './reply-writer.ts';

/** A record where it stands in a message. */
export interface PlacedRecord {
  readonly owner: Name;
  /** Offset of the owner's name. */
  readonly ownerAt: number;
  readonly type: number;
  readonly ttl: number;
  /** Offset of the 32-bit time to live. */
  readonly ttlAt: number;
  readonly dataAt: number;
  readonly dataEnd: number;
}

/** Another server's answer, read once and kept as it came. */
export interface Response {
  readonly message: Buffer;
  readonly id: number;
  readonly flags: number;
  readonly rcode: number;
  readonly question: { readonly name: Name; readonly type: number; readonly class: number };
  /** Where the question section ends. */
  readonly questionEnd: number;
  readonly answer: readonly PlacedRecord[];
  readonly authority: readonly PlacedRecord[];
  /** Without OPT, which is between that server and us, and without what comes after it. */
  readonly additional: readonly PlacedRecord[];
}

/**
 * Reads an answer with one question. `undefined` when it is malformed in any part: what another server sends is not
 * handed on half understood. Never throws.
 */
export function readResponse(message: Buffer): Response | undefined {
  if (message.length < headerLength) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & flag.QR) === 0 || message.readUInt16BE(4) !== 1) return undefined;
  const asked = readName(message, headerLength);
  if (asked === undefined || asked.end + 4 > message.length) return undefined;
  const questionEnd = asked.end + 4;
  const answer = readRecords(message, questionEnd, message.readUInt16BE(6));
  const authority = answer && readRecords(message, answer.end, message.readUInt16BE(8));
  const additional = authority && readRecords(message, authority.end, message.readUInt16BE(10));
  if (answer === undefined || authority === undefined || additional === undefined) return undefined;
  const opt = additional.records.findIndex((record) => record.type === recordType.OPT);
  const kept = opt < 0 ? additional.records : additional.records.slice(0, opt);
  return {
    message,
    id: message.readUInt16BE(0),
    flags,
    rcode: flags & 0x0f,
    question: {
      name: asked.name,
      type: message.readUInt16BE(asked.end),
      class: message.readUInt16BE(asked.end + 2),
    },
    questionEnd,
    answer: answer.records,
    authority: authority.records,
    additional: kept,
  };
}

function readRecords(
  message: Buffer,
  start: number,
  count: number,
): { readonly records: readonly PlacedRecord[]; readonly end: number } | undefined {
  const records: PlacedRecord[] = [];
  let at = start;
  // The count is a claim; each record takes 11 octets at least, so the message's length bounds the loop.
  for (let i = 0; i < count; i++) {
    const owner = readName(message, at);
    if (owner === undefined || owner.end + 10 > message.length) return undefined;
    const dataAt = owner.end + 10;
    const dataEnd = dataAt + message.readUInt16BE(owner.end + 8);
    if (dataEnd > message.length) return undefined;
    records.push({
      owner: owner.name,
      ownerAt: at,
      type: message.readUInt16BE(owner.end),
      ttl: message.readUInt32BE(owner.end + 4),
      ttlAt: owner.end + 4,
      dataAt,
      dataEnd,
    });
    at = dataEnd;
  }
  return { records, end: at };
}

/**
 * Types whose data hold names that may be compressed (RFC 1035, RFC 3597 §4, RFC 2782): octets before the names, and
 * how many names. What follows them is copied.
 */
const namesInData: ReadonlyMap<number, { readonly before: number; readonly names: number }> = new Map([
  [recordType.NS, { before: 0, names: 1 }],
  [recordType.CNAME, { before: 0, names: 1 }],
  [recordType.SOA, { before: 0, names: 2 }],
  [recordType.PTR, { before: 0, names: 1 }],
  [recordType.MX, { before: 2, names: 1 }],
  [recordType.SRV, { before: 6, names: 1 }],
]);

/** The record without its surroundings, names in its data uncompressed; `undefined` when the data are malformed. */
export function detachRecord(message: Buffer, record: PlacedRecord): RecordBody | undefined {
  const shape = namesInData.get(record.type) ?? { before: 0, names: 0 };
  let at = record.dataAt + shape.before;
  if (at > record.dataEnd) return undefined;
  let rdata = message.toString('latin1', record.dataAt, at);
  for (let i = 0; i < shape.names; i++) {
    const target = readName(message, at);
    if (target === undefined || target.end > record.dataEnd) return undefined;
    rdata += target.name;
    at = target.end;
  }
  rdata += message.toString('latin1', at, record.dataEnd);
  return { type: record.type, ttl: record.ttl, rdata: rdata as Rdata };
}

/** How long a negative answer may be kept, in seconds: by its SOA record (RFC 2308 §5); `undefined` without one. */
export function negativeTtl(response: Response): number | undefined {
  const soa = response.authority.find((record) => record.type === recordType.SOA);
  if (soa === undefined || soa.dataEnd - soa.dataAt < 22) return undefined;
  return Math.min(soa.ttl, response.message.readUInt32BE(soa.dataEnd - 4));
}
