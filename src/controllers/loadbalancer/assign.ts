import type { Labels } from '../../api/label-selector.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import { type AddressPool, addressesOf, hasAddress, isOpenTo, isReserved } from './pools.ts';
import { conflict, type Sharing, type Wish } from './wish.ts';

/** What addresses are given by. */
export interface Surroundings {
  readonly pools: readonly AddressPool[];
  /** Who has an address, but for the Service in question. */
  readonly holders: (ip: Ip) => readonly Sharing[];
  /** Whether somebody who is none of ours has the address. */
  readonly isForeign: (ip: Ip) => boolean;
  /** What the Service has so far. */
  readonly current: readonly Ip[];
  readonly namespaceLabels: Labels | undefined;
}

/** What a Service gets, all of one pool. */
export interface Assignment {
  readonly ips: readonly Ip[];
  /** `undefined` when it gets nothing. */
  readonly pool?: string;
  /** Why it gets nothing, or something else than it asks for, in words for its owner. */
  readonly problem?: string;
}

/** Most addresses of a pool that are looked at for a free one. */
const mostTried = 65_536;

/**
 * Gives a Service its addresses, all of one pool. It keeps what it has as long as it may have it; what two have that
 * may not share it stays with the older one. Where it asks for what cannot be had, it keeps what it has all the more:
 * a slip of the pen is no reason to take a Service off the network.
 */
export function assign(wish: Wish, surroundings: Surroundings): Assignment {
  const open = surroundings.pools.filter((pool) => isOpenTo(pool, wish.namespace, surroundings.namespaceLabels));
  const result = fulfil(wish, open, surroundings);
  return result.problem === undefined ? result : { ...result, ...kept(wish, open, surroundings) };
}

function fulfil(wish: Wish, open: readonly AddressPool[], surroundings: Surroundings): Assignment {
  if (wish.unreadable !== undefined) return refused(`"${wish.unreadable}" is no list of addresses, one of a family`);
  const wanted = wish.pool === undefined ? open : open.filter(({ name }) => name === wish.pool);
  if (wish.pool !== undefined && wanted.length === 0) {
    const exists = surroundings.pools.some(({ name }) => name === wish.pool);
    return refused(
      exists ? `pool ${wish.pool} is not for namespace ${wish.namespace}` : `there is no pool ${wish.pool}`,
    );
  }
  const outside = wish.ips.find((ip) => !wanted.some((pool) => hasAddress(pool, ip)));
  if (outside !== undefined)
    return refused(`${outside} is in no pool that Services of namespace ${wish.namespace} may have addresses of`);
  const other = wish.ips.find((ip) => !wish.families.includes(familyOf(ip)));
  if (other !== undefined) return refused(`${other} is of a family that the Service does not have`);
  let problem = 'there is no pool to take an address from';
  let partly: Assignment | undefined;
  for (const pool of inOrder(wanted, wish, surroundings.current)) {
    const result = fromPool(pool, wish, surroundings);
    if ('ips' in result) {
      const given = { pool: pool.name, ips: result.ips };
      const isWhole = result.ips.length === wish.families.length;
      if (isWhole || result.ips.some((ip) => surroundings.current.includes(ip))) return given;
      partly ??= given;
    } else problem = result.problem;
  }
  return partly ?? refused(problem);
}

const refused = (problem: string): Assignment => ({ ips: [], problem });

/** What of its addresses a Service may go on with, whatever else it asks for. */
function kept(
  { families, ...wish }: Wish,
  open: readonly AddressPool[],
  { current, holders, isForeign }: Surroundings,
): Assignment | undefined {
  const mayStay = (ip: Ip) =>
    families.includes(familyOf(ip)) &&
    !isForeign(ip) &&
    holders(ip).every((other) => other.seniority > wish.seniority || conflict(wish, other) === undefined);
  for (const pool of open) {
    const ips = current.filter((ip) => hasAddress(pool, ip) && mayStay(ip));
    if (ips.length > 0) return { pool: pool.name, ips };
  }
  return undefined;
}

/** Pools that may serve the wish: that of the addresses it has first, then those for its namespace alone. */
function inOrder(pools: readonly AddressPool[], { ips, pool: asked }: Wish, current: readonly Ip[]): AddressPool[] {
  const has = (pool: AddressPool, some: readonly Ip[]) => some.some((ip) => hasAddress(pool, ip));
  const rank = (pool: AddressPool) => (has(pool, current) ? 0 : isReserved(pool) ? 1 : 2);
  return pools
    .filter((pool) => (ips.length > 0 ? has(pool, ips) : pool.autoAssign || asked !== undefined))
    .sort((a, b) => rank(a) - rank(b));
}

function fromPool(
  pool: AddressPool,
  wish: Wish,
  surroundings: Surroundings,
): { readonly ips: readonly Ip[] } | { readonly problem: string } {
  const ips: Ip[] = [];
  let problem = '';
  for (const family of wish.families) {
    const result = ofFamily(pool, { wish, family }, surroundings);
    if ('ip' in result) ips.push(result.ip);
    else if (wish.needsAll || wish.ips.some((ip) => familyOf(ip) === family)) return result;
    else problem = result.problem;
  }
  return ips.length > 0 ? { ips } : { problem };
}

function ofFamily(
  pool: AddressPool,
  { wish, family }: { readonly wish: Wish; readonly family: IpFamily },
  { holders, isForeign, current }: Surroundings,
): { readonly ip: Ip } | { readonly problem: string } {
  const obstacle = (ip: Ip, others: readonly Sharing[]): string | undefined =>
    isForeign(ip) ? 'somebody else on the network has it' : others.map((one) => conflict(wish, one)).find(Boolean);
  const held = current.find((ip) => familyOf(ip) === family && hasAddress(pool, ip));
  const elders = (ip: Ip) => holders(ip).filter(({ seniority }) => seniority < wish.seniority);
  const asked = wish.ips.find((ip) => familyOf(ip) === family);
  if (asked !== undefined) {
    const why = obstacle(asked, asked === held ? elders(asked) : holders(asked));
    return why === undefined ? { ip: asked } : { problem: `${asked} cannot be had: ${why}` };
  }
  if (held !== undefined && obstacle(held, elders(held)) === undefined) return { ip: held };
  let tried = 0;
  for (const ip of addressesOf(pool, family)) {
    if (tried++ === mostTried) break;
    if (obstacle(ip, holders(ip)) === undefined) return { ip };
  }
  return { problem: `pool ${pool.name} has no free ${family} address` };
}
