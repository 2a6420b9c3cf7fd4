import type { OwnerReference } from '../../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../../api/object.ts';
import type { ResourceKey } from '../../api/resources.ts';
import type { Write } from '../write.ts';

const foregroundFinalizer = 'foregroundDeletion';
const orphanFinalizer = 'orphan';

/** An object in the graph of owners and dependents. */
export interface Vertex {
  readonly resource: ResourceKey;
  readonly object: Stored<KubernetesObject>;
}

/** What is known of an owner: it is there, it is gone, or it waits for its dependents to go first. */
export type OwnerState = 'there' | 'gone' | 'waiting';

/** Whether an object is being deleted, and waits for its dependents to go first. */
export function isWaiting({ metadata }: KubernetesObject): boolean {
  return metadata?.deletionTimestamp !== undefined && metadata.finalizers?.includes(foregroundFinalizer) === true;
}

/**
 * What becomes of an object because of its owners: it is deleted when none is there any more, and forgets those that
 * are gone while another is there. One whose owner waits waits for `dependents`, its own, too; when one of these waits
 * already, they may stand in a circle, and it stops holding its owners up.
 */
export function planDependent(
  { resource, object }: Vertex,
  stateOf: (owner: OwnerReference) => OwnerState,
  dependents: readonly Vertex[],
): Write[] {
  const { metadata } = object;
  const owners = metadata.ownerReferences ?? [];
  if (owners.length === 0 || metadata.deletionTimestamp !== undefined) return [];
  const there = owners.filter((owner) => stateOf(owner) === 'there');
  if (there.length === owners.length) return [];
  if (there.length > 0) return [metadataPatch({ resource, object }, { ownerReferences: there })];
  const waits = dependents.length > 0 && owners.some((owner) => stateOf(owner) === 'waiting');
  const mayCircle = waits && dependents.some((dependent) => isWaiting(dependent.object));
  const unblocked = owners.map((owner) => ({ ...owner, blockOwnerDeletion: false }));
  const { namespace, name, uid } = metadata;
  const finalizers = metadata.finalizers ?? [];
  const propagationPolicy = waits || finalizers.includes(foregroundFinalizer) ? 'Foreground' : 'Background';
  return [
    ...(mayCircle ? [metadataPatch({ resource, object }, { ownerReferences: unblocked })] : []),
    {
      verb: 'delete',
      resource,
      place: { namespace, name },
      uid,
      propagationPolicy: finalizers.includes(orphanFinalizer) ? 'Orphan' : propagationPolicy,
    },
  ];
}

/**
 * What an object that is being deleted does about its dependents: with the orphan finalizer it lets them go, with the
 * foreground finalizer it waits until none is left that holds it up. `dependents` are all that name it as an owner.
 */
export function planOwner(owner: Vertex, dependents: readonly Vertex[]): Write[] {
  const { metadata } = owner.object;
  if (metadata.deletionTimestamp === undefined) return [];
  if (metadata.finalizers?.includes(orphanFinalizer)) {
    const releases = dependents.map((dependent) =>
      metadataPatch(dependent, {
        ownerReferences: (dependent.object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== metadata.uid),
      }),
    );
    return releases.length > 0 ? releases : [withoutFinalizer(owner, orphanFinalizer)];
  }
  if (!metadata.finalizers?.includes(foregroundFinalizer)) return [];
  const blocking = dependents.filter(({ object }) =>
    object.metadata.ownerReferences?.some(
      ({ uid, blockOwnerDeletion }) => uid === metadata.uid && blockOwnerDeletion === true,
    ),
  );
  return blocking.length > 0 ? [] : [withoutFinalizer(owner, foregroundFinalizer)];
}

function withoutFinalizer(vertex: Vertex, finalizer: string): Write {
  return metadataPatch(vertex, {
    finalizers: (vertex.object.metadata.finalizers ?? []).filter((each) => each !== finalizer),
  });
}

/**
 * The version makes the write fail when another has changed the object meanwhile. A list of which nothing is left goes
 * as a whole.
 */
function metadataPatch(
  { resource, object }: Vertex,
  change: { readonly [field in 'ownerReferences' | 'finalizers']?: readonly unknown[] },
): Write {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  const left = Object.entries(change).map(([field, list]) => [field, list.length === 0 ? null : list]);
  const body = { metadata: { uid, resourceVersion, ...Object.fromEntries(left) } };
  return { verb: 'patch', resource, place: { namespace, name }, patch: { type: 'merge', body } };
}
