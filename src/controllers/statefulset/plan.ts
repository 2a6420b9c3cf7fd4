import type { ControllerRevision, Pod, StatefulSet, StatefulSetStatus } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { claim } from '../ownership.ts';
import { isActive, isFinished, isReady, isTerminating, msUntilAvailable } from '../pod-state.ts';
import { planRevisions, type RevisionPlan, revisionLabel } from '../revisions.ts';
import { withoutZeros } from '../status.ts';
import { deletion, type Write } from '../write.ts';
import { newStatefulPod, ordinalOf, statefulSetType } from './pods.ts';

/** All that a round for one StatefulSet looks at. */
export interface StatefulSetInput {
  readonly set: Stored<StatefulSet>;
  /** Pods that the StatefulSet controls, and Pods of its namespace that nobody controls. */
  readonly pods: readonly Stored<Pod>[];
  /** Revisions that it controls, and those of its namespace that nobody controls. */
  readonly revisions: readonly Stored<ControllerRevision>[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** What is to be done for one StatefulSet. */
export interface StatefulSetPlan {
  /** Adoptions and releases, revisions, then Pods created and deleted. */
  readonly writes: readonly Write[];
  readonly status: StatefulSetStatus;
  /** When the next Pod becomes available without any further change. */
  readonly requeueAfterMs: number | undefined;
  /** Why no Pods can be made. */
  readonly refusal: string | undefined;
}

/** Where a StatefulSet stands. */
interface Situation {
  readonly set: Stored<StatefulSet>;
  readonly pods: ReadonlyMap<number, Stored<Pod>>;
  readonly revisions: RevisionPlan;
  /** Name of the revision that Pods go back to while an update is under way. */
  readonly current: string;
  readonly now: number;
}

/** One step: Pods are made and deleted one after the other, in the order of their numbers, unless the policy is `Parallel`. */
export function planStatefulSet({ set, pods, revisions, now }: StatefulSetInput): StatefulSetPlan {
  const named = pods.filter((pod) => ordinalOf(set, pod) !== undefined);
  const { claimed, writes } = claim({
    owner: set,
    ownerType: statefulSetType,
    selector: set.spec?.selector,
    candidates: named,
    resource: 'pods',
  });
  const { currentRevision } = set.status ?? {};
  const labels = claimed.map((pod) => pod.metadata.labels?.[revisionLabel] ?? '');
  const live = new Set([...labels, currentRevision ?? '']);
  const plan = planRevisions({ owner: set, ownerType: statefulSetType, revisions, live });
  const known = currentRevision !== undefined && plan.templateOf(currentRevision) !== undefined;
  const situation: Situation = {
    set,
    pods: new Map(claimed.map((pod) => [ordinalOf(set, pod) ?? -1, pod])),
    revisions: plan,
    current: known ? currentRevision : plan.update,
    now,
  };
  const refusal =
    (set.spec?.volumeClaimTemplates ?? []).length === 0
      ? undefined
      : 'volumeClaimTemplates are not served here: there are no persistent volumes; use an emptyDir or hostPath volume';
  const leaving = set.metadata.deletionTimestamp !== undefined;
  const waits = claimed.flatMap((pod) => msUntilAvailable(pod, set.spec?.minReadySeconds ?? 0, now) ?? []);
  const waiting = waits.filter((ms) => ms > 0);
  return {
    writes: [...writes, ...plan.writes, ...(leaving || refusal !== undefined ? [] : podWrites(situation))],
    status: statefulSetStatus(situation),
    requeueAfterMs: waiting.length === 0 ? undefined : Math.min(...waiting),
    refusal,
  };
}

function isAvailable(pod: Pod, { set, now }: Situation): boolean {
  return (
    pod.status?.phase === 'Running' && isActive(pod) && msUntilAvailable(pod, set.spec?.minReadySeconds ?? 0, now) === 0
  );
}

function podWrites(situation: Situation): Write[] {
  const { set } = situation;
  const ordered = set.spec?.podManagementPolicy !== 'Parallel';
  const wanted = wantedOrdinals(set);
  const kept: Write[] = [];
  for (const ordinal of wanted) {
    const { write, settled } = keepOne(situation, ordinal);
    if (write !== undefined) kept.push(write);
    if (ordered && !settled) return kept;
  }
  const surplus = surplusWrites(situation, new Set(wanted), ordered);
  if (ordered && surplus !== 'none') return surplus;
  const extra = surplus === 'none' ? [] : surplus;
  // An update waits until nothing else is to be done.
  return kept.length + extra.length > 0 ? [...kept, ...extra] : updateWrites(situation, wanted);
}

function wantedOrdinals({ spec }: StatefulSet): number[] {
  const start = spec?.ordinals?.start ?? 0;
  return Array.from({ length: spec?.replicas ?? 1 }, (_, i) => start + i);
}

/** What one Pod needs now, and whether the next one may be looked at. */
function keepOne(situation: Situation, ordinal: number): { readonly write?: Write; readonly settled: boolean } {
  const pod = situation.pods.get(ordinal);
  if (pod === undefined) return { write: creation(situation, ordinal), settled: false };
  if (isTerminating(pod)) return { settled: false };
  // Its successor has the same name, and so has to wait until it is gone.
  if (isFinished(pod)) return { write: deletion('pods', pod), settled: false };
  return { settled: isAvailable(pod, situation) };
}

function creation(situation: Situation, ordinal: number): Write {
  const { set, revisions, current } = situation;
  const revision = isBeforeUpdate(situation, ordinal) ? current : revisions.update;
  const template = revisions.templateOf(revision) ?? set.spec?.template ?? {};
  return { verb: 'create', resource: 'pods', object: newStatefulPod(set, ordinal, { template, revision }) };
}

/** Whether a Pod that is made now still gets the template from before the update. */
function isBeforeUpdate(situation: Situation, ordinal: number): boolean {
  const { set, current } = situation;
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type !== 'RollingUpdate') return false;
  const start = set.spec?.ordinals?.start ?? 0;
  const partition = rollingUpdate?.partition ?? 0;
  return ordinal < start + (partition > 0 ? partition : countOf(situation, current));
}

/**
 * Deletes Pods past the number of replicas, the last first; in order, the next when the one before is gone. There one
 * that does not serve waits for those before it to serve again, as they might need what it has.
 */
function surplusWrites({ pods }: Situation, wanted: ReadonlySet<number>, ordered: boolean): Write[] | 'none' {
  const surplus = [...pods].filter(([ordinal]) => !wanted.has(ordinal)).sort(([a], [b]) => b - a);
  if (surplus.length === 0) return 'none';
  const writes = surplus.flatMap(([, pod]) => (isTerminating(pod) ? [] : [deletion('pods', pod)]));
  if (!ordered) return writes;
  const isHealthy = (pod: Pod) => pod.status?.phase === 'Running' && isReady(pod);
  const [last, ...before] = surplus.map(([, pod]) => pod);
  const waits = last !== undefined && !isHealthy(last) && !before.every(isHealthy);
  return waits || surplus.some(([, pod]) => isTerminating(pod)) ? [] : writes.slice(0, 1);
}

/** Deletes one Pod of an older template, the last first, when all those behind it are available again. */
function updateWrites(situation: Situation, wanted: readonly number[]): Write[] {
  const { set, pods, revisions } = situation;
  const { type, rollingUpdate } = set.spec?.updateStrategy ?? {};
  if (type !== 'RollingUpdate') return [];
  const first = (set.spec?.ordinals?.start ?? 0) + (rollingUpdate?.partition ?? 0);
  for (const ordinal of [...wanted].reverse()) {
    const pod = pods.get(ordinal);
    if (ordinal < first || pod === undefined || isTerminating(pod)) return [];
    if (pod.metadata.labels?.[revisionLabel] !== revisions.update) return [deletion('pods', pod)];
    if (!isAvailable(pod, situation)) return [];
  }
  return [];
}

/** How many Pods of a revision there are. The stored status can be behind. */
function countOf({ pods }: Situation, revision: string): number {
  return [...pods.values()].filter((pod) => isActive(pod) && pod.metadata.labels?.[revisionLabel] === revision).length;
}

function statefulSetStatus(situation: Situation): StatefulSetStatus {
  const { set, revisions, current } = situation;
  const pods = [...situation.pods.values()];
  const updated = countOf(situation, revisions.update);
  const ready = pods.filter((pod) => isReady(pod) && !isFinished(pod)).length;
  const replicas = set.spec?.replicas ?? 1;
  const complete =
    set.spec?.updateStrategy?.type === 'RollingUpdate' &&
    [updated, ready, pods.length].every((count) => count === replicas);
  // Conditions there are by others alone.
  const { collisionCount, conditions } = set.status ?? {};
  return {
    replicas: pods.length,
    availableReplicas: pods.filter((pod) => isAvailable(pod, situation)).length,
    ...withoutZeros({
      readyReplicas: ready,
      currentReplicas: complete ? updated : countOf(situation, current),
      updatedReplicas: updated,
      observedGeneration: set.metadata.generation ?? 0,
    }),
    currentRevision: complete ? revisions.update : current,
    updateRevision: revisions.update,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
  };
}
