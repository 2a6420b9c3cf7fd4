/** Who takes a place. */
interface Guest {
  /** The client's address. */
  readonly address: string;
  /** Whether it is owed nothing. */
  readonly isIdle: boolean;
  /** Ends it; it leaves its place soon. */
  cut(): void;
}

/**
 * A bounded number of places. Who comes when all are taken gets the place of another: of the client that has the most,
 * so that nobody keeps others out, the one that came first of those that are idle. When nobody is, who came has to go.
 */
export class Places<G extends Guest> {
  readonly #limit: number;
  readonly #byClient = new Map<string, Set<G>>();
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  *[Symbol.iterator](): Generator<G, void> {
    for (const guests of this.#byClient.values()) yield* guests;
  }

  enter(guest: G): void {
    if (this.#taken === this.#limit) {
      const other = this.#dispensable();
      (other ?? guest).cut();
      if (other === undefined) return;
      this.leave(other);
    }
    const guests = this.#byClient.get(guest.address) ?? new Set();
    this.#byClient.set(guest.address, guests.add(guest));
    this.#taken++;
  }

  /** Nothing for who has no place. */
  leave(guest: G): void {
    const guests = this.#byClient.get(guest.address);
    if (guests?.delete(guest) !== true) return;
    this.#taken--;
    if (guests.size === 0) this.#byClient.delete(guest.address);
  }

  #dispensable(): G | undefined {
    let most: Iterable<G> & { readonly size: number } = new Set<G>();
    for (const guests of this.#byClient.values()) if (guests.size > most.size) most = guests;
    return firstIdle(most) ?? firstIdle(this);
  }
}

function firstIdle<G extends Guest>(guests: Iterable<G>): G | undefined {
  for (const guest of guests) if (guest.isIdle) return guest;
  return undefined;
}
