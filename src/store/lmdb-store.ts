import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { makeFolder } from '../component/make-folder.ts';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { CommitQueue } from './commit-queue.ts';
import { lockFolder } from './folder-lock.ts';
import { checkLmdbFile, dataFile, markMade, removeReaderTable } from './lmdb-file.ts';
import { firstRevision, LmdbTables, toEvent } from './lmdb-tables.ts';
import type { LogRecord, StateRecord } from './log-record.ts';
import {
  CompactedError,
  type KeyValue,
  type ListResult,
  type Operation,
  type Store,
  type StoreObserver,
  type TransactionResult,
} from './store.ts';
import { WatchHub } from './watch-hub.ts';

const compactionChunk = 2_000;
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
    try {
      const store = new LmdbStore(new LmdbTables(env, path), unlock);
      markMade(path);
      return store;
    } catch (error) {
      await env.close();
      throw error;
    }
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

/**
 * The embedded store: transactions over its tables. One is answered when it is on disk; those that wait for that are
 * seen by the next ones already.
 */
class LmdbStore implements Store {
  readonly isShared = false;
  readonly #tables: LmdbTables;
  readonly #unlock: () => void;
  readonly #queue: CommitQueue;
  readonly #hub: WatchHub;
  readonly #pending = new Map<string, PendingKey>();
  #assigned: number;
  #compacted: number;
  #closed = false;

  /** @param unlock lets other processes open the folder */
  constructor(tables: LmdbTables, unlock: () => void) {
    this.#tables = tables;
    this.#unlock = unlock;
    this.#assigned = tables.revision;
    this.#compacted = tables.compacted;
    this.#queue = new CommitQueue(
      (write) => tables.batch(write),
      (error) => isSignalboxError(error, 'STORE_FULL') && this.#forgetUncommitted(),
    );
    this.#hub = new WatchHub((from, limit) => tables.reading(() => tables.history(from, limit)));
  }

  async revision(): Promise<number> {
    return this.#tables.reading(() => this.#tables.revision);
  }

  async compactedRevision(): Promise<number> {
    return this.#compacted;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    return this.#tables.reading(() => {
      const state = this.#tables.stateOf(key);
      return state === undefined ? undefined : this.#tables.load(key, state);
    });
  }

  async list(prefix: string, revision?: number): Promise<ListResult> {
    // All reads happen in one turn, and so in one snapshot.
    return this.#tables.reading(() => {
      const at = revision ?? this.#tables.revision;
      if (at < this.#compacted) throw new CompactedError(at, this.#compacted);
      return { items: this.#tables.itemsAt(prefix, at), revision: at };
    });
  }

  async transact(operations: readonly Operation[]): Promise<TransactionResult> {
    this.#assertOpen();
    for (const operation of operations) checkKey(operation.key);
    const states = this.#tables.reading(() => operations.map((operation) => this.#newestState(operation.key)));
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
    while (from < end) {
      const after = from;
      const replaced = this.#tables.reading(() => this.#tables.replacedWithin(after, end, compactionChunk));
      await this.#tables.batch(() => this.#tables.remove(replaced));
      from = replaced.reached;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.drain();
    this.#hub.close();
    await this.#tables.close();
    this.#unlock();
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
      write: () => this.#tables.write(revision, records),
      onCommitted: () => this.#committed(revision, records),
    });
    return revision;
  }

  /** Goes back to what is on disk. */
  #forgetUncommitted(): true {
    this.#tables.forgetSnapshot();
    this.#pending.clear();
    this.#assigned = this.#tables.revision;
    return true;
  }

  #committed(revision: number, records: readonly LogRecord[]): void {
    for (const { key } of records) if (this.#pending.get(key)?.revision === revision) this.#pending.delete(key);
    this.#hub.publish(records.map((record) => toEvent(revision, record)));
  }

  #newestState(key: string): StateRecord | undefined {
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending.state;
    return this.#tables.stateOf(key);
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
