import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { withoutZeros } from '../status.ts';
import { formatTime, parseTime } from '../time.ts';
import { type Generations, replicaSetName } from './replica-sets.ts';
import { type RollingBounds, sizeOf } from './sizes.ts';

/** What a Deployment's status is made from. */
export interface StatusInput {
  readonly deployment: Stored<Deployment>;
  readonly generations: Generations;
  readonly bounds: RollingBounds;
  /** The present template's ReplicaSet is made in this round. */
  readonly creates: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Statuses last to be told: the wait until the progress deadline, where one runs. */
export interface StatusPlan {
  readonly status: DeploymentStatus;
  readonly requeueAfterMs: number | undefined;
}

const noDeadline = 2 ** 31 - 1;

/** The status as `kubectl rollout status` and `kubectl wait` read it: counts, and Available, Progressing and ReplicaFailure. */
export function deploymentStatus(input: StatusInput): StatusPlan {
  const { deployment, generations, bounds } = input;
  const { current, old } = generations;
  const all = current === undefined ? [...old] : [...old, current];
  const count = (of: (replicaSet: ReplicaSet) => number | undefined) => all.reduce((n, each) => n + (of(each) ?? 0), 0);
  const availableReplicas = count(({ status }) => status?.availableReplicas);
  const counts: DeploymentStatus = withoutZeros({
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: count(({ status }) => status?.replicas),
    updatedReplicas: current?.status?.replicas ?? 0,
    readyReplicas: count(({ status }) => status?.readyReplicas),
    availableReplicas,
    unavailableReplicas: Math.max(0, count(sizeOf) - availableReplicas),
    terminatingReplicas: count(({ status }) => status?.terminatingReplicas),
    collisionCount: deployment.status?.collisionCount ?? 0,
  });
  const minimum = availableReplicas >= bounds.desired - bounds.maxUnavailable;
  const available = condition(input, {
    type: 'Available',
    status: minimum ? 'True' : 'False',
    reason: minimum ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: `Deployment ${minimum ? 'has' : 'does not have'} minimum availability.`,
  });
  const progressing = progressCondition(input, counts);
  const failure = failureCondition(input, all);
  const conditions = withForeign(
    deployment,
    [available, progressing, failure].filter((each) => each !== undefined),
  );
  return { status: { ...counts, conditions }, requeueAfterMs: untilDeadline(input, progressing) };
}

const ownConditions: readonly string[] = ['Available', 'Progressing', 'ReplicaFailure'];

/** The conditions, and those that others have put there: their authors look after them. */
function withForeign({ status }: Deployment, own: readonly DeploymentCondition[]): DeploymentCondition[] {
  return [...own, ...(status?.conditions ?? []).filter(({ type }) => !ownConditions.includes(type))];
}

/** A condition as it was before, when it says the same; else with new times. */
function condition(
  { deployment, now }: StatusInput,
  next: { readonly type: string; readonly status: string; readonly reason: string; readonly message: string },
  always = false,
): DeploymentCondition {
  const before = deployment.status?.conditions?.find(({ type }) => type === next.type);
  if (!always && before?.status === next.status && before.reason === next.reason) return before;
  const time = formatTime(now);
  const since = before?.status === next.status ? (before.lastTransitionTime ?? time) : time;
  return { ...next, lastUpdateTime: time, lastTransitionTime: since };
}

function progressCondition(input: StatusInput, counts: DeploymentStatus): DeploymentCondition | undefined {
  const { deployment, generations, creates } = input;
  const before = deployment.status?.conditions?.find(({ type }) => type === 'Progressing');
  if (deadlineSeconds(deployment) === undefined) return undefined;
  const name = generations.current?.metadata.name ?? replicaSetName(deployment);
  const say = (status: string, reason: string, message: string, always = false) =>
    condition(input, { type: 'Progressing', status, reason, message }, always);
  if (deployment.spec?.paused === true) return say('Unknown', 'DeploymentPaused', 'Deployment is paused');
  if (before?.reason === 'DeploymentPaused') return say('Unknown', 'DeploymentResumed', 'Deployment is resumed');
  if (creates) return say('True', 'NewReplicaSetCreated', `Created new replica set "${name}"`);
  if (before === undefined) return say('True', 'FoundNewReplicaSet', `Found new replica set "${name}"`);
  const settled =
    (counts.replicas ?? 0) === (counts.updatedReplicas ?? 0) && before.reason === 'NewReplicaSetAvailable';
  if (settled) return before;
  if (isComplete(deployment, counts))
    return say('True', 'NewReplicaSetAvailable', `ReplicaSet "${name}" has successfully progressed.`);
  if (hasProgressed(deployment.status ?? {}, counts))
    return say('True', 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`, true);
  if (isLate(input, before))
    return say('False', 'ProgressDeadlineExceeded', `ReplicaSet "${name}" has timed out progressing.`);
  return before;
}

/** Whether the rollout is done: all replicas are of the present template and available, and nothing else is left. */
export function isComplete({ spec, metadata }: Deployment, status: DeploymentStatus): boolean {
  const desired = spec?.replicas ?? 1;
  const { updatedReplicas = 0, replicas = 0, availableReplicas = 0, observedGeneration = 0 } = status;
  return (
    [updatedReplicas, replicas, availableReplicas].every((count) => count === desired) &&
    observedGeneration >= (metadata?.generation ?? 0)
  );
}

function hasProgressed(before: DeploymentStatus, now: DeploymentStatus): boolean {
  const oldOnes = ({ replicas = 0, updatedReplicas = 0 }: DeploymentStatus) => replicas - updatedReplicas;
  return (
    (now.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldOnes(now) < oldOnes(before) ||
    (now.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function isLate({ deployment, now }: StatusInput, progressing: DeploymentCondition): boolean {
  if (progressing.reason === 'NewReplicaSetAvailable') return false;
  if (progressing.reason === 'ProgressDeadlineExceeded') return true;
  const seconds = deadlineSeconds(deployment) ?? noDeadline;
  return parseTime(progressing.lastUpdateTime) + seconds * 1000 < now;
}

function deadlineSeconds({ spec }: Deployment): number | undefined {
  const seconds = spec?.progressDeadlineSeconds;
  return seconds === noDeadline ? undefined : seconds;
}

function untilDeadline(
  { deployment, now }: StatusInput,
  progressing: DeploymentCondition | undefined,
): number | undefined {
  const seconds = deadlineSeconds(deployment);
  const ends = ['NewReplicaSetAvailable', 'ProgressDeadlineExceeded', 'DeploymentPaused'];
  if (seconds === undefined || progressing === undefined || ends.includes(progressing.reason ?? '')) return undefined;
  return Math.max(0, parseTime(progressing.lastUpdateTime) + (seconds + 1) * 1000 - now);
}

/** A ReplicaSet that cannot make its Pods is told by its Deployment; the present one's trouble first. */
function failureCondition(input: StatusInput, all: readonly ReplicaSet[]): DeploymentCondition | undefined {
  for (const { status } of [...all].reverse()) {
    const failure = status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
    if (failure !== undefined)
      return condition(input, {
        type: 'ReplicaFailure',
        status: failure.status,
        reason: failure.reason ?? '',
        message: failure.message ?? '',
      });
  }
  return undefined;
}
