import { sameValue } from './same-value.ts';

/** What became of one object since the pending changes were last taken. No `previous`: new. No `current`: gone. */
export interface PendingChange<T> {
  readonly key: string;
  readonly previous: T | undefined;
  readonly current: T | undefined;
  /** When the first of the changes summed up here happened; milliseconds since the epoch. */
  readonly since: number;
}

/**
 * Sums up changes of many objects between two takes. Only the difference between the state last taken and the latest
 * one is pending: a change that says nothing new is dropped, and so is one that was undone in between. The order in
 * which changes of different objects interleave has no influence.
 */
export class Accumulator<T> {
  readonly #latest = new Map<string, T>();
  readonly #pending = new Map<string, { readonly previous: T | undefined; readonly since: number }>();

  /** The state with all changes recorded so far. */
  get latest(): ReadonlyMap<string, T> {
    return this.#latest;
  }

  /** How many objects differ from the state last taken. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Notes the object's new state, or that it is gone. Returns whether this differed from the state known before. */
  record(key: string, current: T | undefined, at: number): boolean {
    const latest = this.#latest.get(key);
    if (sameValue(latest, current)) return false;
    if (current === undefined) this.#latest.delete(key);
    else this.#latest.set(key, current);
    const pending = this.#pending.get(key);
    if (pending === undefined) this.#pending.set(key, { previous: latest, since: at });
    else if (sameValue(pending.previous, current)) this.#pending.delete(key);
    return true;
  }

  /** Hands out what is pending, in the order of first changes, and begins anew. */
  take(): PendingChange<T>[] {
    const changes = [...this.#pending].map(([key, { previous, since }]) => ({
      key,
      previous,
      current: this.#latest.get(key),
      since,
    }));
    this.#pending.clear();
    return changes;
  }
}
