import { SignalboxError } from '../errors/error.ts';

/** One key as it stands. Revisions are those of the whole store, as in etcd: every write transaction is the next one. */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision of the transaction that made the key, after which it was never deleted. */
  readonly createRevision: number;
  /** Revision of the transaction that wrote this value. */
  readonly modRevision: number;
}

/** A step of a transaction. */
export type Operation = {
  readonly key: string;
  /** `modRevision` that the key must have; 0: it must not exist; absent: whatever. */
  readonly expect?: number;
} & ({ readonly type: 'put'; readonly value: Uint8Array } | { readonly type: 'delete' });

/** What became of a transaction: all of its steps, or none. */
export type TransactionResult =
  | { readonly ok: true; readonly revision: number }
  | {
      readonly ok: false;
      /** The first key that was not as expected. */
      readonly key: string;
      /** How that key stands; absent when it does not exist. */
      readonly current: KeyValue | undefined;
    };

/** One step of a committed transaction. */
export interface StoreEvent {
  readonly type: 'put' | 'delete';
  readonly key: string;
  /** Empty for a delete. */
  readonly value: Uint8Array;
  /** 0 for a delete. */
  readonly createRevision: number;
  readonly modRevision: number;
}

/** Told of committed transactions, in order and without gaps, each in one call. */
export interface StoreObserver {
  /** What the transaction at `revision` did to the keys watched: nothing, when it was about others. */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
  /** The watch is over: `CompactedError` when it began too far back, else the store's failure. */
  readonly onError: (error: Error) => void;
}

export interface ListResult {
  readonly items: readonly KeyValue[];
  /** The store's revision at which the items stood. */
  readonly revision: number;
}

/**
 * A revisioned key-value store, in etcd's terms. What is acknowledged (a resolved `transact`) is on disk, is seen by
 * every later read, and comes to every observer. Keys are sorted by their UTF-8 bytes. Calls reject with `STORE_FULL`,
 * `STORE_TOO_LARGE`, `STORE_FAILED` and `STORE_UNAVAILABLE`; after the last, a transaction may have been carried out.
 */
export interface Store {
  /** Whether other processes may write at the same time: what one of them knows is then not all there is to know. */
  readonly isShared: boolean;
  /** The revision of the last committed transaction. */
  revision(): Promise<number>;
  get(key: string): Promise<KeyValue | undefined>;
  /**
   * All keys that begin with `prefix`, as they stood at `revision` (default: now).
   * @throws CompactedError when that revision is gone
   */
  list(prefix: string, revision?: number): Promise<ListResult>;
  /** Runs the steps as one, if every expectation holds. A key may occur once. */
  transact(operations: readonly Operation[]): Promise<TransactionResult>;
  /** Follows all keys that begin with `prefix`, from the transaction `fromRevision` on. Returns its end. */
  watch(prefix: string, fromRevision: number, observer: StoreObserver): () => void;
  /**
   * Forgets how things stood before `revision`; the present state always stays.
   * @throws CompactedError when that has happened already
   */
  compact(revision: number): Promise<void>;
  /** Oldest revision that `list` and `watch` still know. */
  compactedRevision(): Promise<number>;
  /** Completes what was begun, then frees all. */
  close(): Promise<void>;
}

/** A revision was asked for that the store has forgotten. */
export class CompactedError extends SignalboxError {
  /** The oldest revision still known. */
  readonly compactedRevision: number;

  constructor(revision: number, compactedRevision: number) {
    super('STORE_COMPACTED', {
      object: `revision ${revision}`,
      problem: `is gone, the oldest one kept is ${compactedRevision}`,
      remedy: 'list again and go on from there',
    });
    this.name = 'CompactedError';
    this.compactedRevision = compactedRevision;
  }
}
