import type { Station } from './duty.ts';

/** How stations are asked who they are. */
export interface StationsOptions {
  /** Asks a station for the address of its node; the answer comes by `answered`, or not at all. */
  readonly ask: (mac: string) => void;
}

interface Known {
  node: string | undefined;
  /** Questions since the last answer. */
  asks: number;
  nextAskAt: number;
}

const askEvery = 150;
const maxAsks = 4;
/** Whoever has answered is asked again after so long. */
const validFor = 30_000;
/** Whoever has not may have been out of reach, and soon gets another chance. */
const strangerFor = 1_000;
const maxStations = 4096;

/** Which of a link's stations are nodes of the cluster: those that say so when they are asked. */
export class Stations {
  readonly #ask: (mac: string) => void;
  readonly #known = new Map<string, Known>();

  constructor({ ask }: StationsOptions) {
    this.#ask = ask;
  }

  /** Who that is, as far as it is known; `now` in milliseconds. Asks where it is not. */
  look(mac: string, now: number): Station {
    const known = this.#known.get(mac) ?? this.#add(mac);
    if (now >= known.nextAskAt) {
      if (known.asks >= maxAsks) {
        known.node = undefined;
        known.asks = 0;
        known.nextAskAt = now + strangerFor;
        return 'stranger';
      }
      known.asks++;
      known.nextAskAt = now + askEvery;
      this.#ask(mac);
    }
    if (known.node !== undefined) return { node: known.node };
    return known.asks === 0 ? 'stranger' : 'unknown';
  }

  /** A station has said which node it is. */
  answered(mac: string, node: string, now: number): void {
    const known = this.#known.get(mac) ?? this.#add(mac);
    known.node = node;
    known.asks = 0;
    known.nextAskAt = now + validFor;
  }

  /** What was said last, without asking. */
  nodeOf(mac: string): string | undefined {
    return this.#known.get(mac)?.node;
  }

  /** The one that was added first goes when there are too many. */
  #add(mac: string): Known {
    const known = { node: undefined, asks: 0, nextAskAt: 0 };
    this.#known.set(mac, known);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > maxStations && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }
}
