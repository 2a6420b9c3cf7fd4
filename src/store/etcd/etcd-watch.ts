import { backoffDelay, sleep } from '../../component/backoff.ts';
import type { EtcdClient } from './etcd-client.ts';
import type { GrpcStream } from './grpc.ts';
import type { KeyRange, WatchResponse } from './messages.ts';

type WireEvent = WatchResponse['events'][number];

/** Told what happens. */
export interface EtcdWatchObserver {
  /** In order, each transaction in one call. */
  readonly onTransaction: (events: readonly WireEvent[], revision: number) => void;
  /** The watch is over: what comes next is no longer known. The oldest revision that is, comes along. */
  readonly onCompacted: (compactedRevision: number) => void;
}

const backoff = { initial: 20, max: 5_000 };

/** Follows a range of keys through broken connections and changing members, without a gap and without repeating. */
export class EtcdWatch {
  readonly #range: KeyRange & { readonly client: EtcdClient };
  readonly #observer: EtcdWatchObserver;
  readonly #stopping = new AbortController();
  #stream: GrpcStream | undefined;
  /** First revision not yet told. */
  #next: number;

  constructor(range: KeyRange & { readonly client: EtcdClient }, fromRevision: number, observer: EtcdWatchObserver) {
    this.#range = range;
    this.#next = fromRevision;
    this.#observer = observer;
    void this.#run();
  }

  stop(): void {
    this.#stopping.abort();
    this.#stream?.close();
  }

  async #run(): Promise<void> {
    for (let attempt = 0; !this.#stopping.signal.aborted; attempt++) {
      const began = this.#next;
      await this.#follow();
      if (this.#next > began) attempt = 0;
      await sleep(backoffDelay(attempt, backoff), this.#stopping.signal);
    }
  }

  /** Resolves when the connection is lost, or all is over. */
  async #follow(): Promise<void> {
    let end = () => {};
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    try {
      this.#stream = await this.#range.client.watch(this.#range, this.#next, {
        onResponse: (response) => this.#take(response),
        onEnd: end,
      });
    } catch {
      // Without a connection there is nothing to follow; whoever waits for news has a time-out of its own.
      return;
    }
    if (this.#stopping.signal.aborted) this.#stream.close();
    await over;
  }

  #take(response: WatchResponse): void {
    if (this.#stopping.signal.aborted) return;
    if (response.canceled) {
      if (response.compactRevision > 0) {
        this.stop();
        this.#observer.onCompacted(response.compactRevision);
      } else this.#stream?.close();
      return;
    }
    // That nothing happened up to here matters too: before, it may be compacted now.
    if (!response.created && response.events.length === 0) this.#next = Math.max(this.#next, response.revision + 1);
    for (let start = 0, end = 0; start < response.events.length; start = end) {
      const revision = response.events[start]?.modRevision ?? 0;
      while (end < response.events.length && response.events[end]?.modRevision === revision) end++;
      if (revision < this.#next) continue;
      this.#next = revision + 1;
      this.#observer.onTransaction(response.events.slice(start, end), revision);
    }
  }
}
