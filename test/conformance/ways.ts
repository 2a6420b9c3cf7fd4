import type { Surroundings, Walker } from '../../src/rules/packet.ts';

/** What may come of sending, and in which part of all cases, 0 to 1. */
export interface Way<T> {
  readonly result: T;
  readonly share: number;
}

/** Draws that rules make, and what is known without them. */
type Known = Omit<Surroundings, 'random' | 'chance'>;

/**
 * Everything that may come of sending packets, by doing it once for each outcome of each draw that the rules make: the
 * shares are exact. The walker is opened anew for each, so that one time leaves nothing behind for the next.
 */
export function everyWay<T>(
  open: (surroundings: Surroundings) => Walker,
  send: (walker: Walker) => T,
  known: Known,
): Way<T>[] {
  const ways: Way<T>[] = [];
  const pending: Draw[][] = [[]];
  for (let draws = pending.pop(); draws !== undefined; draws = pending.pop()) {
    const script = new Script(draws);
    const result = send(open({ ...known, random: (n) => script.random(n), chance: (p) => script.chance(p) }));
    if (script.next === undefined) ways.push({ result, share: draws.reduce((share, draw) => share * draw.share, 1) });
    else pending.push(...script.next.map((draw) => [...draws, draw]));
  }
  return ways;
}

interface Draw {
  readonly value: number;
  readonly share: number;
}

/** Answers draws as it was told, and notes the first one that it was not told about. */
class Script {
  /** The outcomes of that draw. */
  next: readonly Draw[] | undefined;
  readonly #draws: readonly Draw[];
  #place = 0;

  constructor(draws: readonly Draw[]) {
    this.#draws = draws;
  }

  random(modulus: number): number {
    return this.#draw(() => Array.from({ length: modulus }, (_, value) => ({ value, share: 1 / modulus })));
  }

  chance(probability: number): boolean {
    const outcomes = () => [
      { value: 1, share: probability },
      { value: 0, share: 1 - probability },
    ];
    return this.#draw(() => outcomes().filter(({ share }) => share > 0)) === 1;
  }

  #draw(outcomes: () => readonly Draw[]): number {
    const told = this.#draws[this.#place++];
    if (told !== undefined) return told.value;
    this.next ??= outcomes();
    return this.next[0]?.value ?? 0;
  }
}
