/** Something open. */
export interface Closable {
  close(): unknown;
}

/** A new set of open things, beside the old one. One of its two methods is called, once. */
export interface Change<T> {
  /** The new set, by key: what stays, and what was opened for it. */
  readonly open: ReadonlyMap<string, T>;
  /** Makes the new set the one that is kept; returns what is no longer in it, to be closed. */
  accept(): T[];
  /** Closes what was opened, and leaves all as it was. */
  undo(): Promise<void>;
}

/**
 * Open things by what they are made from: what a new set has in common with the old one stays open, untouched. So a
 * configuration is changed as a whole or not at all.
 */
export class Kept<T extends Closable> {
  #open: ReadonlyMap<string, T> = new Map();

  /** What is open. */
  get values(): T[] {
    return [...this.#open.values()];
  }

  /** The first whose key fits. */
  find(fits: (key: string) => boolean): T | undefined {
    for (const [key, value] of this.#open) if (fits(key)) return value;
    return undefined;
  }

  /** Opens what of the wanted is not there; when one fails, those opened before it are closed, and it rejects. */
  async change(wanted: ReadonlyMap<string, () => T | Promise<T>>): Promise<Change<T>> {
    const open = new Map<string, T>();
    const fresh: T[] = [];
    const undo = async () => {
      for (const each of fresh.splice(0).reverse()) await each.close();
    };
    try {
      for (const [key, make] of wanted) {
        const known = this.#open.get(key);
        const value = known ?? (await make());
        if (known === undefined) fresh.push(value);
        open.set(key, value);
      }
    } catch (error) {
      await undo();
      throw error;
    }
    const accept = () => {
      const gone = [...this.#open].filter(([key]) => !open.has(key)).map(([, value]) => value);
      this.#open = open;
      return gone;
    };
    return { open, accept, undo };
  }

  /** Closes all, the last opened first. */
  async close(): Promise<void> {
    const open = this.values.reverse();
    this.#open = new Map();
    for (const each of open) await each.close();
  }
}
