import { join } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { SignalboxError } from '../errors/error.ts';
import { isLmdbError, throwCommitError } from './lmdb-errors.ts';
import { corrupted, dataFile, guardSize } from './lmdb-file.ts';
import {
  decodeLog,
  decodePosition,
  decodeState,
  encodeLog,
  encodePosition,
  encodeState,
  type LogRecord,
  type StateRecord,
} from './log-record.ts';
import type { KeyValue, StoreEvent } from './store.ts';

const format = 2;
const lastStep = 0xffffffff;

/** The revision of a store that nothing was written to. */
export const firstRevision = 1;

/** Steps that later ones replaced, and the revision up to which they are all of them. */
export interface Replaced {
  readonly positions: readonly Buffer[];
  readonly reached: number;
}

/**
 * What the embedded store has on disk: table `log` has every step by position, table `state` where each key's present
 * value stands in it. So a value is written once, history is the log itself, and compaction drops what a later step
 * replaced. Reads of one `reading` see one snapshot; what is written in one `batch` is on disk together.
 * @throws SignalboxError `STORE_CORRUPTED` from all that reads
 */
export class LmdbTables {
  readonly #env: RootDatabase<Buffer, Buffer>;
  readonly #path: string;
  readonly #log: Database<Buffer, Buffer>;
  readonly #state: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  readonly #checkSize: () => void;

  /**
   * @param path the folder
   * @throws SignalboxError `STORE_UNREADABLE` when another version wrote it
   */
  constructor(env: RootDatabase<Buffer, Buffer>, path: string) {
    this.#env = env;
    this.#path = path;
    this.#checkSize = guardSize(path);
    const table = (name: string) => env.openDB({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#log = table('log');
    this.#state = table('state');
    this.#meta = table('meta');
    const found = this.#readMeta('format', format);
    if (found !== format) throw foreignFormat(path, found);
    const { revision } = this;
    for (const key of this.#log.getKeys({ reverse: true, limit: 1 }))
      if (decodePosition(key).revision > revision) throw this.#damaged('the revision is behind the log');
  }

  /** Of the last transaction. */
  get revision(): number {
    return this.#readMeta('revision', firstRevision);
  }

  /** Up to which history is gone. */
  get compacted(): number {
    return this.#readMeta('compacted', firstRevision);
  }

  /** All reading goes through here: what LMDB meets in a damaged file has the store's own code. */
  reading<T>(read: () => T): T {
    this.#checkSize();
    try {
      return read();
    } catch (error) {
      if (!isLmdbError(error)) throw error;
      throw this.#damaged(error.message);
    }
  }

  /**
   * Resolves when all that `write` does is on disk.
   * @throws SignalboxError `STORE_FULL`, `STORE_FAILED`; nothing is written then
   */
  async batch(write: () => void): Promise<void> {
    this.#checkSize();
    const batch = this.#env.batch(() => {
      write();
      this.#writeMeta('format', format);
    });
    await batch.catch((error: Error) => throwCommitError(error, this.#path));
    this.forgetSnapshot();
  }

  /** A snapshot taken earlier in this turn would not have what was just committed, or would have what was not. */
  forgetSnapshot(): void {
    this.#env.resetReadTxn();
  }

  /** Within a `batch`. */
  write(revision: number, records: readonly LogRecord[]): void {
    for (const [step, record] of records.entries()) {
      const key = Buffer.from(record.key);
      const state = { revision, step, createRevision: record.createRevision };
      followed(this.#log.put(encodePosition({ revision, step }), encodeLog(record)));
      followed(record.type === 'delete' ? this.#state.remove(key) : this.#state.put(key, encodeState(state)));
    }
    this.#writeMeta('revision', revision);
  }

  /** Within a `batch`. */
  remove({ positions, reached }: Replaced): void {
    for (const position of positions) followed(this.#log.remove(position));
    this.#writeMeta('compacted', reached);
  }

  /** Where the present value of a key stands. */
  stateOf(key: string): StateRecord | undefined {
    const bytes = this.#state.get(Buffer.from(key));
    return bytes === undefined ? undefined : this.#decodeState(key, bytes);
  }

  load(key: string, state: StateRecord): KeyValue {
    const bytes = this.#log.get(encodePosition(state));
    const record = bytes === undefined ? undefined : decodeLog(bytes);
    if (record?.key !== key) throw this.#damaged(`the value of ${key} at revision ${state.revision} is lost`);
    const { value, createRevision } = record;
    return { key, value, createRevision, modRevision: state.revision };
  }

  /** All keys that begin so, in their order, as they were at a revision that is not compacted. */
  itemsAt(prefix: string, revision: number): KeyValue[] {
    const states = this.#statesUnder(prefix);
    const isPast = revision < this.revision;
    if (isPast) this.#rewind(states, prefix, revision);
    const items = [...states].map(([key, state]) => this.load(key, state));
    if (isPast) items.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    return items;
  }

  /** Whole transactions from `from` on, until about `limit` events. */
  history(from: number, limit: number): readonly StoreEvent[] {
    const events: StoreEvent[] = [];
    for (const { key, value } of this.#log.getRange({ start: encodePosition({ revision: from, step: 0 }) })) {
      const { revision } = decodePosition(key);
      if (events.length >= limit && events.at(-1)?.modRevision !== revision) break;
      events.push(toEvent(revision, this.#decode(key, value)));
    }
    return events;
  }

  /** The steps that those after `after` replaced, up to `end` or until about `limit` of them were looked at. */
  replacedWithin(after: number, end: number, limit: number): Replaced {
    const positions: Buffer[] = [];
    let reached = after;
    let seen = 0;
    const range = {
      start: encodePosition({ revision: after + 1, step: 0 }),
      end: encodePosition({ revision: end + 1, step: 0 }),
    };
    for (const { key, value } of this.#log.getRange(range)) {
      const { revision } = decodePosition(key);
      if (seen++ >= limit && revision !== reached) return { positions, reached };
      reached = revision;
      const record = this.#decode(key, value);
      if (record.previous !== undefined) positions.push(encodePosition(record.previous));
      if (record.type === 'delete') positions.push(Buffer.from(key));
    }
    return { positions, reached: end };
  }

  close(): Promise<void> {
    return this.#env.close();
  }

  #statesUnder(prefix: string): Map<string, StateRecord> {
    const start = Buffer.from(prefix);
    const states = new Map<string, StateRecord>();
    for (const { key, value } of this.#state.getRange({ start })) {
      if (!key.subarray(0, start.length).equals(start)) break;
      const text = key.toString();
      states.set(text, this.#decodeState(text, value));
    }
    return states;
  }

  /** Takes back, newest first, what happened after `revision`. */
  #rewind(states: Map<string, StateRecord>, prefix: string, revision: number): void {
    // Reversed, a range ends before `end`, coming from above.
    const end = encodePosition({ revision, step: lastStep });
    for (const { key, value } of this.#log.getRange({ reverse: true, end })) {
      const record = this.#decode(key, value);
      if (!record.key.startsWith(prefix)) continue;
      if (record.previous === undefined) states.delete(record.key);
      else states.set(record.key, { ...record.previous, createRevision: record.createRevision });
    }
  }

  #decodeState(key: string, bytes: Buffer): StateRecord {
    const state = decodeState(bytes);
    if (state === undefined) throw this.#damaged(`the place of the value of ${key} is lost`);
    return state;
  }

  #decode(position: Buffer, bytes: Buffer): LogRecord {
    const record = decodeLog(bytes);
    if (record === undefined)
      throw this.#damaged(`what was written at revision ${decodePosition(position).revision} is lost`);
    return record;
  }

  #readMeta(name: string, otherwise: number): number {
    const bytes = this.#meta.get(Buffer.from(name));
    if (bytes === undefined) return otherwise;
    const text = bytes.toString();
    if (!/^[1-9]\d{0,15}$/.test(text)) throw this.#damaged(`its ${name} is lost`);
    return Number(text);
  }

  #writeMeta(name: string, value: number): void {
    followed(this.#meta.put(Buffer.from(name), Buffer.from(String(value))));
  }

  #damaged(problem: string): SignalboxError {
    return corrupted(join(this.#path, dataFile), `is damaged (${problem})`);
  }
}

/** A step as it is told of. */
export function toEvent(revision: number, record: LogRecord): StoreEvent {
  const { type, key, value } = record;
  return { type, key, value, createRevision: type === 'put' ? record.createRevision : 0, modRevision: revision };
}

function foreignFormat(path: string, found: number): SignalboxError {
  return new SignalboxError('STORE_UNREADABLE', {
    object: path,
    problem: `is a store of format ${found}, and this program reads format ${format}`,
    remedy: 'use the version of the program that wrote it, or another folder',
  });
}

/** The batch that a write belongs to tells how it went; the write's own promise says the same, and nobody waits for it. */
function followed(write: Promise<unknown>): void {
  write.catch(ignore);
}

function ignore(): void {}
