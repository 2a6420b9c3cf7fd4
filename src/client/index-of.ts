import type { Stored } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import type { Informer } from './types.ts';

/** An informer's objects by something other than their key. */
export interface Index<T> {
  /** The objects under `value`, in no order. */
  get(value: string): readonly T[];
  /** How many there are. */
  count(value: string): number;
}

/**
 * Keeps an index of an informer's store. It is up to date in every listener registered after it. A changed object is
 * moved in time proportional to the values it has, not to the objects beside it.
 */
export function createIndex<K extends ResourceKey>(
  informer: Informer<K>,
  valuesOf: (object: Stored<ResourceTypes[K]>) => readonly string[],
): Index<Stored<ResourceTypes[K]>> {
  const buckets = new Map<string, Map<string, Stored<ResourceTypes[K]>>>();
  informer.onChange(({ key, previous, current }) => {
    const before = previous === undefined ? [] : valuesOf(previous);
    const after = current === undefined ? [] : valuesOf(current);
    for (const value of before) {
      if (after.includes(value)) continue;
      const bucket = buckets.get(value);
      bucket?.delete(key);
      if (bucket?.size === 0) buckets.delete(value);
    }
    if (current === undefined) return;
    for (const value of after) {
      let bucket = buckets.get(value);
      if (bucket === undefined) {
        bucket = new Map();
        buckets.set(value, bucket);
      }
      bucket.set(key, current);
    }
  });
  return {
    get: (value) => [...(buckets.get(value)?.values() ?? [])],
    count: (value) => buckets.get(value)?.size ?? 0,
  };
}
