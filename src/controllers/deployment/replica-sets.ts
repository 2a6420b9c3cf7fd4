import { isDeepStrictEqual } from 'node:util';
import type { Deployment, PodTemplateSpec, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { hashOf } from '../hash.ts';
import { controllerReference } from '../ownership.ts';
import { parseTime } from '../time.ts';

export const deploymentType = { apiVersion: 'apps/v1', kind: 'Deployment' } as const;

/** Label that tells apart the Pods of a Deployment's ReplicaSets. */
const templateHashLabel = 'pod-template-hash';
/** Number of the rollout: `kubectl rollout history` and `undo` go by it. */
export const revisionAnnotation = 'deployment.kubernetes.io/revision';
const revisionHistoryAnnotation = 'deployment.kubernetes.io/revision-history';
const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
/** Annotations of a Deployment that its ReplicaSets do not take over. */
const ownAnnotations: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'deprecated.deployment.rollback.to',
  revisionAnnotation,
  revisionHistoryAnnotation,
  desiredAnnotation,
  maxAnnotation,
]);
const maxRevisionHistory = 2000;

/** A Deployment's ReplicaSets, oldest first. */
export interface Generations {
  /** The one with the Deployment's present template. */
  readonly current: Stored<ReplicaSet> | undefined;
  readonly old: readonly Stored<ReplicaSet>[];
}

/** Which of its ReplicaSets has the Deployment's template; of several the oldest, as it has been serving longest. */
export function sortGenerations(deployment: Deployment, owned: readonly Stored<ReplicaSet>[]): Generations {
  const byAge = [...owned].sort(
    (a, b) =>
      parseTime(a.metadata.creationTimestamp) - parseTime(b.metadata.creationTimestamp) ||
      (a.metadata.name < b.metadata.name ? -1 : 1),
  );
  const template = deployment.spec?.template;
  const current = byAge.find((replicaSet) => sameTemplate(replicaSet.spec?.template, template));
  return { current, old: byAge.filter((replicaSet) => replicaSet !== current) };
}

function sameTemplate(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return isDeepStrictEqual(withoutHash(a), withoutHash(b));
}

function withoutHash(template: PodTemplateSpec = {}): PodTemplateSpec {
  const { [templateHashLabel]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** The name of the ReplicaSet that a Deployment's present template gets, unless `collisionCount` grows. */
export function replicaSetName(deployment: Stored<Deployment>): string {
  return `${deployment.metadata.name}-${templateHash(deployment)}`;
}

/** A short text for a template, that changes with the collision count. */
function templateHash({ spec, status }: Deployment): string {
  return hashOf(withoutHash(spec?.template), status?.collisionCount);
}

/** The ReplicaSet for the Deployment's present template. */
export function newReplicaSet(deployment: Stored<Deployment>, replicas: number, annotations: Annotations): ReplicaSet {
  const { selector, template, minReadySeconds } = deployment.spec ?? { selector: {}, template: {} };
  const hash = { [templateHashLabel]: templateHash(deployment) };
  const labels = { ...template.metadata?.labels, ...hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: replicaSetName(deployment),
      namespace: deployment.metadata.namespace ?? '',
      labels,
      annotations: { ...annotations },
      ownerReferences: [controllerReference(deployment, deploymentType)],
    },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, ...hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

export type Annotations = { readonly [key: string]: string };

/** Revisions are 64-bit numbers, whoever wrote the first of them. */
const maxRevision = 2n ** 63n - 1n;

/** The number of an object's rollout; 0 when it has none. */
export function revisionOf({ metadata }: { readonly metadata?: { readonly annotations?: Annotations } }): bigint {
  const text = metadata?.annotations?.[revisionAnnotation] ?? '';
  const revision = /^\d{1,19}$/.test(text) ? BigInt(text) : 0n;
  return revision <= maxRevision ? revision : 0n;
}

/**
 * The annotations of the present template's ReplicaSet: the Deployment's own, and the next revision number unless it
 * has the highest. A ReplicaSet that becomes the present one again keeps its earlier numbers in its history.
 */
export function currentAnnotations(deployment: Deployment, { current, old }: Generations): Annotations {
  const before = current?.metadata.annotations ?? {};
  const inherited = Object.entries(deployment.metadata?.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key));
  const [highest = 0n] = old.map(revisionOf).sort((a, b) => Number(b - a));
  const next = highest + 1n;
  const had = current === undefined ? 0n : revisionOf(current);
  const annotations: Record<string, string> = { ...before, ...Object.fromEntries(inherited) };
  if (had >= next) return annotations;
  annotations[revisionAnnotation] = String(next);
  if (had > 0n) {
    const history = [...(before[revisionHistoryAnnotation]?.split(',') ?? []), String(had)].join(',');
    annotations[revisionHistoryAnnotation] = history.length <= maxRevisionHistory ? history : String(had);
  }
  return annotations;
}

/** Notes on a ReplicaSet how large the whole Deployment is, so that a change of that can be told from a rollout. */
export function sizeAnnotations(desired: number, max: number): Annotations {
  return { [desiredAnnotation]: String(desired), [maxAnnotation]: String(max) };
}

/** The Deployment's size when the ReplicaSet was last looked after. */
export function notedSize({ metadata }: ReplicaSet): {
  readonly desired: number | undefined;
  readonly max: number | undefined;
} {
  const read = (key: string) => {
    const value = Number.parseInt(metadata?.annotations?.[key] ?? '', 10);
    return Number.isNaN(value) ? undefined : value;
  };
  return { desired: read(desiredAnnotation), max: read(maxAnnotation) };
}
