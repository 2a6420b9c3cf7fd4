import { crc32 } from 'node:zlib';
import type { StoreEvent } from './store.ts';

/** Where a step stands in the log: the revision of its transaction and its place in that. */
export interface LogPosition {
  readonly revision: number;
  readonly step: number;
}

/** One step of the log. */
export interface LogRecord {
  readonly type: StoreEvent['type'];
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  /** The step this one replaced; absent when the key did not exist. */
  readonly previous: LogPosition | undefined;
}

/** What the state table keeps of a key: where its value stands in the log. */
export interface StateRecord extends LogPosition {
  readonly createRevision: number;
}

// Revisions fit 6 bytes: 2^48 writes are 9,000 years at 1,000 a second.
const revisionBytes = 6;
const positionBytes = revisionBytes + 4;
const logHeader = 1 + revisionBytes + positionBytes + 2;
const checksumBytes = 4;

/** Sorts as the position does. */
export function encodePosition(position: LogPosition): Buffer {
  const bytes = Buffer.allocUnsafe(positionBytes);
  bytes.writeUIntBE(position.revision, 0, revisionBytes);
  bytes.writeUInt32BE(position.step, revisionBytes);
  return bytes;
}

export function decodePosition(bytes: Buffer, offset = 0): LogPosition {
  return {
    revision: bytes.readUIntBE(offset, revisionBytes),
    step: bytes.readUInt32BE(offset + revisionBytes),
  };
}

export function encodeState(state: StateRecord): Buffer {
  const bytes = Buffer.allocUnsafe(positionBytes + revisionBytes);
  encodePosition(state).copy(bytes);
  bytes.writeUIntBE(state.createRevision, positionBytes, revisionBytes);
  return bytes;
}

/** Nothing when the bytes are none. */
export function decodeState(bytes: Buffer): StateRecord | undefined {
  if (bytes.length !== positionBytes + revisionBytes) return undefined;
  return { ...decodePosition(bytes), createRevision: bytes.readUIntBE(positionBytes, revisionBytes) };
}

/** Ends with a checksum: LMDB has none, and would hand out what a failing disk made of a value. */
export function encodeLog(record: LogRecord): Buffer {
  const keyLength = Buffer.byteLength(record.key);
  const end = logHeader + keyLength + record.value.length;
  const bytes = Buffer.allocUnsafe(end + checksumBytes);
  bytes.writeUInt8(record.type === 'put' ? 1 : 2, 0);
  bytes.writeUIntBE(record.createRevision, 1, revisionBytes);
  encodePosition(record.previous ?? { revision: 0, step: 0 }).copy(bytes, 1 + revisionBytes);
  bytes.writeUInt16BE(keyLength, logHeader - 2);
  bytes.write(record.key, logHeader);
  bytes.set(record.value, logHeader + keyLength);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end);
  return bytes;
}

/** The value shares the memory of `bytes`. Nothing when they are not as they were written. */
export function decodeLog(bytes: Buffer): LogRecord | undefined {
  const end = bytes.length - checksumBytes;
  if (end < logHeader || crc32(bytes.subarray(0, end)) !== bytes.readUInt32BE(end)) return undefined;
  const valueAt = logHeader + bytes.readUInt16BE(logHeader - 2);
  const previous = decodePosition(bytes, 1 + revisionBytes);
  return {
    type: bytes.readUInt8(0) === 1 ? 'put' : 'delete',
    key: bytes.toString('utf8', logHeader, valueAt),
    value: bytes.subarray(valueAt, end),
    createRevision: bytes.readUIntBE(1, revisionBytes),
    previous: previous.revision === 0 ? undefined : previous,
  };
}
