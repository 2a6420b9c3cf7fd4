import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Accumulator } from './accumulator.ts';

const keys = ['a', 'b', 'c'] as const;
type Step = readonly [key: string, value: { readonly n: number } | undefined];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom(...keys),
  fc.option(
    fc.nat(2).map((n) => ({ n })),
    { nil: undefined },
  ),
);

function record(accumulator: Accumulator<{ readonly n: number }>, steps: readonly Step[], at = 0): void {
  for (const [i, [key, value]] of steps.entries()) accumulator.record(key, value, at + i);
}

/** What is pending, without the order and times that depend on history. */
function pending(accumulator: Accumulator<{ readonly n: number }>): unknown {
  return Object.fromEntries(accumulator.take().map(({ key, previous, current }) => [key, { previous, current }]));
}

describe('Accumulator', () => {
  it('has pending exactly the difference between what was taken and the latest state', () => {
    fc.assert(
      fc.property(fc.array(step), fc.array(step), (before, after) => {
        const accumulator = new Accumulator<{ readonly n: number }>();
        record(accumulator, before);
        accumulator.take();
        const taken = new Map(accumulator.latest);
        record(accumulator, after);
        const latest = new Map(taken);
        for (const [key, value] of after) value === undefined ? latest.delete(key) : latest.set(key, value);
        const expected = keys
          .filter((key) => taken.get(key)?.n !== latest.get(key)?.n)
          .map((key) => [key, { previous: taken.get(key), current: latest.get(key) }]);
        expect(accumulator.pendingCount).toBe(expected.length);
        expect(pending(accumulator)).toEqual(Object.fromEntries(expected));
        expect(accumulator.latest).toEqual(latest);
      }),
    );
  });

  it('does not depend on how changes of different objects interleave', () => {
    const histories = fc.array(fc.array(step, { maxLength: 6 }), { minLength: 3, maxLength: 3 });
    const picks = fc.array(fc.nat(2));
    fc.assert(
      fc.property(histories, picks, picks, (all, onePicks, otherPicks) => {
        const ofOneKeyEach = all.map((steps, i) => steps.map(([, value]): Step => [keys[i] ?? '', value]));
        const one = new Accumulator<{ readonly n: number }>();
        const other = new Accumulator<{ readonly n: number }>();
        record(one, interleave(ofOneKeyEach, onePicks));
        record(other, interleave(ofOneKeyEach, otherPicks));
        expect(pending(other)).toEqual(pending(one));
      }),
    );
  });

  it('remembers when the first change of those summed up happened', () => {
    const accumulator = new Accumulator<{ readonly n: number }>();
    accumulator.record('a', { n: 1 }, 10);
    accumulator.record('a', { n: 2 }, 20);
    expect(accumulator.take()).toEqual([{ key: 'a', previous: undefined, current: { n: 2 }, since: 10 }]);
    accumulator.record('a', { n: 2 }, 30);
    accumulator.record('a', undefined, 40);
    expect(accumulator.take()).toEqual([{ key: 'a', previous: { n: 2 }, current: undefined, since: 40 }]);
  });

  it('drops what was undone before it was taken', () => {
    const accumulator = new Accumulator<{ readonly n: number }>();
    expect(accumulator.record('a', { n: 1 }, 0)).toBe(true);
    expect(accumulator.record('a', undefined, 1)).toBe(true);
    expect(accumulator.record('a', undefined, 2)).toBe(false);
    expect(accumulator.take()).toEqual([]);
  });
});

/** Mixes histories, keeping the order within each: `picks` says which goes next. */
function interleave(histories: readonly (readonly Step[])[], picks: readonly number[]): Step[] {
  const rest = histories.map((history) => [...history]);
  return [...picks.flatMap((pick) => rest[pick]?.splice(0, 1) ?? []), ...rest.flat()];
}
