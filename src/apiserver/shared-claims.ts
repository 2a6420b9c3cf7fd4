import type { Service } from '../api/generated/types.ts';
import { resources } from '../api/resources.ts';
import type { Operation, Store } from '../store/store.ts';
import { portsOf } from './service-allocations.ts';
import type { WatchCache } from './watch-cache.ts';

const folder = '/claims/';

/**
 * What keeps two API servers from giving one node port to two Services: a key for each that is taken, made and removed
 * in the transaction that stores its Service. Where only one server writes, its memory is enough. (Addresses have
 * objects of their own, by which the same is done.)
 */
export function portClaimOperations(
  owner: string,
  { previous, current }: { readonly previous: Service | undefined; readonly current: Service | undefined },
): Operation[] {
  const before = claimKeys(previous);
  const after = claimKeys(current);
  const operations: Operation[] = [];
  for (const key of before) if (!after.has(key)) operations.push({ type: 'delete', key });
  for (const key of after)
    if (!before.has(key)) operations.push({ type: 'put', key, value: Buffer.from(owner), expect: 0 });
  return operations;
}

/** Removes claims of Services that are not there, and makes those that are missing: what others left in the store. */
export async function repairPortClaims(store: Store, cache: WatchCache): Promise<void> {
  await cache.waitUntilFresh();
  const wanted = new Map<string, string>();
  for (const { key, object } of cache.of(resources.services).list())
    for (const claim of claimKeys(object as Service)) if (!wanted.has(claim)) wanted.set(claim, key);
  // As of the same revision: other servers may be at work.
  const { items } = await store.list(folder, cache.revision);
  for (const { key, modRevision } of items)
    if (!wanted.delete(key)) await store.transact([{ type: 'delete', key, expect: modRevision }]);
  for (const [key, owner] of wanted) await store.transact([{ type: 'put', key, value: Buffer.from(owner), expect: 0 }]);
}

function claimKeys(service: Service | undefined): Set<string> {
  return new Set(portsOf(service).map((port) => `${folder}ports/${port}`));
}
