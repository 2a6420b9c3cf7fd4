import type { KubernetesObject, Stored } from '../../api/object.ts';
import type { ResourceKey } from '../../api/resources.ts';
import type { Caches } from '../caches.ts';
import { isWaiting, type OwnerState, type Vertex } from './plan.ts';

/** Who owns whom, over all resources. Vertices have keys of the form `resource namespace/name`. */
export interface OwnerGraph {
  vertex(key: string): Vertex | undefined;
  /** The key of the object with this uid. */
  keyOf(uid: string): string | undefined;
  /** Keys of the objects that name this uid as an owner. */
  dependentKeys(uid: string): readonly string[];
  /** Takes a change of an object in; to be called for each, before the graph is asked. */
  note(
    key: string,
    previous: Stored<KubernetesObject> | undefined,
    current: Stored<KubernetesObject> | undefined,
  ): void;
  /** What the graph knows of the object with this uid; undefined when it does not know it under that key. */
  stateOf(uid: string, key: string): OwnerState | undefined;
}

/** An empty graph over the objects of the caches. */
export function createOwnerGraph(caches: Caches): OwnerGraph {
  const keysByUid = new Map<string, string>();
  const dependents = new Map<string, Set<string>>();
  const vertex = (key: string): Vertex | undefined => {
    const [resource, place = ''] = key.split(' ') as [ResourceKey, string?];
    const object = caches.informers.get(resource)?.store.get(place);
    return object === undefined ? undefined : { resource, object };
  };
  return {
    vertex,
    keyOf: (uid) => keysByUid.get(uid),
    dependentKeys: (uid) => [...(dependents.get(uid) ?? [])],
    note(key, previous, current) {
      if (previous !== undefined) keysByUid.delete(previous.metadata.uid);
      if (current !== undefined) keysByUid.set(current.metadata.uid, key);
      for (const { uid } of previous?.metadata.ownerReferences ?? []) {
        const keys = dependents.get(uid);
        keys?.delete(key);
        if (keys?.size === 0) dependents.delete(uid);
      }
      for (const { uid } of current?.metadata.ownerReferences ?? [])
        dependents.set(uid, (dependents.get(uid) ?? new Set()).add(key));
    },
    stateOf(uid, key) {
      const known = keysByUid.get(uid) === key ? vertex(key) : undefined;
      if (known === undefined) return undefined;
      return isWaiting(known.object) ? 'waiting' : 'there';
    },
  };
}
