import { randomUUID } from 'node:crypto';
import type { IPAddress, Service } from '../api/generated/types.ts';
import { resources } from '../api/resources.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { Operation, Store } from '../store/store.ts';
import { kubernetesTime } from './object-meta.ts';
import { addressesOf } from './service-allocations.ts';
import { type ApiObject, type StoredObject, storagePrefix, storageText } from './stored-object.ts';
import type { WatchCache } from './watch-cache.ts';

const resource = resources.ipAddresses;
const familyLabel = 'ipaddress.kubernetes.io/ip-family';
const managedLabel = 'ipaddress.kubernetes.io/managed-by';
const allocatorName = 'ipallocator.k8s.io';
const repairsAtOnce = 64;

/**
 * The steps by which a transaction that stores a Service keeps an IPAddress object for each of its addresses (KEP
 * 1880). A name can be made only once, so these objects are what keeps two API servers from giving one address to two
 * Services. `key` is the Service's.
 */
export function ipAddressOperations(
  key: string,
  { previous, current }: { readonly previous: Service | undefined; readonly current: Service | undefined },
  cache: WatchCache,
): Operation[] {
  const before = addressesOf(previous);
  const after = addressesOf(current);
  const known = cache.of(resource);
  const operations: Operation[] = [];
  for (const ip of before) {
    const found = known.get(ip);
    if (after.includes(ip)) continue;
    // One not seen yet may be on its way into the store.
    if (found === undefined) operations.push({ type: 'delete', key: storageKey(ip) });
    // What somebody else put in its place is not this Service's to remove.
    else if (ownerOf(found) === key) operations.push({ type: 'delete', key: storageKey(ip), expect: found.revision });
  }
  for (const ip of after) if (!before.includes(ip)) operations.push(putAddress(ip, key, cache));
  return operations;
}

/** The Service, as `namespace/name`, that an IPAddress says to be the address of. */
export function ownerOf({ object }: StoredObject): string | undefined {
  const { group = '', resource: kind, namespace, name } = (object as unknown as IPAddress).spec?.parentRef ?? {};
  return group === '' && kind === 'services' ? `${namespace}/${name}` : undefined;
}

/** Makes the IPAddress objects that are missing for Services as they stand. */
export async function repairIpAddresses(store: Store, cache: WatchCache): Promise<void> {
  const known = cache.of(resource);
  const wanted = new Map<string, string>();
  for (const { key, object } of cache.of(resources.services).list())
    for (const ip of addressesOf(object as Service)) if (!wanted.has(ip)) wanted.set(ip, key);
  const repairs: (() => Promise<unknown>)[] = [];
  for (const [ip, key] of wanted)
    if (known.get(ip) === undefined) repairs.push(() => store.transact([putAddress(ip, key, cache)]));
  for (const stored of known.list())
    if (isLeaked(stored, cache))
      repairs.push(() => store.transact([{ type: 'delete', key: storageKey(stored.key), expect: stored.revision }]));
  // One that fails has been done by another server.
  while (repairs.length > 0) await Promise.all(repairs.splice(0, repairsAtOnce).map((repair) => repair()));
  await cache.waitUntilFresh();
}

/** Puts back the IPAddress object of a Service's address, and removes one that is nobody's, whenever somebody did that. */
export function keepIpAddresses(
  { store, cache }: { readonly store: Store; readonly cache: WatchCache },
  {
    holderOf,
    onError,
  }: { readonly holderOf: (ip: string) => string | undefined; readonly onError: (error: unknown) => void },
): () => void {
  return cache.of(resource).listen(({ previous, current }) => {
    if (current !== undefined) {
      if (isLeaked(current, cache))
        store.transact([{ type: 'delete', key: storageKey(current.key), expect: current.revision }]).catch(onError);
      return;
    }
    const ip = previous?.key ?? '';
    const holder = holderOf(ip);
    if (holder !== undefined) store.transact([putAddress(ip, holder, cache)]).catch(onError);
  });
}

/** Made by an allocator, for a Service that is not there or has not the address. */
function isLeaked(stored: StoredObject, cache: WatchCache): boolean {
  if (stored.object.metadata.labels?.[managedLabel] !== allocatorName) return false;
  const owner = ownerOf(stored);
  const service = owner === undefined ? undefined : cache.of(resources.services).get(owner);
  return !addressesOf(service?.object as Service | undefined).includes(stored.key);
}

/** An object that is there for this Service stays: somebody kept the address for it. */
function putAddress(ip: string, key: string, cache: WatchCache): Operation {
  const found = cache.of(resource).get(ip);
  const isOwn = found !== undefined && ownerOf(found) === key;
  const parsed = isOwn ? undefined : ipAddress(ip as Ip, key);
  const text = parsed === undefined ? (found?.text ?? '') : storageText(resource, parsed);
  const value = Buffer.from(text);
  if (parsed !== undefined) cache.announce(value, { text, parsed });
  return { type: 'put', key: storageKey(ip), value, expect: isOwn ? found.revision : 0 };
}

function ipAddress(ip: Ip, key: string): ApiObject & IPAddress {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: resource.kind,
    apiVersion: `${resource.group}/${resource.version}`,
    metadata: {
      name: ip,
      uid: randomUUID(),
      creationTimestamp: kubernetesTime(),
      labels: { [familyLabel]: familyOf(ip), [managedLabel]: allocatorName },
    },
    spec: { parentRef: { group: '', resource: 'services', namespace, name } },
  };
}

function storageKey(ip: string): string {
  return storagePrefix(resource) + ip;
}
