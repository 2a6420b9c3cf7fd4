import { isDeepStrictEqual } from 'node:util';
import type { Pod, ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '../../api/generated/types.ts';
import { matchLabelSelector } from '../../api/label-selector.ts';
import type { Stored } from '../../api/object.ts';
import { claim, controllerReference } from '../ownership.ts';
import { isActive, isFinished, isReady, isTerminating, msUntilAvailable } from '../pod-state.ts';
import { withoutZeros } from '../status.ts';
import { formatTime } from '../time.ts';
import { deletion, type Write } from '../write.ts';
import { deletionOrder } from './deletion-order.ts';

export const replicaSetType = { apiVersion: 'apps/v1', kind: 'ReplicaSet' } as const;

/** Pods created or deleted in one round at most; the next follows when these are seen. */
const burst = 500;

/** All that a round for one ReplicaSet looks at. */
export interface ReplicaSetInput {
  readonly replicaSet: Stored<ReplicaSet>;
  /** Pods that the ReplicaSet controls, and Pods of its namespace that nobody controls. */
  readonly pods: readonly Stored<Pod>[];
  /** Pods of the ReplicaSets that share this one's controller. */
  readonly relatedPods: readonly Stored<Pod>[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is to be done for one ReplicaSet. */
export interface ReplicaSetPlan {
  /** Adoptions and releases, then Pods created or deleted. */
  readonly writes: readonly Write[];
  /** The Pods that belong to it before the writes. */
  readonly owned: readonly Stored<Pod>[];
  /** When the next Pod becomes available without any further change. */
  readonly requeueAfterMs: number | undefined;
}

/** Decides which Pods to adopt, release, create and delete, so that as many as `spec.replicas` are active. */
export function planReplicaSet(input: ReplicaSetInput): ReplicaSetPlan {
  const { replicaSet, now } = input;
  // Pods that have ended are let be: they are not replicas, and nobody adopts them.
  const candidates = input.pods.filter((pod) => !isFinished(pod));
  const { claimed, writes } = claim({
    owner: replicaSet,
    ownerType: replicaSetType,
    selector: replicaSet.spec?.selector,
    candidates,
    resource: 'pods',
  });
  const waits = claimed.flatMap((pod) => msUntilAvailable(pod, replicaSet.spec?.minReadySeconds ?? 0, now) ?? []);
  const waiting = waits.filter((ms) => ms > 0);
  return {
    owned: claimed,
    writes: [...writes, ...replicaWrites(input, claimed)],
    requeueAfterMs: waiting.length === 0 ? undefined : Math.min(...waiting),
  };
}

function replicaWrites({ replicaSet, relatedPods, now }: ReplicaSetInput, claimed: readonly Stored<Pod>[]): Write[] {
  // The Pods of a ReplicaSet that is being deleted are the garbage collector's.
  if (replicaSet.metadata.deletionTimestamp !== undefined) return [];
  const active = claimed.filter(isActive);
  const surplus = active.length - (replicaSet.spec?.replicas ?? 1);
  if (surplus < 0)
    return Array.from({ length: Math.min(-surplus, burst) }, () => ({
      verb: 'create',
      resource: 'pods',
      object: newPod(replicaSet),
    }));
  if (surplus === 0) return [];
  const order = deletionOrder(active, relatedPods.filter(isActive), now);
  return order.slice(0, Math.min(surplus, burst)).map((pod) => deletion('pods', pod));
}

/** A Pod of the template. The server completes its name. */
function newPod(replicaSet: Stored<ReplicaSet>): Pod {
  const { metadata = {}, spec } = replicaSet.spec?.template ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${replicaSet.metadata.name}-`,
      namespace: replicaSet.metadata.namespace ?? '',
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
      ...(metadata.finalizers === undefined ? {} : { finalizers: metadata.finalizers }),
      ownerReferences: [controllerReference(replicaSet, replicaSetType)],
    },
    ...(spec === undefined ? {} : { spec }),
  };
}

/** What there is to say about a ReplicaSet after a round. */
export interface ReplicaSetOutcome {
  readonly replicaSet: Stored<ReplicaSet>;
  readonly owned: readonly Stored<Pod>[];
  /** Why Pods could not be created or deleted. */
  readonly failure: { readonly reason: 'FailedCreate' | 'FailedDelete'; readonly message: string } | undefined;
  readonly now: number;
}

/** The write that brings the status up to date; none when it is. */
export function replicaSetStatusWrites(outcome: ReplicaSetOutcome): Write[] {
  const { replicaSet } = outcome;
  const status = replicaSetStatus(outcome);
  if (isDeepStrictEqual(status, replicaSet.status)) return [];
  return [{ verb: 'update', resource: 'replicaSets', object: { ...replicaSet, status }, subresource: 'status' }];
}

function replicaSetStatus({ replicaSet, owned, failure, now }: ReplicaSetOutcome): ReplicaSetStatus {
  const { spec, metadata } = replicaSet;
  const active = owned.filter(isActive);
  const hasTemplateLabels = matchLabelSelector({ matchLabels: spec?.template?.metadata?.labels ?? {} });
  const conditions = replicaSetConditions(replicaSet.status?.conditions ?? [], failure, now);
  return {
    replicas: active.length,
    ...withoutZeros({
      fullyLabeledReplicas: active.filter((pod) => hasTemplateLabels(pod.metadata.labels)).length,
      readyReplicas: active.filter(isReady).length,
      availableReplicas: active.filter((pod) => msUntilAvailable(pod, spec?.minReadySeconds ?? 0, now) === 0).length,
      terminatingReplicas: owned.filter(isTerminating).length,
      observedGeneration: metadata.generation ?? 0,
    }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

function replicaSetConditions(
  before: readonly ReplicaSetCondition[],
  failure: ReplicaSetOutcome['failure'],
  now: number,
): ReplicaSetCondition[] {
  const old = before.find(({ type }) => type === 'ReplicaFailure');
  const others = before.filter((condition) => condition !== old);
  if (failure === undefined) return others;
  if (old?.reason === failure.reason) return [...others, old];
  return [...others, { type: 'ReplicaFailure', status: 'True', ...failure, lastTransitionTime: formatTime(now) }];
}
