import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { makeFolder } from '../component/make-folder.ts';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { CommitQueue } from './commit-queue.ts';
import { lockFolder } from './folder-lock.ts';
import { isLmdbError, throwCommitError } from './lmdb-errors.ts';
import { checkLmdbFile, corrupted, dataFile, guardSize, markMade, removeReaderTable } from './lmdb-file.ts';
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
import {
  CompactedError,
  type KeyValue,
  type ListResult,
  type Operation,
  type Store,
  type StoreEvent,
  type StoreObserver,
  type TransactionResult,
} from './store.ts';
import { WatchHub } from './watch-hub.ts';

const format = 2;
const firstRevision = 1;
const compactionChunk = 2_000;
const lastStep = 0xffffffff;
const maxKeyBytes = 1_900;

/** A key as transactions under way will leave it; `state` is absent when they delete it. */
interface PendingKey {
  readonly revision: number;
  readonly state: StateRecord | undefined;
}

/**
 * Opens, or makes, a store in the folder `path`. One process may have it open at a time.
 * @throws SignalboxError `STORE_UNREADABLE`, `STORE_CORRUPTED`, `STORE_LOCKED`
 */
export async function openLmdbStore(path: string): Promise<Store> {
  let unlock = () => {};
  try {
    // It holds Secrets.
    makeFolder(path, 0o700);
    chmodSync(path, 0o700);
    unlock = await lockFolder(path);
    checkLmdbFile(path);
    removeReaderTable(path);
    // Without overlapping syncs a commit ends with fdatasync: what the promise of a batch means then is "on disk".
    const env = open<Buffer, Buffer>({
      path: join(path, dataFile),
      maxDbs: 3,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
      // Batches are made by the commit queue; one around them would fail unheard.
      eventTurnBatching: false,
    });
    return await openTables(env, { path, unlock });
  } catch (error) {
    unlock();
    if (isSignalboxError(error)) throw error;
    throw new SignalboxError('STORE_UNREADABLE', {
      object: path,
      problem: `cannot be opened as a store (${error instanceof Error ? error.message : String(error)})`,
      remedy: 'let this user write to it, or name another folder',
      cause: error,
    });
  }
}

async function openTables(env: RootDatabase<Buffer, Buffer>, folder: LockedFolder): Promise<Store> {
  try {
    const store = new LmdbStore(env, folder);
    markMade(folder.path);
    return store;
  } catch (error) {
    await env.close();
    throw error;
  }
}

/** The data folder, which no other process has open before `unlock`. */
interface LockedFolder {
  readonly path: string;
  readonly unlock: () => void;
}

/**
 * The embedded store: table `log` has every step by position, table `state` where each key's present value stands in
 * it. So a value is written once, history is the log itself, and compaction drops what a later step replaced.
 */
class LmdbStore implements Store {
  readonly isShared = false;
  readonly #env: RootDatabase<Buffer, Buffer>;
  readonly #folder: LockedFolder;
  readonly #log: Database<Buffer, Buffer>;
  readonly #state: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  readonly #queue: CommitQueue;
  readonly #hub: WatchHub;
  readonly #pending = new Map<string, PendingKey>();
  readonly #checkSize: () => void;
  #assigned: number;
  #compacted: number;
  #closed = false;

  constructor(env: RootDatabase<Buffer, Buffer>, folder: LockedFolder) {
    this.#env = env;
    this.#folder = folder;
    this.#checkSize = guardSize(folder.path);
    const table = (name: string) => env.openDB({ name, encoding: 'binary', keyEncoding: 'binary' });
    this.#log = table('log');
    this.#state = table('state');
    this.#meta = table('meta');
    const found = this.#readMeta('format', format);
    if (found !== format) throw foreignFormat(folder.path, found);
    this.#assigned = this.#readMeta('revision', firstRevision);
    this.#compacted = this.#readMeta('compacted', firstRevision);
    for (const key of this.#log.getKeys({ reverse: true, limit: 1 }))
      if (decodePosition(key).revision > this.#assigned) throw this.#damaged('the revision is behind the log');
    this.#queue = new CommitQueue(
      async (write) => {
        this.#checkSize();
        const batch = env.batch(() => {
          write();
          this.#writeMeta('format', format);
        });
        await batch.catch((error: Error) => throwCommitError(error, this.#folder.path));
        // A snapshot taken earlier in this turn would not have what was just committed.
        env.resetReadTxn();
      },
      (error) => isSignalboxError(error, 'STORE_FULL') && this.#forgetUncommitted(),
    );
    this.#hub = new WatchHub((from, limit) => this.#reading(() => this.#history(from, limit)));
  }

  async revision(): Promise<number> {
    return this.#reading(() => this.#readMeta('revision', firstRevision));
  }

  async compactedRevision(): Promise<number> {
    return this.#compacted;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    return this.#reading(() => {
      const state = this.#stateOf(key);
      return state === undefined ? undefined : this.#load(key, state);
    });
  }

  async list(prefix: string, revision?: number): Promise<ListResult> {
    return this.#reading(() => this.#list(prefix, revision));
  }

  #list(prefix: string, revision: number | undefined): ListResult {
    // All reads below happen in one turn, and so in one snapshot.
    const current = this.#readMeta('revision', firstRevision);
    const at = revision ?? current;
    if (at < this.#compacted) throw new CompactedError(at, this.#compacted);
    const states = this.#statesUnder(prefix);
    if (at < current) this.#rewind(states, prefix, at);
    const items = [...states].map(([key, state]) => this.#load(key, state));
    if (at < current) items.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
    return { items, revision: at };
  }

  async transact(operations: readonly Operation[]): Promise<TransactionResult> {
    this.#assertOpen();
    for (const operation of operations) checkKey(operation.key);
    const states = this.#reading(() => operations.map((operation) => this.#newestState(operation.key)));
    const failed = operations.findIndex(
      ({ expect }, i) => expect !== undefined && expect !== (states[i]?.revision ?? 0),
    );
    const failedKey = operations[failed]?.key;
    if (failedKey !== undefined) {
      // What stands in the way may itself be on its way to the disk, and must not be told of before it is there.
      await this.#queue.drain();
      return { ok: false, key: failedKey, current: await this.get(failedKey) };
    }
    return { ok: true, revision: await this.#commit(operations, states) };
  }

  watch(prefix: string, fromRevision: number, observer: StoreObserver): () => void {
    if (fromRevision <= this.#compacted && this.#compacted > firstRevision) {
      queueMicrotask(() => observer.onError(new CompactedError(fromRevision, this.#compacted)));
      return () => {};
    }
    return this.#hub.add(prefix, fromRevision, observer);
  }

  async compact(revision: number): Promise<void> {
    this.#assertOpen();
    if (revision <= this.#compacted) throw new CompactedError(revision, this.#compacted);
    const end = Math.min(revision, await this.revision());
    let from = this.#compacted;
    // Readers are refused first: what they would need is about to go.
    this.#compacted = end;
    while (from < end) from = await this.#compactChunk(from, end);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drain();
    this.#hub.close();
    await this.#env.close();
    this.#folder.unlock();
  }

  async #commit(operations: readonly Operation[], states: readonly (StateRecord | undefined)[]): Promise<number> {
    const revision = ++this.#assigned;
    const records = operations.map((operation, step): LogRecord => {
      const previous = states[step];
      const createRevision = previous?.createRevision ?? revision;
      const next = operation.type === 'put' ? { revision, step, createRevision } : undefined;
      this.#pending.set(operation.key, { revision, state: next });
      const value = operation.type === 'put' ? operation.value : Buffer.alloc(0);
      return { type: operation.type, key: operation.key, value, createRevision, previous };
    });
    await this.#queue.add({
      size: records.reduce((sum, record) => sum + record.value.length + 64, 0),
      write: () => this.#write(revision, records),
      onCommitted: () => this.#committed(revision, records),
    });
    return revision;
  }

  #write(revision: number, records: readonly LogRecord[]): void {
    for (const [step, record] of records.entries()) {
      const key = Buffer.from(record.key);
      const state = { revision, step, createRevision: record.createRevision };
      followed(this.#log.put(encodePosition({ revision, step }), encodeLog(record)));
      followed(record.type === 'delete' ? this.#state.remove(key) : this.#state.put(key, encodeState(state)));
    }
    this.#writeMeta('revision', revision);
  }

  /** Goes back to what is on disk. */
  #forgetUncommitted(): true {
    this.#env.resetReadTxn();
    this.#pending.clear();
    this.#assigned = this.#readMeta('revision', firstRevision);
    return true;
  }

  #committed(revision: number, records: readonly LogRecord[]): void {
    for (const { key } of records) if (this.#pending.get(key)?.revision === revision) this.#pending.delete(key);
    this.#hub.publish(records.map((record) => toEvent(revision, record)));
  }

  #newestState(key: string): StateRecord | undefined {
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending.state;
    return this.#stateOf(key);
  }

  #stateOf(key: string): StateRecord | undefined {
    const bytes = this.#state.get(Buffer.from(key));
    return bytes === undefined ? undefined : this.#decodeState(key, bytes);
  }

  #load(key: string, state: StateRecord): KeyValue {
    const bytes = this.#log.get(encodePosition(state));
    const record = bytes === undefined ? undefined : decodeLog(bytes);
    if (record?.key !== key) throw this.#damaged(`the value of ${key} at revision ${state.revision} is lost`);
    const { value, createRevision } = record;
    return { key, value, createRevision, modRevision: state.revision };
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

  /** All reading goes through here: what LMDB meets in a damaged file has the store's own code. */
  #reading<T>(read: () => T): T {
    this.#checkSize();
    try {
      return read();
    } catch (error) {
      if (!isLmdbError(error)) throw error;
      throw this.#damaged(error.message);
    }
  }

  #damaged(problem: string): SignalboxError {
    return corrupted(join(this.#folder.path, dataFile), `is damaged (${problem})`);
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

  /** Whole transactions from `from` on, until about `limit` events. */
  #history(from: number, limit: number): readonly StoreEvent[] {
    const events: StoreEvent[] = [];
    for (const { key, value } of this.#log.getRange({ start: encodePosition({ revision: from, step: 0 }) })) {
      const { revision } = decodePosition(key);
      if (events.length >= limit && events.at(-1)?.modRevision !== revision) break;
      events.push(toEvent(revision, this.#decode(key, value)));
    }
    return events;
  }

  async #compactChunk(after: number, end: number): Promise<number> {
    const { gone, reached } = this.#reading(() => this.#replacedWithin(after, end));
    const batch = this.#env.batch(() => {
      for (const key of gone) followed(this.#log.remove(key));
      this.#writeMeta('compacted', reached);
    });
    await batch.catch((error: Error) => throwCommitError(error, this.#folder.path));
    return reached;
  }

  /** The steps that what came after `after` replaced, of as many transactions as are done at once. */
  #replacedWithin(after: number, end: number): { gone: readonly Buffer[]; reached: number } {
    const gone: Buffer[] = [];
    let last = after;
    let seen = 0;
    const range = {
      start: encodePosition({ revision: after + 1, step: 0 }),
      end: encodePosition({ revision: end + 1, step: 0 }),
    };
    let complete = true;
    for (const { key, value } of this.#log.getRange(range)) {
      const { revision } = decodePosition(key);
      if (seen++ >= compactionChunk && revision !== last) {
        complete = false;
        break;
      }
      last = revision;
      const record = this.#decode(key, value);
      if (record.previous !== undefined) gone.push(encodePosition(record.previous));
      if (record.type === 'delete') gone.push(Buffer.from(key));
    }
    return { gone, reached: complete ? end : last };
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

  #assertOpen(): void {
    if (this.#closed || this.#queue.failure !== undefined) {
      const reason = this.#closed ? 'is closed' : `failed to write (${this.#queue.failure?.message})`;
      throw new SignalboxError('STORE_FAILED', {
        object: 'the store',
        problem: reason,
        remedy: 'free space on its disk if that is full, and start the API server again',
        cause: this.#queue.failure,
      });
    }
  }
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

function toEvent(revision: number, record: LogRecord): StoreEvent {
  const { type, key, value } = record;
  return { type, key, value, createRevision: type === 'put' ? record.createRevision : 0, modRevision: revision };
}

function checkKey(key: string): void {
  const length = Buffer.byteLength(key);
  if (length === 0 || length > maxKeyBytes) {
    throw new SignalboxError('STORE_FAILED', {
      object: `a key of ${length} bytes`,
      problem: 'cannot be stored',
      remedy: `use 1 to ${maxKeyBytes} bytes`,
    });
  }
}
