import type { Resource } from '../api/resources.ts';
import type { Store, StoreEvent } from '../store/store.ts';
import { ResourceCache } from './resource-cache.ts';
import { tooLargeRevision } from './status.ts';
import { type ApiObject, StoredObject, storagePrefix } from './stored-object.ts';

/** How many transactions before the start can still be watched from: clients come back after a restart. */
const replayedRevisions = 2_000;
const freshnessMs = 3_000;
const registry = '/registry/';

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
}

/**
 * All objects of all resources, decoded, in memory, following the store. Serves every read; a write is in here before
 * its answer goes out.
 */
export class WatchCache {
  readonly #store: Store;
  readonly #caches = new Map<string, ResourceCache>();
  readonly #waiters = new Set<Waiter>();
  readonly #written = new WeakMap<Uint8Array, { readonly text: string; readonly parsed: ApiObject }>();
  #revision = 0;
  #stop: () => void = () => {};
  /** Called once, when the store's watch broke: this cache is stale from then on. */
  onFailure: (error: Error) => void = () => {};

  constructor(store: Store, resources: readonly Resource[]) {
    this.#store = store;
    for (const resource of resources) this.#caches.set(storagePrefix(resource), new ResourceCache(resource));
  }

  /** Loads all there is and follows the store from there. */
  async start(): Promise<void> {
    const current = await this.#store.revision();
    const from = Math.max(await this.#store.compactedRevision(), current - replayedRevisions);
    const { items, revision } = await this.#store.list(registry, from);
    for (const item of items) {
      const place = this.#placeOf(item.key);
      place?.cache.load(this.#decode(place.key, item.value, item.modRevision));
    }
    for (const cache of this.#caches.values()) cache.startHistory(revision);
    this.#revision = revision;
    this.#stop = this.#store.watch(registry, revision + 1, {
      onEvents: (events, revision) => this.#apply(events, revision),
      onError: (error) => this.onFailure(error),
    });
    await this.waitUntil(current);
  }

  /** Ends all watches, and those that come still. Reads and writes go on. */
  endWatches(): void {
    for (const cache of this.#caches.values()) cache.endWatches();
  }

  stop(): void {
    this.#stop();
    for (const cache of this.#caches.values()) cache.close();
  }

  /** The cache of a resource that was named to the constructor. */
  of(resource: Resource): ResourceCache {
    const cache = this.#caches.get(storagePrefix(resource));
    if (cache === undefined) throw new Error(`no cache for ${resource.plural}`);
    return cache;
  }

  /** The last revision seen. */
  get revision(): number {
    return this.#revision;
  }

  /** Saves decoding what this process itself is about to write. */
  announce(value: Uint8Array, content: { readonly text: string; readonly parsed: ApiObject }): void {
    this.#written.set(value, content);
  }

  /** Resolves when the cache is as new as the store is now. */
  async waitUntilFresh(): Promise<void> {
    await this.waitUntil(await this.#store.revision());
  }

  /**
   * Resolves when the cache has seen a revision.
   * @throws StatusError 504 after 3 seconds
   */
  waitUntil(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(tooLargeRevision(revision, this.#revision));
      }, freshnessMs);
      const waiter = {
        revision,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      this.#waiters.add(waiter);
    });
  }

  #apply(events: readonly StoreEvent[], revision: number): void {
    for (const event of events) {
      const place = this.#placeOf(event.key);
      const current =
        event.type === 'delete' || place === undefined
          ? undefined
          : this.#decode(place.key, event.value, event.modRevision);
      place?.cache.apply(place.key, current, event.modRevision);
    }
    this.#revision = revision;
    for (const waiter of this.#waiters) {
      if (waiter.revision > this.#revision) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  #placeOf(storageKey: string): { readonly cache: ResourceCache; readonly key: string } | undefined {
    const slash = storageKey.indexOf('/', registry.length) + 1;
    const cache = this.#caches.get(storageKey.slice(0, slash));
    return cache === undefined ? undefined : { cache, key: storageKey.slice(slash) };
  }

  #decode(key: string, value: Uint8Array, revision: number): StoredObject {
    const known = this.#written.get(value);
    if (known !== undefined) return new StoredObject(key, revision, known);
    const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString();
    return new StoredObject(key, revision, { text, parsed: JSON.parse(text) as ApiObject });
  }
}
