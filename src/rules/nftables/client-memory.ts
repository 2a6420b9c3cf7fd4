import type { Value } from './syntax.ts';

/** What packets put in the dynamic maps of a table, until its time is over. */
export class ClientMemory {
  readonly #now: () => number;
  /** By map and key. */
  readonly #entries = new Map<string, { readonly data: readonly Value[]; until: number }>();

  /** @param now seconds since any fixed moment */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The data under a key, if there is any still. */
  recall(key: string): readonly Value[] | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.until > this.#now() ? entry.data : undefined;
  }

  /** As nft's `update`: what is there stays as it is, for longer. */
  remember(key: string, data: readonly Value[], seconds: number): void {
    const until = this.#now() + seconds;
    this.#entries.set(key, { data: this.recall(key) ?? data, until });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }
}
