import { isDeepStrictEqual } from 'node:util';
import type { ControllerRevision, LabelSelector, PodTemplateSpec } from '../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../api/object.ts';
import { hashOf } from './hash.ts';
import { claim, controllerReference, type OwnerType } from './ownership.ts';
import { deletion, type Write } from './write.ts';

/** Label of a Pod that tells which revision of its workload it is of. */
export const revisionLabel = 'controller-revision-hash';
/** Annotations that are the workload's own affair. */
const notInherited = 'kubectl.kubernetes.io/last-applied-configuration';

/** A workload whose templates are kept as revisions. */
export interface RevisionedWorkload extends KubernetesObject {
  readonly spec?: {
    readonly selector: LabelSelector;
    readonly template: PodTemplateSpec;
    readonly revisionHistoryLimit?: number;
  };
  readonly status?: { readonly collisionCount?: number };
}

/** What the revisions of a workload are planned from. */
export interface RevisionInput {
  readonly owner: Stored<RevisionedWorkload>;
  readonly ownerType: OwnerType;
  /** Revisions that the owner controls, and those of its namespace that nobody controls. */
  readonly revisions: readonly Stored<ControllerRevision>[];
  /** Values of the revision label that are in use: these revisions stay. */
  readonly live: ReadonlySet<string>;
}

/** The history of a workload's template. */
export interface RevisionPlan {
  /** Adoptions, then the present template's revision made or made the newest, then the oldest deleted. */
  readonly writes: readonly Write[];
  /** Name of the present template's revision. */
  readonly update: string;
  /** Hash of the present template: what comes after the workload's name in the revision's. */
  readonly updateHash: string;
  /** The template that a revision of the workload holds; nothing for one that is not there. */
  templateOf(revision: string): PodTemplateSpec | undefined;
}

/** Keeps the templates of a workload as numbered revisions, for `kubectl rollout history` and `undo`. */
export function planRevisions({ owner, ownerType, revisions, live }: RevisionInput): RevisionPlan {
  const { spec, metadata } = owner;
  const { claimed, writes } = claim({
    owner,
    ownerType,
    selector: spec?.selector,
    candidates: revisions,
    resource: 'controllerRevisions',
  });
  const leaving = metadata.deletionTimestamp !== undefined;
  const byNumber = [...claimed].sort((a, b) => a.revision - b.revision || (a.metadata.name < b.metadata.name ? -1 : 1));
  const data = revisionData(spec?.template ?? {});
  const highest = byNumber.at(-1)?.revision ?? 0;
  const same = byNumber.filter((each) => isDeepStrictEqual(each.data, data)).at(-1);
  const updateHash =
    same === undefined
      ? hashOf(spec?.template, owner.status?.collisionCount)
      : same.metadata.name.slice(metadata.name.length + 1);
  const change = leaving ? [] : presentWrites({ owner, ownerType, same, highest, data, hash: updateHash });
  const update = `${metadata.name}-${updateHash}`;
  const isLive = ({ metadata: { name } }: Stored<ControllerRevision>) =>
    name === update || live.has(name) || live.has(name.slice(metadata.name.length + 1));
  const unused = byNumber.filter((each) => !isLive(each));
  const surplus = leaving ? [] : unused.slice(0, Math.max(0, unused.length - (spec?.revisionHistoryLimit ?? 10)));
  return {
    writes: [...writes, ...change, ...surplus.map((each) => deletion('controllerRevisions', each))],
    update,
    updateHash,
    templateOf: (name) => {
      if (name === update) return spec?.template;
      const found = byNumber.find((each) => each.metadata.name === name);
      return found === undefined ? undefined : templateIn(found.data);
    },
  };
}

function presentWrites(at: {
  readonly owner: Stored<RevisionedWorkload>;
  readonly ownerType: OwnerType;
  readonly same: Stored<ControllerRevision> | undefined;
  readonly highest: number;
  readonly data: object;
  readonly hash: string;
}): Write[] {
  const { owner, ownerType, same, highest, data, hash } = at;
  if (same !== undefined) {
    if (same.revision === highest) return [];
    return [{ verb: 'update', resource: 'controllerRevisions', object: { ...same, revision: highest + 1 } }];
  }
  const { [notInherited]: _, ...annotations } = owner.metadata.annotations ?? {};
  const object: ControllerRevision = {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: `${owner.metadata.name}-${hash}`,
      namespace: owner.metadata.namespace ?? '',
      labels: { ...owner.spec?.template.metadata?.labels, [revisionLabel]: hash },
      annotations,
      ownerReferences: [controllerReference(owner, ownerType)],
    },
    data,
    revision: highest + 1,
  };
  return [{ verb: 'create', resource: 'controllerRevisions', object }];
}

/** A patch that puts the template back: what `kubectl rollout undo` sends. */
function revisionData(template: PodTemplateSpec): object {
  return { spec: { template: { ...template, $patch: 'replace' } } };
}

function templateIn(data: unknown): PodTemplateSpec | undefined {
  const { spec } = data as { spec?: { template?: PodTemplateSpec & { $patch?: string } } };
  if (spec?.template === undefined) return undefined;
  const { $patch: _, ...template } = spec.template;
  return template;
}
