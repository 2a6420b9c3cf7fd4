import { setMaxListeners } from 'node:events';
import { objectKey, type Stored } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { backoffDelay, sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { compareResourceVersions } from './resource-version.ts';
import { type ApiClient, ApiError, type Change, type Informer, type ListOptions, type WatchEvent } from './types.ts';

type Item<K extends ResourceKey> = Stored<ResourceTypes[K]>;
type Listener<K extends ResourceKey> = (change: Change<Item<K>>) => void;

/** How an informer is set up. */
export interface InformerOptions<K extends ResourceKey> extends ListOptions {
  /** Stops the informer, as `stop()` does. */
  readonly signal?: AbortSignal;
  /** Told of breaks and of listeners that throw. */
  readonly log?: Logger;
  /** What of each object is kept; for readers that need little of much. Keeps `metadata` in any case. */
  readonly keep?: (object: Item<K>) => Item<K>;
}

/** A refused connection costs little, and a server that is back is to be noticed soon. */
const unreachableBackoff = { initial: 20, max: 1_000 };
const refusedBackoff = { initial: 20, max: 10_000 };
/** All components of a cluster start at once, the API server among them: until the first list, ask often for a while. */
const startBackoff = { initial: 20, max: 100 };
const startMs = 5_000;
/** A watch that lived this long was a good one: the next try starts without delay. */
const goodWatchMs = 1_000;

/**
 * Starts to follow a resource, by list and then watch, which every Kubernetes version serves. Breaks are hidden: the watch goes
 * on where it broke off, or, when the server no longer knows that version, a new list is compared with the store, so
 * that each change is told once, deletions too. An object deleted and made again under its name is told as two changes.
 */
export function createInformer<K extends ResourceKey>(
  client: ApiClient,
  resource: K,
  options: InformerOptions<K> = {},
): Informer<K> {
  return new ListWatchInformer(client, resource, options);
}

class ListWatchInformer<K extends ResourceKey> implements Informer<K> {
  readonly store = new Map<string, Item<K>>();
  readonly synced: Promise<void>;
  readonly #client: ApiClient;
  readonly #resource: K;
  readonly #options: InformerOptions<K>;
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<Listener<K>>();
  #resourceVersion = '';
  #hasSynced = false;
  #behindSince: number | undefined = Date.now();
  #settle: { resolve: () => void; reject: (reason: unknown) => void };

  constructor(client: ApiClient, resource: K, options: InformerOptions<K>) {
    this.#client = client;
    this.#resource = resource;
    this.#options = options;
    this.#settle = { resolve: () => {}, reject: () => {} };
    this.synced = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever does not wait for the first list does not want to hear that it never came.
    this.synced.catch(() => {});
    // Many informers may share one signal.
    if (options.signal !== undefined) setMaxListeners(0, options.signal);
    options.signal?.addEventListener('abort', () => this.stop(), { once: true });
    if (options.signal?.aborted === true) this.stop();
    void this.#run();
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  get behindSince(): number | undefined {
    return this.#behindSince;
  }

  onChange(listener: Listener<K>): () => void {
    this.#listeners.add(listener);
    for (const [key, current] of this.store) this.#tell(listener, { key, previous: undefined, current });
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    this.#settle.reject(
      new SignalboxError('API_UNREACHABLE', {
        object: `the list of ${this.#resource}`,
        problem: 'was not read before its reader stopped',
        remedy: 'see the log for what the API server answered',
      }),
    );
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let listed = false;
    let failures = 0;
    const start = Date.now();
    while (!signal.aborted) {
      const began = Date.now();
      let backoff = unreachableBackoff;
      try {
        if (!listed) await this.#list();
        listed = true;
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError) {
          backoff = refusedBackoff;
          listed &&= mayWatchOn(error);
        }
        this.#report(error);
      }
      this.#behindSince ??= Date.now();
      // Waits after a good watch's end too: a server that stops ends the watches of all clients at once.
      if (Date.now() - began > goodWatchMs) failures = 0;
      if (!this.#hasSynced && Date.now() - start < startMs) backoff = startBackoff;
      await sleep(backoffDelay(failures++, backoff), signal);
    }
  }

  /** For those who look closely: what lasts is told by the client, once for all informers. */
  #report(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log?.debug({ resource: this.#resource, reason }, 'watch broke off');
  }

  async #list(): Promise<void> {
    const { items, resourceVersion } = await this.#client.list(this.#resource, this.#options);
    if (this.#stopped.signal.aborted) return;
    this.#resourceVersion = resourceVersion;
    this.#replace(items);
    if (!this.#hasSynced) {
      this.#hasSynced = true;
      this.#settle.resolve();
    }
  }

  /** Brings the store to what a new list says; tells the differences only. */
  #replace(items: Item<K>[]): void {
    const listed = new Map(items.map((item) => [objectKey(item), item]));
    for (const [key, previous] of [...this.store])
      if (listed.get(key)?.metadata.uid !== previous.metadata.uid) this.#apply(key, undefined);
    const changed = [...listed].filter(
      ([key, item]) => this.store.get(key)?.metadata.resourceVersion !== item.metadata.resourceVersion,
    );
    changed.sort(([, a], [, b]) => compareResourceVersions(a.metadata.resourceVersion, b.metadata.resourceVersion));
    for (const [key, item] of changed) this.#apply(key, item);
  }

  async #watch(): Promise<void> {
    const { labelSelector, fieldSelector, namespace } = this.#options;
    const events = this.#client.watch(this.#resource, {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(namespace === undefined ? {} : { namespace }),
      resourceVersion: this.#resourceVersion,
      signal: this.#stopped.signal,
      onOpen: () => {
        this.#behindSince = undefined;
      },
    });
    for await (const event of events) {
      if (this.#stopped.signal.aborted) return;
      this.#take(event);
    }
  }

  #take(event: WatchEvent<Item<K>>): void {
    const { resourceVersion, uid } = event.object.metadata;
    this.#resourceVersion = resourceVersion;
    if (event.type === 'BOOKMARK') return;
    const key = objectKey(event.object);
    const previous = this.store.get(key);
    if (event.type === 'DELETED') {
      if (previous !== undefined) this.#apply(key, undefined);
    } else if (previous?.metadata.resourceVersion !== resourceVersion) {
      if (previous !== undefined && previous.metadata.uid !== uid) this.#apply(key, undefined);
      this.#apply(key, event.object);
    }
  }

  #apply(key: string, object: Item<K> | undefined): void {
    const previous = this.store.get(key);
    const current = object === undefined ? undefined : this.#trim(object);
    if (current === undefined) this.store.delete(key);
    else this.store.set(key, current);
    for (const listener of [...this.#listeners]) this.#tell(listener, { key, previous, current });
  }

  #trim(object: Item<K>): Item<K> {
    // A third of many an object, and read by nobody here; a server keeps it when an update leaves it out.
    delete object.metadata.managedFields;
    return this.#options.keep?.(object) ?? object;
  }

  #tell(listener: Listener<K>, change: Change<Item<K>>): void {
    try {
      listener(change);
    } catch (error) {
      // One reader's fault must not stop the others'.
      if (this.#options.log === undefined)
        queueMicrotask(() => {
          throw error;
        });
      else this.#options.log.error({ resource: this.#resource, key: change.key, err: error }, 'a listener failed');
    }
  }
}

/** Whether a watch may go on from the same version after this answer: the server is busy, and says nothing of the version. */
function mayWatchOn(error: ApiError): boolean {
  return error.code === 429 || (error.code >= 500 && error.code !== 504);
}
