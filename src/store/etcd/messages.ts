import type { KeyValue, Operation, StoreEvent } from '../store.ts';
import { MessageWriter, readMessage } from './wire.ts';

// Field numbers are those of etcd's rpc.proto and kv.proto, version 3.4 and later.

/** Keys from `key` up to, and without, `end`; only `key` itself when `end` is empty. */
export interface KeyRange {
  readonly key: Uint8Array;
  readonly end: Uint8Array;
}

export interface RangeRequest extends KeyRange {
  /** 0: no bound. */
  readonly limit: number;
  /** 0: now. */
  readonly revision: number;
  readonly countOnly?: boolean;
}

/** A key of the wire; `key` is bytes there. */
export type WireKeyValue = Omit<KeyValue, 'key'> & { readonly key: Buffer };

export interface RangeResponse {
  readonly revision: number;
  readonly items: readonly WireKeyValue[];
  /** Whether there are more keys in the range than the limit let through. */
  readonly more: boolean;
}

/** A transaction: `steps` when every expectation holds; otherwise how the keys with an expectation stand. */
export interface TransactionRequest {
  readonly steps: readonly (Operation & { readonly bytes: Uint8Array })[];
}

export interface TransactionResponse {
  readonly succeeded: boolean;
  readonly revision: number;
  /** When it did not succeed: one for each step that expected something, in their order. */
  readonly found: readonly (WireKeyValue | undefined)[];
}

/** What a watch tells. */
export interface WatchResponse {
  readonly revision: number;
  readonly created: boolean;
  readonly canceled: boolean;
  /** Set when the watch began too far back. */
  readonly compactRevision: number;
  readonly cancelReason: string;
  readonly events: readonly (Omit<StoreEvent, 'key'> & { readonly key: Buffer })[];
}

export function encodeRange(request: RangeRequest): MessageWriter {
  return new MessageWriter()
    .bytes(1, request.key)
    .bytes(2, request.end)
    .integer(3, request.limit)
    .integer(4, request.revision)
    .boolean(9, request.countOnly ?? false);
}

export function decodeRange(message: Buffer): RangeResponse {
  const items: WireKeyValue[] = [];
  let revision = 0;
  let more = false;
  for (const { field, bytes, integer } of readMessage(message)) {
    if (field === 1 && bytes !== undefined) revision = decodeHeader(bytes);
    else if (field === 2 && bytes !== undefined) items.push(decodeKeyValue(bytes));
    else if (field === 3) more = integer === 1;
  }
  return { revision, items, more };
}

const compareEqual = 0;
const compareModRevision = 2;

export function encodeTransaction({ steps }: TransactionRequest): MessageWriter {
  const message = new MessageWriter();
  const expecting = steps.filter((step) => step.expect !== undefined);
  for (const { bytes, expect = 0 } of expecting) {
    const comparison = new MessageWriter().integer(1, compareEqual).integer(2, compareModRevision).bytes(3, bytes);
    // The one of several values that is there says what is compared, even if it is 0.
    message.message(1, expect === 0 ? comparison.zero(6) : comparison.integer(6, expect));
  }
  for (const step of steps) {
    const request = new MessageWriter();
    if (step.type === 'put') request.message(2, new MessageWriter().bytes(1, step.bytes).bytes(2, step.value));
    else request.message(3, new MessageWriter().bytes(1, step.bytes));
    message.message(2, request);
  }
  for (const { bytes } of expecting) {
    const range = encodeRange({ key: bytes, end: new Uint8Array(), limit: 0, revision: 0 });
    message.message(3, new MessageWriter().message(1, range));
  }
  return message;
}

export function decodeTransaction(message: Buffer): TransactionResponse {
  const found: (WireKeyValue | undefined)[] = [];
  let succeeded = false;
  let revision = 0;
  for (const { field, bytes, integer } of readMessage(message)) {
    if (field === 1 && bytes !== undefined) revision = decodeHeader(bytes);
    else if (field === 2) succeeded = integer === 1;
    else if (field === 3 && bytes !== undefined) {
      for (const response of readMessage(bytes))
        if (response.field === 1 && response.bytes !== undefined) found.push(decodeRange(response.bytes).items[0]);
    }
  }
  return { succeeded, revision, found };
}

export function encodeCompaction(revision: number): MessageWriter {
  return new MessageWriter().integer(1, revision);
}

/** Asks for a watch that tells from time to time how far it is, even when nothing happens. */
export function encodeWatchCreate(range: KeyRange, startRevision: number): MessageWriter {
  const request = new MessageWriter()
    .bytes(1, range.key)
    .bytes(2, range.end)
    .integer(3, startRevision)
    .boolean(4, true);
  return new MessageWriter().message(1, request);
}

export function decodeWatch(message: Buffer): WatchResponse {
  const response = { revision: 0, created: false, canceled: false, compactRevision: 0, cancelReason: '' };
  const events: WatchResponse['events'][number][] = [];
  for (const { field, bytes, integer = 0 } of readMessage(message)) {
    if (field === 1 && bytes !== undefined) response.revision = decodeHeader(bytes);
    else if (field === 3) response.created = integer === 1;
    else if (field === 4) response.canceled = integer === 1;
    else if (field === 5) response.compactRevision = integer;
    else if (field === 6) response.cancelReason = bytes?.toString() ?? '';
    else if (field === 11 && bytes !== undefined) events.push(decodeEvent(bytes));
  }
  return { ...response, events };
}

function decodeEvent(message: Buffer): WatchResponse['events'][number] {
  let type: StoreEvent['type'] = 'put';
  let item: WireKeyValue | undefined;
  for (const { field, bytes, integer } of readMessage(message)) {
    if (field === 1) type = integer === 1 ? 'delete' : 'put';
    else if (field === 2 && bytes !== undefined) item = decodeKeyValue(bytes);
  }
  if (item === undefined) throw new RangeError('an event of etcd is about no key');
  return { type, ...item };
}

function decodeHeader(message: Buffer): number {
  for (const { field, integer = 0 } of readMessage(message)) if (field === 3) return integer;
  return 0;
}

function decodeKeyValue(message: Buffer): WireKeyValue {
  let key: Buffer = Buffer.alloc(0);
  let value: Buffer = Buffer.alloc(0);
  let createRevision = 0;
  let modRevision = 0;
  for (const { field, bytes, integer = 0 } of readMessage(message)) {
    if (field === 1 && bytes !== undefined) key = bytes;
    else if (field === 2) createRevision = integer;
    else if (field === 3) modRevision = integer;
    else if (field === 5 && bytes !== undefined) value = bytes;
  }
  return { key, value, createRevision, modRevision };
}
