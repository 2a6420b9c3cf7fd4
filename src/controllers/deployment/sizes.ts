import type { Deployment, Pod, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { isFinished } from '../pod-state.ts';
import { parseTime } from '../time.ts';
import { type Generations, notedSize } from './replica-sets.ts';

type Sized = Stored<ReplicaSet>;

/** How many replicas each ReplicaSet is to have, by uid; those that stay as they are need not be in it. */
export type Sizes = ReadonlyMap<string, number>;

/** The bounds of a rolling update, in Pods. */
export interface RollingBounds {
  readonly desired: number;
  /** More than desired at a time, at most. */
  readonly maxSurge: number;
  /** Fewer than desired available, at most. */
  readonly maxUnavailable: number;
}

/** Percentages are of the desired number: the surge is rounded up, what may be missing is rounded down; not both are 0. */
export function rollingBounds(deployment: Deployment): RollingBounds {
  const desired = deployment.spec?.replicas ?? 1;
  const strategy = deployment.spec?.strategy;
  if (strategy?.type === 'Recreate') return { desired, maxSurge: 0, maxUnavailable: 0 };
  const maxSurge = resolve(strategy?.rollingUpdate?.maxSurge ?? '25%', desired, Math.ceil);
  const maxUnavailable = resolve(strategy?.rollingUpdate?.maxUnavailable ?? '25%', desired, Math.floor);
  return {
    desired,
    maxSurge,
    maxUnavailable: Math.min(desired, maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable),
  };
}

function resolve(value: number | string, total: number, round: (n: number) => number): number {
  return typeof value === 'number' ? value : round((Number.parseInt(value, 10) * total) / 100);
}

export const sizeOf = ({ spec }: ReplicaSet): number => spec?.replicas ?? 1;
const availableOf = ({ status }: ReplicaSet): number => status?.availableReplicas ?? 0;
const sum = (replicaSets: readonly Sized[], of: (replicaSet: Sized) => number) =>
  replicaSets.reduce((total, each) => total + of(each), 0);

/**
 * The next step of a rolling update: first the present template's ReplicaSet grows as far as the surge allows; when it
 * cannot, the old ones shrink as far as enough Pods stay available, those that are not available first.
 */
export function rollingSizes(current: Sized, old: readonly Sized[], bounds: RollingBounds): Sizes {
  const grown = grownSize(current, old, bounds);
  if (grown !== sizeOf(current)) return new Map([[current.metadata.uid, grown]]);
  return shrunkSizes(current, old, bounds);
}

function grownSize(current: Sized, old: readonly Sized[], { desired, maxSurge }: RollingBounds): number {
  const size = sizeOf(current);
  if (size >= desired) return desired;
  const room = desired + maxSurge - size - sum(old, sizeOf);
  return room <= 0 ? size : size + Math.min(room, desired - size);
}

function shrunkSizes(current: Sized, old: readonly Sized[], { desired, maxUnavailable }: RollingBounds): Sizes {
  const minAvailable = desired - maxUnavailable;
  const notYetThere = sizeOf(current) - availableOf(current);
  const spare = sizeOf(current) + sum(old, sizeOf) - minAvailable - notYetThere;
  const sizes = new Map(old.map((each) => [each.metadata.uid, sizeOf(each)]));
  if (spare <= 0) return sizes;
  const take = (each: Sized, count: number) =>
    sizes.set(each.metadata.uid, (sizes.get(each.metadata.uid) ?? 0) - count);
  let left = spare;
  for (const each of old) {
    const broken = Math.min(left, Math.max(0, sizeOf(each) - availableOf(each)));
    take(each, broken);
    left -= broken;
  }
  let surplus = availableOf(current) + sum(old, availableOf) - minAvailable;
  for (const each of old) {
    const count = Math.max(0, Math.min(surplus, sizes.get(each.metadata.uid) ?? 0));
    take(each, count);
    surplus -= count;
  }
  return sizes;
}

/** The next step of replacing all at once: the old ones to nothing, and the new one when none of their Pods is left. */
export function recreateSizes(
  { current, old }: Generations,
  desired: number,
  podsOf: (replicaSet: Sized) => readonly Pod[],
): Sizes | 'wait' {
  const running = old.filter((each) => sizeOf(each) > 0);
  if (running.length > 0) return new Map(running.map((each) => [each.metadata.uid, 0]));
  if (old.some((each) => podsOf(each).some((pod) => !isFinished(pod)))) return 'wait';
  return new Map(current === undefined ? [] : [[current.metadata.uid, desired]]);
}

/** Whether the Deployment's size was changed since its ReplicaSets were last looked after. */
export function isResized(replicaSets: readonly Sized[], { desired }: RollingBounds): boolean {
  return replicaSets.some((each) => sizeOf(each) > 0 && (notedSize(each).desired ?? desired) !== desired);
}

/**
 * A changed size of the Deployment, spread over its ReplicaSets: in the middle of a rollout each keeps its share, so
 * that a bad template does not get more of the Pods than it had.
 */
export function resizedSizes({ current, old }: Generations, deployment: Deployment, bounds: RollingBounds): Sizes {
  const all = current === undefined ? [...old] : [...old, current];
  const active = all.filter((each) => sizeOf(each) > 0);
  const only = active.length <= 1 ? (active[0] ?? current ?? old.at(-1)) : undefined;
  if (only !== undefined) return new Map([[only.metadata.uid, bounds.desired]]);
  if (current !== undefined && isSaturated(current, bounds.desired))
    return new Map(old.map((each) => [each.metadata.uid, 0]));
  if (deployment.spec?.strategy?.type === 'Recreate') return new Map();
  return proportionalSizes(active, deployment, bounds);
}

function isSaturated(replicaSet: Sized, desired: number): boolean {
  return (
    sizeOf(replicaSet) === desired && notedSize(replicaSet).desired === desired && availableOf(replicaSet) === desired
  );
}

function proportionalSizes(active: readonly Sized[], deployment: Deployment, bounds: RollingBounds): Sizes {
  const allowed = bounds.desired > 0 ? bounds.desired + bounds.maxSurge : 0;
  const toAdd = allowed - sum(active, sizeOf);
  // The largest first; of equals the newest grows and the oldest shrinks.
  const age = (each: Sized) => parseTime(each.metadata.creationTimestamp);
  const ordered = [...active].sort((a, b) => sizeOf(b) - sizeOf(a) || (toAdd > 0 ? age(b) - age(a) : age(a) - age(b)));
  const sizes = new Map<string, number>();
  let added = 0;
  for (const each of ordered) {
    const left = toAdd - added;
    const share = shareOf(each, deployment, allowed);
    const part = left === 0 ? 0 : toAdd > 0 ? Math.min(share, left) : Math.max(share, left);
    sizes.set(each.metadata.uid, sizeOf(each) + part);
    added += part;
  }
  // What rounding left over goes to the largest.
  const [largest] = ordered;
  if (largest !== undefined) {
    const size = (sizes.get(largest.metadata.uid) ?? 0) + toAdd - added;
    sizes.set(largest.metadata.uid, Math.max(0, size));
  }
  return sizes;
}

/** By how much a ReplicaSet changes when the whole goes to `allowed` and it keeps its part of it. */
function shareOf(replicaSet: Sized, deployment: Deployment, allowed: number): number {
  const whole = notedSize(replicaSet).max ?? deployment.status?.replicas ?? 0;
  if (allowed === 0 || whole === 0) return -sizeOf(replicaSet);
  return Math.round((sizeOf(replicaSet) * allowed) / whole) - sizeOf(replicaSet);
}
