import type { Writable } from 'node:stream';
import type { CacheEvent, ResourceCache } from './resource-cache.ts';
import { expired, type StatusError } from './status.ts';
import type { StoredObject } from './stored-object.ts';
import type { View } from './views.ts';
import type { WatchCache } from './watch-cache.ts';

/** A watcher that does not read is dropped when this much waits for it; it lists again then. */
const maxBufferedBytes = 8 * 1024 * 1024;
const bookmarkEveryMs = 55_000;

/** What one watcher wants. */
export interface WatchRequest {
  readonly view: View;
  readonly namespace: string | undefined;
  readonly matches: (object: StoredObject) => boolean;
  /** Revision after which events are wanted; absent: first what is there, as added. */
  readonly after: number | undefined;
  readonly bookmarks: boolean;
  /** Whether a bookmark says when what was there at the start has all been sent. */
  readonly marksInitialEnd: boolean;
  readonly timeoutMs: number;
}

/** Sends a watcher its events until its time is over, it leaves, or the server stops. */
export class WatchStream {
  readonly #answer: Writable;
  readonly #cache: ResourceCache;
  readonly #watchCache: WatchCache;
  readonly #request: WatchRequest;
  #sentAny = false;
  #corked = false;
  #stopListening: () => void = () => {};
  #ended = false;

  /** To `answer` each write is one event. */
  constructor(answer: Writable, caches: { all: WatchCache; resource: ResourceCache }, request: WatchRequest) {
    this.#answer = answer;
    this.#cache = caches.resource;
    this.#watchCache = caches.all;
    this.#request = request;
  }

  /** Resolves when the watch is over. */
  async run(): Promise<void> {
    const { timeoutMs, bookmarks, after } = this.#request;
    const over = new Promise<void>((resolve) => this.#answer.once('close', resolve));
    const deadline = setTimeout(() => this.#end(), timeoutMs);
    const bookmarkTimer = bookmarks ? setInterval(() => this.#bookmark(), bookmarkEveryMs) : undefined;
    try {
      const revision = after ?? (await this.#sendInitial());
      this.#follow(revision);
      await over;
    } finally {
      this.#ended = true;
      clearTimeout(deadline);
      clearInterval(bookmarkTimer);
      this.#stopListening();
    }
  }

  /** Sends what is there, as fast as the client reads. Returns the revision at which it was. */
  async #sendInitial(): Promise<number> {
    const { view, namespace, matches, marksInitialEnd } = this.#request;
    const revision = this.#watchCache.revision;
    for (const object of this.#cache.list(namespace)) {
      if (!matches(object)) continue;
      const text = view.event(object, object.revision, !this.#sentAny);
      if (!this.#write(frame('ADDED', text))) await this.#drained();
      // A connection that is gone never drains.
      if (this.#ended || this.#answer.destroyed) return revision;
    }
    if (marksInitialEnd) this.#bookmark(revision, { 'k8s.io/initial-events-end': 'true' });
    return revision;
  }

  /** Sends what has happened since, and from then on what happens. In one turn, so that nothing falls between. */
  #follow(revision: number): void {
    if (this.#ended) return;
    const missed = this.#cache.eventsAfter(revision);
    if (missed === undefined) {
      this.#fail(expired(`too old resource version: ${revision} (${this.#cache.oldestRevision})`));
      return;
    }
    for (const event of missed) this.#send(event);
    this.#stopListening = this.#cache.listen(
      (event) => this.#send(event),
      () => this.#end(),
    );
  }

  #send(event: CacheEvent): void {
    const { namespace, matches } = this.#request;
    const { current, previous } = event;
    const subject = current ?? previous;
    if (subject === undefined || this.#ended) return;
    if (namespace !== undefined && !subject.key.startsWith(`${namespace}/`)) return;
    const is = current !== undefined && matches(current);
    const was = previous !== undefined && matches(previous);
    if (is && current !== undefined) this.#sendFrame(event, was ? 'MODIFIED' : 'ADDED', current);
    // Who leaves the selection is gone as far as this watcher is concerned.
    else if (was && previous !== undefined) this.#sendFrame(event, 'DELETED', previous);
  }

  #sendFrame(event: CacheEvent, type: 'ADDED' | 'MODIFIED' | 'DELETED', object: StoredObject): void {
    const { view } = this.#request;
    const first = !this.#sentAny;
    const key = `${view.key} ${type} ${first}`;
    let bytes = event.frames.get(key);
    if (bytes === undefined) {
      bytes = frame(type, view.event(object, event.revision, first));
      event.frames.set(key, bytes);
    }
    this.#write(bytes);
  }

  #bookmark(revision = this.#watchCache.revision, annotations?: { readonly [key: string]: string }): void {
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(annotations && { annotations }),
    };
    this.#write(frame('BOOKMARK', this.#request.view.bare(metadata)), false);
  }

  #fail(error: StatusError): void {
    this.#write(frame('ERROR', JSON.stringify(error.status)));
    this.#end();
  }

  /** Whether the client keeps up. Frames of one turn leave together. */
  #write(bytes: Buffer, counts = true): boolean {
    if (this.#ended || this.#answer.destroyed) return false;
    if (counts) this.#sentAny = true;
    if (!this.#corked) {
      this.#corked = true;
      this.#answer.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#answer.uncork();
      });
    }
    const keepsUp = this.#answer.write(bytes);
    if (this.#answer.writableLength > maxBufferedBytes) this.#answer.destroy();
    return keepsUp;
  }

  #drained(): Promise<void> {
    if (this.#answer.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#answer.off('drain', done);
        this.#answer.off('close', done);
        resolve();
      };
      this.#answer.on('drain', done);
      this.#answer.on('close', done);
    });
  }

  #end(): void {
    if (this.#ended) return;
    if (this.#request.bookmarks) this.#bookmark();
    this.#ended = true;
    this.#answer.end();
  }
}

function frame(type: string, object: string): Buffer {
  return Buffer.from(`{"type":"${type}","object":${object}}\n`);
}
