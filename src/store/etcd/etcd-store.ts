import { isSignalboxError, SignalboxError } from '../../errors/error.ts';
import {
  CompactedError,
  type KeyValue,
  type ListResult,
  type Operation,
  type Store,
  type StoreObserver,
  type TransactionResult,
} from '../store.ts';
import { EtcdClient, type EtcdEndpoints } from './etcd-client.ts';
import { EtcdWatch } from './etcd-watch.ts';
import { GrpcError, grpcCode } from './grpc.ts';
import type { KeyRange, RangeResponse, WireKeyValue } from './messages.ts';

/** Where a store in etcd is. */
export interface EtcdStoreConfig extends EtcdEndpoints {
  /** Comes before every key, so that several stores share one etcd: `/signalbox/one`. */
  readonly prefix: string;
}

const pageSize = 1_000;
const noEnd = new Uint8Array();

/**
 * Opens a store in etcd 3.4 or later; any number of processes may have it open.
 * @throws SignalboxError `STORE_UNAVAILABLE`
 */
export async function openEtcdStore(config: EtcdStoreConfig): Promise<Store> {
  const store = new EtcdStore(config);
  try {
    await store.begin();
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * The store in etcd. Every transaction also writes one key, the head: its revision is the store's, whatever else is
 * written to the same etcd, and is read without asking how far a watch is.
 */
class EtcdStore implements Store {
  readonly isShared = true;
  readonly #client: EtcdClient;
  readonly #keysPrefix: string;
  readonly #head: Uint8Array;
  readonly #watches = new Set<EtcdWatch>();
  #compacted = 1;

  constructor(config: EtcdStoreConfig) {
    this.#client = new EtcdClient(config);
    this.#keysPrefix = `${config.prefix}/keys`;
    this.#head = Buffer.from(`${config.prefix}/head`);
  }

  /** Makes the head, if this store is new. */
  async begin(): Promise<void> {
    const head = { type: 'put', key: '', value: noEnd, expect: 0, bytes: this.#head } as const;
    await this.#client.transact({ steps: [head] });
  }

  async revision(): Promise<number> {
    const { items, revision } = await this.#read({ key: this.#head, end: noEnd }, {});
    return items[0]?.modRevision ?? revision;
  }

  async compactedRevision(): Promise<number> {
    // etcd does not say; but it refuses to read before it. What is compacted stays so, and mostly nothing was since.
    let known = this.#compacted;
    if (await this.#isKept(known)) return known;
    let kept = await this.revision();
    while (kept - known > 1) {
      const middle = Math.floor((known + kept) / 2);
      if (await this.#isKept(middle)) kept = middle;
      else known = middle;
    }
    this.#compacted = kept;
    return kept;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    const { items } = await this.#read({ key: this.#toWire(key), end: noEnd }, {});
    return this.#toKeyValue(items[0]);
  }

  async list(prefix: string, revision?: number): Promise<ListResult> {
    const { key, end } = this.#rangeOf(prefix);
    const items: KeyValue[] = [];
    let at = revision ?? 0;
    let from = key;
    for (;;) {
      const page = await this.#read({ key: from, end }, { revision: at, limit: pageSize });
      // All pages as of the first one.
      if (at === 0) at = page.revision;
      for (const item of page.items) items.push(this.#fromWire(item));
      const last = page.items.at(-1);
      if (!page.more || last === undefined) return { items, revision: at };
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  async transact(operations: readonly Operation[]): Promise<TransactionResult> {
    const steps = operations.map((operation) => ({ ...operation, bytes: this.#toWire(operation.key) }));
    const head = { type: 'put', key: '', value: noEnd, bytes: this.#head } as const;
    const { succeeded, revision, found } = await this.#client
      .transact({ steps: [...steps, head] })
      .catch((error: unknown) => {
        throw toStoreError(error, operations[0]?.key ?? '');
      });
    if (succeeded) return { ok: true, revision };
    const expecting = operations.filter(({ expect }) => expect !== undefined);
    const failed = expecting.findIndex(({ expect }, i) => expect !== (found[i]?.modRevision ?? 0));
    const current = this.#toKeyValue(found[failed]);
    return { ok: false, key: expecting[failed]?.key ?? '', current };
  }

  watch(prefix: string, fromRevision: number, observer: StoreObserver): () => void {
    // All of the store: so an observer hears of every transaction, and knows how far it is.
    const range = { client: this.#client, ...rangeUnder(this.#head.subarray(0, -'head'.length)) };
    const watch = new EtcdWatch(range, fromRevision, {
      onTransaction: (events, revision) => {
        const own = events
          .map((event) => ({ ...event, key: this.#nameOf(event.key) ?? '' }))
          .filter(({ key }) => key !== '' && key.startsWith(prefix));
        observer.onEvents(own, revision);
      },
      onCompacted: (compacted) => {
        this.#watches.delete(watch);
        observer.onError(new CompactedError(fromRevision, compacted));
      },
    });
    this.#watches.add(watch);
    return () => {
      watch.stop();
      this.#watches.delete(watch);
    };
  }

  async compact(revision: number): Promise<void> {
    const end = Math.min(revision, await this.revision());
    try {
      await this.#client.compact(end);
    } catch (error) {
      if (isCompacted(error)) throw new CompactedError(end, await this.compactedRevision());
      throw toStoreError(error, `revision ${end}`);
    }
    this.#compacted = Math.max(this.#compacted, end);
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.stop();
    await this.#client.close();
  }

  async #read(range: KeyRange, { revision = 0, limit = 0 }): Promise<RangeResponse> {
    try {
      return await this.#client.range({ ...range, revision, limit });
    } catch (error) {
      if (isCompacted(error)) throw new CompactedError(revision, await this.compactedRevision());
      throw toStoreError(error, `revision ${revision}`);
    }
  }

  async #isKept(revision: number): Promise<boolean> {
    try {
      await this.#client.range({ key: this.#head, end: noEnd, revision, limit: 0, countOnly: true });
      return true;
    } catch (error) {
      if (isCompacted(error)) return false;
      throw toStoreError(error, `revision ${revision}`);
    }
  }

  #toWire(key: string): Buffer {
    return Buffer.from(this.#keysPrefix + key);
  }

  #rangeOf(prefix: string): KeyRange {
    return rangeUnder(this.#toWire(prefix));
  }

  /** Nothing for a key that is not one of this store's, as the head. */
  #nameOf(key: Buffer): string | undefined {
    const text = key.toString();
    return text.startsWith(this.#keysPrefix) ? text.slice(this.#keysPrefix.length) : undefined;
  }

  #fromWire(item: WireKeyValue): KeyValue {
    return { ...item, key: this.#nameOf(item.key) ?? '' };
  }

  #toKeyValue(item: WireKeyValue | undefined): KeyValue | undefined {
    return item === undefined ? undefined : this.#fromWire(item);
  }
}

/** All keys that begin so: up to the first that does not. */
function rangeUnder(key: Uint8Array): KeyRange {
  const end = Buffer.from(key);
  // No UTF-8 text has the byte 255, so the last one can always be counted up.
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1;
  return { key, end };
}

function isCompacted(error: unknown): boolean {
  return error instanceof GrpcError && error.code === grpcCode.outOfRange && error.message.includes('compacted');
}

function toStoreError(error: unknown, object: string): unknown {
  if (!(error instanceof GrpcError) || isSignalboxError(error)) return error;
  if (error.code === grpcCode.resourceExhausted && error.message.includes('space exceeded')) {
    return new SignalboxError('STORE_FULL', {
      object: 'etcd',
      problem: `takes no more (${error.message})`,
      remedy: 'compact and defragment it, raise its quota, and disarm its alarm',
      cause: error,
    });
  }
  if (error.message.includes('too large') || error.message.includes('larger than max')) {
    return new SignalboxError('STORE_TOO_LARGE', {
      object,
      problem: `is refused by etcd (${error.message})`,
      remedy: 'make the object smaller, or raise --max-request-bytes of etcd',
      cause: error,
    });
  }
  return new SignalboxError('STORE_FAILED', {
    object,
    problem: `was refused by etcd (${error.message})`,
    remedy: 'see what etcd has in its log',
    cause: error,
  });
}
