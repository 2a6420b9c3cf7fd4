import type { StoreEvent, StoreObserver } from './store.ts';

const catchUpChunk = 1_000;

interface Subscription {
  readonly prefix: string;
  readonly observer: StoreObserver;
  /** Revision of the next transaction it has to see. */
  next: number;
  /** Whether published events go to it directly; before, it reads the history. */
  live: boolean;
}

/** Gives each observer every event of its prefix from its revision on, first out of the history, then live. */
export class WatchHub {
  readonly #history: (fromRevision: number, limit: number) => readonly StoreEvent[];
  readonly #subscriptions = new Set<Subscription>();

  /** `history` reads whole committed transactions from a revision on, about `limit` events of them. */
  constructor(history: (fromRevision: number, limit: number) => readonly StoreEvent[]) {
    this.#history = history;
  }

  add(prefix: string, fromRevision: number, observer: StoreObserver): () => void {
    const subscription: Subscription = { prefix, observer, next: fromRevision, live: false };
    this.#subscriptions.add(subscription);
    setImmediate(() => this.#catchUp(subscription));
    return () => {
      this.#subscriptions.delete(subscription);
    };
  }

  /** The events of one transaction. */
  publish(events: readonly StoreEvent[]): void {
    for (const subscription of this.#subscriptions) if (subscription.live) deliver(subscription, events);
  }

  close(): void {
    this.#subscriptions.clear();
  }

  #catchUp(subscription: Subscription): void {
    if (!this.#subscriptions.has(subscription)) return;
    try {
      const events = this.#history(subscription.next, catchUpChunk);
      // The history was empty in this very turn, so whatever is published from here on is new to it.
      if (events.length === 0) subscription.live = true;
      else {
        deliverTransactions(subscription, events);
        setImmediate(() => this.#catchUp(subscription));
      }
    } catch (error) {
      this.#subscriptions.delete(subscription);
      subscription.observer.onError(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

function deliverTransactions(subscription: Subscription, events: readonly StoreEvent[]): void {
  for (let start = 0, end = 0; start < events.length; start = end) {
    while (end < events.length && events[end]?.modRevision === events[start]?.modRevision) end++;
    deliver(subscription, events.slice(start, end));
  }
}

function deliver(subscription: Subscription, events: readonly StoreEvent[]): void {
  const revision = events[0]?.modRevision;
  // A commit can be visible in the history before it is published.
  if (revision === undefined || revision < subscription.next) return;
  subscription.next = revision + 1;
  const own = events.filter((event) => event.key.startsWith(subscription.prefix));
  subscription.observer.onEvents(own, revision);
}
