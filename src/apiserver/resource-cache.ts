import type { Resource } from '../api/resources.ts';
import type { StoredObject } from './stored-object.ts';

const maxHistory = 4_096;
/** Events whose encoded bytes are kept for watchers that come back; older ones are encoded anew when asked for. */
const maxEncoded = 256;

/** One change of one object. `current` is absent when it was deleted, `previous` when it was created. */
export interface CacheEvent {
  readonly current: StoredObject | undefined;
  readonly previous: StoredObject | undefined;
  readonly revision: number;
  /** The event in bytes, by how it is encoded; made once, sent to every watcher that wants it so. */
  readonly frames: Map<string, Buffer>;
}

/** Told of every event of a resource, in order. */
export type CacheListener = (event: CacheEvent) => void;

/** All objects of one resource and their last changes. */
export class ResourceCache {
  readonly resource: Resource;
  readonly #objects = new Map<string, StoredObject>();
  readonly #byNamespace = new Map<string, Map<string, StoredObject>>();
  readonly #listeners = new Set<CacheListener>();
  readonly #closers = new Set<() => void>();
  #history: CacheEvent[] = [];
  /** Everything after this revision is in the history. */
  #historyStart = 0;
  #sortedKeys: readonly string[] | undefined;
  #isEnding = false;

  constructor(resource: Resource) {
    this.resource = resource;
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): StoredObject | undefined {
    return this.#objects.get(key);
  }

  /** All objects, or those of a namespace, sorted by key. */
  list(namespace?: string): readonly StoredObject[] {
    if (namespace !== undefined) return sortByKey([...(this.#byNamespace.get(namespace)?.values() ?? [])]);
    this.#sortedKeys ??= [...this.#objects.keys()].sort();
    const objects: StoredObject[] = [];
    for (const key of this.#sortedKeys) {
      const object = this.#objects.get(key);
      if (object !== undefined) objects.push(object);
    }
    return objects;
  }

  /** As `list`, as it stood at a revision; nothing when that is no longer known. */
  listAt(revision: number, namespace?: string): readonly StoredObject[] | undefined {
    if (revision < this.#historyStart) return undefined;
    const objects = new Map(this.#objects);
    for (let i = this.#history.length - 1; i >= 0; i--) {
      const event = this.#history[i];
      if (event === undefined || event.revision <= revision) break;
      if (event.previous !== undefined) objects.set(event.previous.key, event.previous);
      else if (event.current !== undefined) objects.delete(event.current.key);
    }
    const all = [...objects.values()];
    const prefix = `${namespace}/`;
    return sortByKey(namespace === undefined ? all : all.filter((object) => object.key.startsWith(prefix)));
  }

  /** The events after a revision; nothing when some of them are no longer known. */
  eventsAfter(revision: number): readonly CacheEvent[] | undefined {
    if (revision < this.#historyStart) return undefined;
    let from = this.#history.length;
    while (from > 0 && (this.#history[from - 1]?.revision ?? 0) > revision) from--;
    return this.#history.slice(from);
  }

  /** The oldest revision that can be watched from. */
  get oldestRevision(): number {
    return this.#historyStart;
  }

  /** Tells a listener of all events from now on; `onClose` is called when watches are to end. Returns the end. */
  listen(listener: CacheListener, onClose: () => void = () => {}): () => void {
    this.#listeners.add(listener);
    if (this.#isEnding) queueMicrotask(onClose);
    this.#closers.add(onClose);
    return () => {
      this.#listeners.delete(listener);
      this.#closers.delete(onClose);
    };
  }

  /** Asks those who watch to end, now and from now on. Nothing else changes. */
  endWatches(): void {
    this.#isEnding = true;
    for (const close of [...this.#closers]) close();
  }

  close(): void {
    this.endWatches();
    this.#listeners.clear();
    this.#closers.clear();
  }

  /** Puts in an object as it was at the start. */
  load(object: StoredObject): void {
    this.#put(object.key, object);
  }

  /** The objects loaded are those of this revision. */
  startHistory(revision: number): void {
    this.#historyStart = revision;
  }

  /** Follows one change of the store. */
  apply(key: string, current: StoredObject | undefined, revision: number): void {
    const previous = this.#objects.get(key);
    if (current === undefined && previous === undefined) return;
    this.#put(key, current);
    const event: CacheEvent = { current, previous, revision, frames: new Map() };
    this.#history.push(event);
    this.#history[this.#history.length - maxEncoded]?.frames.clear();
    if (this.#history.length > maxHistory * 2) this.#trimHistory();
    for (const listener of this.#listeners) listener(event);
  }

  #put(key: string, object: StoredObject | undefined): void {
    if (object === undefined || !this.#objects.has(key)) this.#sortedKeys = undefined;
    const namespace = this.resource.namespaced ? key.slice(0, key.indexOf('/')) : undefined;
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    if (namespace === undefined) return;
    let inNamespace = this.#byNamespace.get(namespace);
    if (inNamespace === undefined) {
      inNamespace = new Map();
      this.#byNamespace.set(namespace, inNamespace);
    }
    if (object === undefined) inNamespace.delete(key);
    else inNamespace.set(key, object);
    if (inNamespace.size === 0) this.#byNamespace.delete(namespace);
  }

  #trimHistory(): void {
    const gone = this.#history.length - maxHistory;
    this.#historyStart = this.#history[gone - 1]?.revision ?? this.#historyStart;
    this.#history = this.#history.slice(gone);
  }
}

function sortByKey(objects: StoredObject[]): StoredObject[] {
  return objects.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}
