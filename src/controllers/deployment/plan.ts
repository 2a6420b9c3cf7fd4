import { isDeepStrictEqual } from 'node:util';
import type { Deployment, DeploymentStatus, Pod, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { claim } from '../ownership.ts';
import { deletion, type Write } from '../write.ts';
import {
  type Annotations,
  currentAnnotations,
  deploymentType,
  type Generations,
  newReplicaSet,
  revisionOf,
  sizeAnnotations,
  sortGenerations,
} from './replica-sets.ts';
import {
  isResized,
  type RollingBounds,
  recreateSizes,
  resizedSizes,
  rollingBounds,
  rollingSizes,
  type Sizes,
  sizeOf,
} from './sizes.ts';
import { deploymentStatus, isComplete } from './status.ts';

/** All that a round for one Deployment looks at. */
export interface DeploymentInput {
  readonly deployment: Stored<Deployment>;
  /** ReplicaSets the Deployment controls, and those of its namespace that nobody controls. */
  readonly replicaSets: readonly Stored<ReplicaSet>[];
  readonly podsOf: (replicaSet: Stored<ReplicaSet>) => readonly Pod[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is to be done for one Deployment. */
export interface DeploymentPlan {
  /** ReplicaSets adopted and released, made, resized and, when they are past the history limit, deleted. */
  readonly writes: readonly Write[];
  /** What the resizing says as events, `ScalingReplicaSet`. */
  readonly messages: readonly string[];
  /** The number of the present rollout, for the Deployment's annotation. */
  readonly revision: bigint;
  readonly status: DeploymentStatus;
  readonly requeueAfterMs: number | undefined;
}

/** One step towards all replicas being of the Deployment's template, within the bounds of its strategy. */
export function planDeployment(input: DeploymentInput): DeploymentPlan {
  const { deployment, now } = input;
  const { claimed, writes } = claim({
    owner: deployment,
    ownerType: deploymentType,
    selector: deployment.spec?.selector,
    candidates: input.replicaSets,
    resource: 'replicaSets',
  });
  const generations = sortGenerations(deployment, claimed);
  const bounds = rollingBounds(deployment);
  const leaving = deployment.metadata.deletionTimestamp !== undefined;
  const step = leaving
    ? { creates: undefined, sizes: new Map<string, number>() }
    : nextStep(input, generations, bounds);
  const changes = leaving ? [] : resizeWrites(deployment, generations, { bounds, ...step });
  const { status, requeueAfterMs } = deploymentStatus({
    deployment,
    generations,
    bounds,
    creates: step.creates !== undefined,
    now,
  });
  const history = !leaving && isComplete(deployment, status) ? surplusHistory(deployment, generations.old) : [];
  return {
    writes: [...writes, ...changes.map(({ write }) => write), ...history.map((each) => deletion('replicaSets', each))],
    messages: changes.flatMap(({ message }) => message ?? []),
    revision: presentRevision(deployment, generations, step.creates !== undefined),
    status,
    requeueAfterMs,
  };
}

/** What a step changes: sizes of ReplicaSets that are there, and the size of a new one when it is time for it. */
interface Step {
  readonly creates: number | undefined;
  readonly sizes: Sizes;
}

function nextStep({ deployment, podsOf }: DeploymentInput, generations: Generations, bounds: RollingBounds): Step {
  const { current, old } = generations;
  const all = current === undefined ? old : [...old, current];
  if (deployment.spec?.paused === true || isResized(all, bounds))
    return { creates: undefined, sizes: resizedSizes(generations, deployment, bounds) };
  if (deployment.spec?.strategy?.type === 'Recreate') {
    const sizes = recreateSizes(generations, bounds.desired, podsOf);
    if (sizes === 'wait') return { creates: undefined, sizes: new Map() };
    const free = current === undefined && sizes.size === 0;
    return { creates: free ? bounds.desired : undefined, sizes };
  }
  if (current !== undefined) return { creates: undefined, sizes: rollingSizes(current, old, bounds) };
  const room = bounds.desired + bounds.maxSurge - old.reduce((n, each) => n + sizeOf(each), 0);
  return { creates: Math.max(0, Math.min(bounds.desired, room)), sizes: new Map() };
}

interface Resize {
  readonly write: Write;
  readonly message: string | undefined;
}

function resizeWrites(
  deployment: Stored<Deployment>,
  generations: Generations,
  { bounds, creates, sizes }: Step & { readonly bounds: RollingBounds },
): Resize[] {
  const { current, old } = generations;
  const noted = sizeAnnotations(bounds.desired, bounds.desired + bounds.maxSurge);
  const changes: Resize[] = [];
  if (creates !== undefined) {
    const object = newReplicaSet(deployment, creates, { ...currentAnnotations(deployment, generations), ...noted });
    const message = creates === 0 ? undefined : scaleMessage(object.metadata?.name, 0, creates);
    changes.push({ write: { verb: 'create', resource: 'replicaSets', object }, message });
  }
  for (const each of current === undefined ? old : [...old, current]) {
    const to = sizes.get(each.metadata.uid) ?? sizeOf(each);
    const inherited = each === current ? currentAnnotations(deployment, generations) : each.metadata.annotations;
    const annotations = { ...inherited, ...(to > 0 || to !== sizeOf(each) ? noted : {}) };
    const minReadySeconds = each === current ? deployment.spec?.minReadySeconds : each.spec?.minReadySeconds;
    const change = resize(each, { to, annotations, minReadySeconds: minReadySeconds ?? 0 });
    if (change !== undefined) changes.push(change);
  }
  return changes;
}

/** The write that makes a ReplicaSet so; nothing when it is. */
function resize(
  replicaSet: Stored<ReplicaSet>,
  { to, annotations, minReadySeconds }: { to: number; annotations: Annotations; minReadySeconds: number },
): Resize | undefined {
  const { metadata, spec = { selector: {} } } = replicaSet;
  const from = sizeOf(replicaSet);
  const same = from === to && (spec.minReadySeconds ?? 0) === minReadySeconds;
  if (same && isDeepStrictEqual(metadata.annotations ?? {}, annotations)) return undefined;
  const object = {
    ...replicaSet,
    metadata: { ...metadata, annotations },
    spec: { ...spec, replicas: to, minReadySeconds },
  };
  return {
    write: { verb: 'update', resource: 'replicaSets', object },
    message: from === to ? undefined : scaleMessage(metadata.name, from, to),
  };
}

function scaleMessage(name: string | undefined, from: number, to: number): string {
  return `Scaled ${to > from ? 'up' : 'down'} replica set ${name} from ${from} to ${to}`;
}

function presentRevision(deployment: Deployment, generations: Generations, creates: boolean): bigint {
  if (generations.current === undefined && !creates) return revisionOf(deployment);
  return revisionOf({ metadata: { annotations: currentAnnotations(deployment, generations) } });
}

/** The oldest of those ReplicaSets that nothing but a rollback would use again. */
function surplusHistory(deployment: Deployment, old: readonly Stored<ReplicaSet>[]): Stored<ReplicaSet>[] {
  const limit = deployment.spec?.revisionHistoryLimit ?? 10;
  const kept = old.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const surplus = [...kept]
    .sort((a, b) => Number(revisionOf(a) - revisionOf(b)))
    .slice(0, Math.max(0, kept.length - limit));
  return surplus.filter(
    (each) =>
      sizeOf(each) === 0 &&
      (each.status?.replicas ?? 0) === 0 &&
      (each.status?.observedGeneration ?? 0) >= (each.metadata.generation ?? 0),
  );
}
