import type { Surroundings, Walker, WalkResult } from '../../src/rules/packet.ts';

/** Where a packet may end, and in which part of all cases, 0 to 1. */
export interface Way {
  readonly result: WalkResult;
  readonly share: number;
}

/** Draws that rules make, and what is known without them. */
type Known = Omit<Surroundings, 'random' | 'chance'>;

/**
 * Every way a packet may go, by walking it once for each outcome of each draw that its rules make: the shares are
 * exact. The walker is made anew for each, so that one walk leaves nothing behind for the next.
 */
export function everyWay(
  open: (surroundings: Surroundings) => Walker,
  send: (walker: Walker) => WalkResult,
  known: Known,
): Way[] {
  const ways: Way[] = [];
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
