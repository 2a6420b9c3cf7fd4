/**
 * Who has what, for things that only one may have: the addresses or ports of Services. What is stored counts, and what
 * requests under way have taken for themselves.
 */
export class Claims<T> {
  readonly #stored = new Map<T, string>();
  readonly #underWay = new Map<T, string>();
  /** Who has in the store what another had first. */
  readonly #waiting = new Map<T, Set<string>>();

  /** Whether `owner` may take it. */
  isFreeFor(item: T, owner: string): boolean {
    return this.ownerOf(item) === undefined || this.ownerOf(item) === owner;
  }

  /** Who has it in the store. */
  holderOf(item: T): string | undefined {
    return this.#stored.get(item);
  }

  ownerOf(item: T): string | undefined {
    return this.#stored.get(item) ?? this.#underWay.get(item);
  }

  /** Follows the store: an object had some and has others now. */
  follow(owner: string, previous: Iterable<T>, current: Iterable<T>): void {
    for (const item of previous) this.#giveUp(item, owner);
    for (const item of current) {
      const other = this.#stored.get(item);
      if (other === undefined) this.#stored.set(item, owner);
      else if (other !== owner) this.#waiting.set(item, (this.#waiting.get(item) ?? new Set()).add(owner));
    }
  }

  /** What several have at once, which only a store that someone else wrote can tell of. */
  *doubled(): Generator<{ readonly item: T; readonly owner: string; readonly others: readonly string[] }> {
    for (const [item, others] of this.#waiting)
      yield { item, owner: this.#stored.get(item) ?? '', others: [...others] };
  }

  /** It goes to who else has it, and is free only when nobody has. */
  #giveUp(item: T, owner: string): void {
    const waiting = this.#waiting.get(item);
    waiting?.delete(owner);
    if (this.#stored.get(item) === owner) {
      const [next] = waiting ?? [];
      if (next === undefined) this.#stored.delete(item);
      else {
        this.#stored.set(item, next);
        waiting?.delete(next);
      }
    }
    if (waiting?.size === 0) this.#waiting.delete(item);
  }

  /** Takes for a request under way. Returns the end of that: from then on what is stored decides. */
  take(item: T, owner: string): () => void {
    if (this.#stored.get(item) === owner || this.#underWay.get(item) === owner) return () => {};
    this.#underWay.set(item, owner);
    return () => {
      if (this.#underWay.get(item) === owner) this.#underWay.delete(item);
    };
  }

  /** Everything that somebody has. */
  *items(): Generator<T> {
    yield* this.#stored.keys();
    yield* this.#underWay.keys();
  }
}
