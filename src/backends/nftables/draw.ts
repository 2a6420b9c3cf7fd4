import { SignalboxError } from '../../errors/error.ts';

/**
 * The sizes for which a draw chain exists: exact up to 8, from there two in an octave. Few enough to be there from
 * the start, so that no number of endpoints ever changes a chain.
 */
export const drawSizes: readonly number[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8],
  ...Array.from({ length: 11 }, (_, octave) => [12 << octave, 16 << octave]).flat(),
];

/** The most endpoints that one frontend can have. */
export const maxEndpoints = 16_384;

/** Draws that may miss before the one that cannot. */
const tries = 8;

/**
 * The draw size for a number of endpoints: the smallest that covers them.
 * @throws SignalboxError `TOO_MANY_ENDPOINTS` above `maxEndpoints`
 */
export function drawSize(endpoints: number, frontend: string): number {
  const size = drawSizes.find((candidate) => candidate >= endpoints);
  if (size !== undefined) return size;
  throw new SignalboxError('TOO_MANY_ENDPOINTS', {
    object: frontend,
    problem: `has ${endpoints} endpoints, and the nftables mode balances over ${maxEndpoints} at the most`,
    remedy: 'spread the Pods over several Services',
  });
}

/**
 * The numbers below which a chain of this size draws, one after another until one is the index of an endpoint.
 *
 * A chain serves every number of endpoints n above the next smaller size p. Up to 8 these are one number and the
 * first draw hits. Above, a draw misses with probability m = (size - n) / size < 1/3, and is repeated; a draw that
 * hits is uniform over the n. After eight misses the draw is below p, hence below n, and hits. So the first p
 * endpoints have the probability (1 - m^8)/n + m^8/p and the others (1 - m^8)/n: none is off 1/n by more than
 * m^8 < 1/6561 of it.
 */
export function drawModuli(size: number): readonly number[] {
  const place = drawSizes.indexOf(size);
  const smaller = drawSizes[place - 1];
  if (smaller === undefined || smaller === size - 1) return [size];
  return [...Array.from({ length: tries }, () => size), smaller];
}
