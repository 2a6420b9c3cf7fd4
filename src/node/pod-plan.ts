import type { Pod } from '../api/generated/types.ts';
import { type ContainerRole, type ContainerState, containersOf, type PodState, restarts } from './pod-state.ts';

/** What is to be done for a Pod now. */
export type PodAction =
  | { readonly type: 'createSandbox' }
  | { readonly type: 'removeSandbox' }
  | { readonly type: 'startContainer'; readonly name: string }
  | { readonly type: 'stopContainer'; readonly name: string; readonly graceMs: number }
  | { readonly type: 'deletePod' };

/** Actions, and when to plan again if nothing happens before. Milliseconds since the epoch. */
export interface PodPlan {
  readonly actions: readonly PodAction[];
  readonly wakeAt?: number;
}

/** What a plan is made from. */
export interface PodSituation {
  readonly pod: Pod;
  readonly state: PodState;
  readonly now: number;
  /** Whether the object was removed from the API already. */
  readonly gone: boolean;
}

/** The least time between SIGTERM and SIGKILL, as kubelet's. */
const minimumGraceMs = 2000;
const defaultGraceSeconds = 30;

/** How a Pod that runs no more came out; `undefined` while it runs, or will. */
export function podOutcome({ pod, state, now }: Omit<PodSituation, 'gone'>): 'Succeeded' | 'Failed' | undefined {
  const policy = pod.spec?.restartPolicy;
  if (deadlineOf(pod, state) <= now) return 'Failed';
  let failed = false;
  for (const { container, role } of containersOf(pod)) {
    const phase = state.containers.get(container.name)?.phase;
    const exitCode = phase?.kind === 'terminated' ? phase.how.exitCode : undefined;
    const over = exitCode !== undefined && !restarts(role, policy, exitCode);
    if (role === 'init' && over && exitCode !== 0) return 'Failed';
    if (role !== 'main') continue;
    if (!over) return undefined;
    failed ||= exitCode !== 0;
  }
  return failed ? 'Failed' : 'Succeeded';
}

/** When `activeDeadlineSeconds` is over. */
export function deadlineOf(pod: Pod, state: PodState): number {
  const seconds = pod.spec?.activeDeadlineSeconds;
  return seconds === undefined ? Number.POSITIVE_INFINITY : state.startTime + seconds * 1000;
}

/** How long a Pod's containers get to end. */
export function graceOf(pod: Pod): number {
  const seconds =
    pod.metadata?.deletionGracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds;
  return Math.max(minimumGraceMs, seconds * 1000);
}

/**
 * What to do next for a Pod. Pure: the same situation gives the same plan, and what is under way is in the state, so
 * that planning twice does nothing twice.
 */
export function planPod(situation: PodSituation): PodPlan {
  const { pod, state, now, gone } = situation;
  if (gone || pod.metadata?.deletionTimestamp !== undefined)
    return planEnd(situation, gone ? minimumGraceMs : graceOf(pod));
  if (podOutcome(situation) !== undefined) return planEnd(situation, graceOf(pod));
  const deadline = deadlineOf(pod, state);
  switch (state.sandbox.kind) {
    case 'absent':
      if (state.sandbox.retryAt > now) return { actions: [], wakeAt: Math.min(state.sandbox.retryAt, deadline) };
      return { actions: [{ type: 'createSandbox' }] };
    case 'ready':
      return earliest(planContainers(situation), deadline);
    default:
      return { actions: [] };
  }
}

/** Stops what runs, sidecars last, then removes the sandbox, then the object if it was deleted. */
function planEnd({ pod, state, now, gone }: PodSituation, graceMs: number): PodPlan {
  const active = containersOf(pod).filter(({ container }) => isActive(state.containers.get(container.name)));
  const mains = active.filter(({ role }) => role !== 'sidecar');
  if (active.length > 0) {
    const actions = (mains.length > 0 ? mains : active).flatMap(({ container: { name } }): PodAction[] => {
      return needsStop(state.containers.get(name), now + graceMs) ? [{ type: 'stopContainer', name, graceMs }] : [];
    });
    return { actions };
  }
  if (state.sandbox.kind === 'ready') return { actions: [{ type: 'removeSandbox' }] };
  const clean = state.sandbox.kind === 'removed' || state.sandbox.kind === 'absent';
  const deleted = pod.metadata?.deletionTimestamp !== undefined && !gone;
  return { actions: clean && deleted && !state.deleting ? [{ type: 'deletePod' }] : [] };
}

function isActive(container: ContainerState | undefined): boolean {
  return container?.phase.kind === 'running' || container?.phase.kind === 'starting';
}

/** Whether a running container has to be told to end, or to end earlier. */
function needsStop(container: ContainerState | undefined, by: number): boolean {
  return container?.phase.kind === 'running' && (container.stopBy === undefined || by < container.stopBy);
}

function planContainers(situation: PodSituation): PodPlan {
  const { pod, state } = situation;
  const plans: PodPlan[] = [];
  const initialized = isInitialized(pod, state);
  for (const { container, role } of containersOf(pod)) {
    if (role === 'init' && initialized) continue;
    const current = state.containers.get(container.name);
    plans.push(planStart(situation, container.name, role));
    // Init containers run one after the other; those behind wait.
    if (!initialized && role !== 'main' && !lets(role, current)) break;
  }
  return combine(plans);
}

/** Whether the init containers have done their part: they all have, or a main container has begun after they had. */
export function isInitialized(pod: Pod, state: PodState): boolean {
  const containers = containersOf(pod).map(({ container, role }) => ({
    role,
    is: state.containers.get(container.name),
  }));
  return (
    containers.some(({ role, is }) => role === 'main' && is?.begun === true) ||
    containers.every(({ role, is }) => role === 'main' || lets(role, is))
  );
}

/** Whether an init container lets those behind it begin. */
function lets(role: ContainerRole, container: ContainerState | undefined): boolean {
  if (role === 'sidecar') return container?.phase.kind === 'running' && container.started;
  return container?.phase.kind === 'terminated' && container.phase.how.exitCode === 0;
}

function planStart({ pod, state, now }: PodSituation, name: string, role: ContainerRole): PodPlan {
  const container = state.containers.get(name);
  if (container === undefined || isActive(container)) return { actions: [] };
  const at = dueAt(container, role, pod.spec?.restartPolicy);
  if (at === undefined) return { actions: [] };
  return at <= now ? { actions: [{ type: 'startContainer', name }] } : { actions: [], wakeAt: at };
}

/** When a container that does not run is to be started; `undefined`: not at all. */
function dueAt(
  { phase, restartAt = 0 }: ContainerState,
  role: ContainerRole,
  policy: string | undefined,
): number | undefined {
  if (phase.kind === 'waiting') return phase.refused?.retryAt ?? 0;
  if (phase.kind !== 'terminated') return undefined;
  return restarts(role, policy, phase.how.exitCode) ? restartAt : undefined;
}

function combine(plans: readonly PodPlan[]): PodPlan {
  const wakes = plans.flatMap(({ wakeAt }) => (wakeAt === undefined ? [] : [wakeAt]));
  const actions = plans.flatMap((plan) => plan.actions);
  return wakes.length === 0 ? { actions } : { actions, wakeAt: Math.min(...wakes) };
}

function earliest(plan: PodPlan, at: number): PodPlan {
  if (at === Number.POSITIVE_INFINITY) return plan;
  return { ...plan, wakeAt: Math.min(at, plan.wakeAt ?? at) };
}
