import type { LabelSelector, ObjectMeta, OwnerReference } from '../api/generated/types.ts';
import { matchLabelSelector } from '../api/label-selector.ts';
import type { KubernetesObject, Stored } from '../api/object.ts';
import type { Write } from './write.ts';

/** The owner that controls an object, if one does: at most one can. */
export function controllerOf(object: { readonly metadata?: ObjectMeta }): OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller === true);
}

/** The reference by which `owner` controls a dependent. */
export function controllerReference(owner: Stored<KubernetesObject>, type: OwnerType): OwnerReference {
  return {
    ...type,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** `apiVersion` and `kind` as an owner reference has them. */
export interface OwnerType {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Whose dependents are sorted out, and which objects are in question. */
export interface ClaimInput<T extends Stored<KubernetesObject>> {
  readonly owner: Stored<KubernetesObject>;
  readonly ownerType: OwnerType;
  readonly selector: LabelSelector | undefined;
  /** Those the owner controls, and those of its namespace that nobody controls. */
  readonly candidates: readonly T[];
  readonly resource: ClaimedResource;
}

/** What controllers of workloads own. */
export type ClaimedResource = 'pods' | 'replicaSets' | 'controllerRevisions';

/** What belongs to an owner, and the writes that make it so. */
export interface Claims<T> {
  readonly claimed: readonly T[];
  readonly writes: readonly Write[];
}

/**
 * Which of the candidates are the owner's: those it controls and selects. Those it selects and nobody controls are
 * adopted, those it controls and no longer selects are released. An owner or an object that is being deleted takes and
 * gives nothing any more.
 */
export function claim<T extends Stored<KubernetesObject>>(input: ClaimInput<T>): Claims<T> {
  const { owner, resource } = input;
  const matches = matchLabelSelector(input.selector);
  const claimed: T[] = [];
  const writes: Write[] = [];
  for (const object of input.candidates) {
    const { metadata } = object;
    const controller = controllerOf(object);
    if (controller !== undefined && controller.uid !== owner.metadata.uid) continue;
    const selected = matches(metadata.labels);
    const leaving = owner.metadata.deletionTimestamp !== undefined || metadata.deletionTimestamp !== undefined;
    if (controller !== undefined) {
      if (selected) claimed.push(object);
      else if (owner.metadata.deletionTimestamp === undefined)
        writes.push(
          setOwners(
            resource,
            object,
            (metadata.ownerReferences ?? []).filter((o) => o !== controller),
          ),
        );
    } else if (selected && !leaving) {
      const reference = controllerReference(owner, input.ownerType);
      claimed.push(object);
      writes.push(setOwners(resource, object, [...(metadata.ownerReferences ?? []), reference]));
    }
  }
  return { claimed, writes };
}

/** The version makes the write fail when another has taken the object meanwhile. Without owners the list goes, too. */
function setOwners(
  resource: ClaimedResource,
  { metadata }: Stored<KubernetesObject>,
  ownerReferences: readonly OwnerReference[],
): Write {
  const { namespace, name, uid, resourceVersion } = metadata;
  const owners = ownerReferences.length === 0 ? null : ownerReferences;
  return {
    verb: 'patch',
    resource,
    place: { namespace, name },
    patch: { type: 'merge', body: { metadata: { uid, resourceVersion, ownerReferences: owners } } },
  };
}
