/**
 * Who has what, for things that only one may have: the addresses or ports of Services. What is stored counts, and what
 * requests under way have taken for themselves.
 */
export class Claims<T> {
  readonly #stored = new Map<T, string>();
  readonly #underWay = new Map<T, string>();

  /** Whether `owner` may take it. */
  isFreeFor(item: T, owner: string): boolean {
    return this.ownerOf(item) === undefined || this.ownerOf(item) === owner;
  }

  ownerOf(item: T): string | undefined {
    return this.#stored.get(item) ?? this.#underWay.get(item);
  }

  /** Follows the store: an object had some and has others now. */
  follow(owner: string, previous: Iterable<T>, current: Iterable<T>): void {
    for (const item of previous) if (this.#stored.get(item) === owner) this.#stored.delete(item);
    for (const item of current) if (!this.#stored.has(item)) this.#stored.set(item, owner);
  }

  /** Takes for a request under way. Returns the end of that: from then on what is stored decides. */
  take(item: T, owner: string): () => void {
    if (this.#stored.get(item) === owner || this.#underWay.get(item) === owner) return () => {};
    this.#underWay.set(item, owner);
    return () => {
      if (this.#underWay.get(item) === owner) this.#underWay.delete(item);
    };
  }

  get size(): number {
    return this.#stored.size + this.#underWay.size;
  }
}
