import type { Endpoint } from '../../model/types.ts';

/** What tells endpoints apart. */
type Address = Pick<Endpoint, 'ip' | 'port'>;

/**
 * Which endpoint has which index, from 0 to below their number. Who had one before keeps it, newcomers get those of
 * the gone, and the last move up where there are fewer than before: so as many elements change as endpoints do.
 * @param before by index; there may be holes, and anything besides
 */
export function assignSlots<E extends Address>(
  before: readonly (Address | undefined)[],
  endpoints: readonly E[],
): readonly E[] {
  if (before.length === 0) return endpoints;
  const addressText = textOf(before, endpoints);
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

/** What an endpoint is told by: where all have the same port, as nearly always, its address alone. */
function textOf(before: readonly (Address | undefined)[], endpoints: readonly Address[]): (address: Address) => string {
  const port = endpoints[0]?.port;
  const isSame = (address: Address | undefined) => address === undefined || address.port === port;
  return endpoints.every(isSame) && before.every(isSame) ? ({ ip }) => ip : ({ ip, port }) => `${ip} ${port}`;
}

/** As many are without a place as places are free. */
function next<E>(rest: Iterator<E>): E {
  const { done, value } = rest.next();
  if (done === true) throw new RangeError('more indices than endpoints');
  return value;
}
