import type { Endpoint } from '../../model/types.ts';

/** What tells endpoints apart. */
type Address = Pick<Endpoint, 'ip' | 'port'>;

/**
 * Which endpoint has which index, from 0 to below their number. Who had one before keeps it, newcomers get those of
 * the gone, and the last move up where there are fewer than before: so as many elements change as endpoints do.
 * @param before by index; there may be holes, and anything besides
 */
export function assignSlots<E extends Address>(before: readonly (Address | undefined)[], endpoints: readonly E[]): E[] {
  if (before.length === 0) return [...endpoints];
  const unplaced = new Map(endpoints.map((endpoint) => [addressText(endpoint), endpoint]));
  const slots: (E | undefined)[] = Array.from({ length: unplaced.size }, (_, slot) => {
    const old = before[slot];
    if (old === undefined) return undefined;
    const text = addressText(old);
    const endpoint = unplaced.get(text);
    unplaced.delete(text);
    return endpoint;
  });
  const rest = unplaced.values();
  return slots.map((endpoint) => endpoint ?? next(rest));
}

function addressText({ ip, port }: Address): string {
  return `${ip} ${port}`;
}

/** As many are without a place as places are free. */
function next<E>(rest: Iterator<E>): E {
  const { done, value } = rest.next();
  if (done === true) throw new RangeError('more indices than endpoints');
  return value;
}
