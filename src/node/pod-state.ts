import type {
  Container,
  ContainerStateRunning,
  ContainerStateTerminated,
  ContainerStatus,
  Pod,
} from '../api/generated/types.ts';
import type { Ip } from '../net/ip.ts';
import { nextRestart, type RestartBackoff } from './restart-backoff.ts';

/** How a run of a container ended. Times in milliseconds since the epoch. */
export interface Termination {
  readonly exitCode: number;
  readonly signal?: number;
  /** `Completed`, `Error`, `StartError`, … */
  readonly reason: string;
  readonly message?: string;
  /** Absent for a run that never began. */
  readonly startedAt?: number;
  readonly finishedAt: number;
  readonly containerId?: string;
}

/** What a container does now. */
type ContainerPhase =
  /** Not started yet; `refused` says what stood in the way of the last try, and when the next one is. */
  | { readonly kind: 'waiting'; readonly refused?: Refusal }
  | { readonly kind: 'starting'; readonly refused?: Refusal }
  | { readonly kind: 'running'; readonly containerId: string; readonly startedAt: number }
  | { readonly kind: 'terminated'; readonly how: Termination };

/** Why a container could not be made. */
interface Refusal {
  /** `ErrImagePull`, `CreateContainerConfigError`, … */
  readonly reason: string;
  readonly message: string;
  readonly retryAt: number;
  /** In a row. */
  readonly count: number;
}

/** One container of a Pod on this node. */
export interface ContainerState {
  readonly phase: ContainerPhase;
  readonly restartCount: number;
  /** Whether it was started in this sandbox, and not only by an earlier agent. */
  readonly begun: boolean;
  /** The run before the current one. */
  readonly last?: Termination;
  /** The startup probe's word; true at once without one. */
  readonly started: boolean;
  /** The readiness probe's word; true once started without one. */
  readonly ready: boolean;
  /** Whether it was asked to end, and by when at the latest. */
  readonly stopBy?: number;
  readonly backoff?: RestartBackoff;
  /** When it may be started again after its end. */
  readonly restartAt?: number;
}

/** The Pod's place on the node: network and files. */
type SandboxState =
  | { readonly kind: 'absent'; readonly failures: number; readonly retryAt: number }
  | { readonly kind: 'creating'; readonly failures: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'removing' }
  | { readonly kind: 'removed' };

/** All the agent knows about a Pod beside its object. A value: each step makes a new one. */
export interface PodState {
  readonly startTime: number;
  readonly sandbox: SandboxState;
  /** Stays when the sandbox is gone: the status goes on showing it. */
  readonly ips: readonly Ip[];
  /** By name; of `initContainers` and `containers`. */
  readonly containers: ReadonlyMap<string, ContainerState>;
  /** Whether the object's deletion was asked of the API server. */
  readonly deleting: boolean;
}

/** What can happen to a Pod on its node. `at` in milliseconds since the epoch. */
export type PodEvent =
  | { readonly type: 'sandboxCreating' }
  | { readonly type: 'sandboxReady'; readonly ips: readonly Ip[] }
  | { readonly type: 'sandboxFailed'; readonly at: number }
  | { readonly type: 'sandboxRemoving' }
  | { readonly type: 'sandboxRemoved' }
  | { readonly type: 'deleteRequested' }
  | { readonly type: 'containerStarting'; readonly name: string }
  | {
      readonly type: 'containerStarted';
      readonly name: string;
      readonly containerId: string;
      readonly at: number;
    }
  | {
      readonly type: 'containerRefused';
      readonly name: string;
      readonly reason: string;
      readonly message: string;
      readonly at: number;
    }
  | { readonly type: 'containerExited'; readonly name: string; readonly how: Termination }
  | { readonly type: 'stopRequested'; readonly name: string; readonly by: number }
  /** The container has begun its work: its `postStart` hook and startup probe are through, where it has them. */
  | { readonly type: 'startupPassed'; readonly name: string; readonly ready: boolean }
  | { readonly type: 'readiness'; readonly name: string; readonly ready: boolean };

/** Whether a container that ended is to be started again, by the Pod's `restartPolicy`. */
export function restarts(role: ContainerRole, restartPolicy: string | undefined, exitCode: number): boolean {
  if (role === 'sidecar') return true;
  if (role === 'init') return exitCode !== 0 && restartPolicy !== 'Never';
  return restartPolicy === 'OnFailure' ? exitCode !== 0 : restartPolicy !== 'Never';
}

/** What part a container has in its Pod. A sidecar is an init container with `restartPolicy: Always`. */
export type ContainerRole = 'init' | 'sidecar' | 'main';

/** The Pod's containers in the order of their start, with their parts. */
export function containersOf(pod: Pod): { readonly container: Container; readonly role: ContainerRole }[] {
  const { initContainers = [], containers = [] } = pod.spec ?? {};
  return [
    ...initContainers.map((container) => ({
      container,
      role: container.restartPolicy === 'Always' ? ('sidecar' as const) : ('init' as const),
    })),
    ...containers.map((container) => ({ container, role: 'main' as const })),
  ];
}

const fresh: ContainerState = {
  phase: { kind: 'waiting' },
  restartCount: 0,
  begun: false,
  started: false,
  ready: false,
};

/**
 * The state of a Pod that this agent begins with. What an earlier agent ran ended with it, and its status says how far
 * it was: runs that were under way are over, runs that had ended stay so.
 */
export function initialPodState(pod: Pod, now: number): PodState {
  const { containerStatuses = [], initContainerStatuses = [], startTime } = pod.status ?? {};
  const known = new Map([...initContainerStatuses, ...containerStatuses].map((status) => [status.name, status]));
  const containers = containersOf(pod).map(({ container: { name }, role }) => {
    return [name, initialContainerState(known.get(name), role, now)] as const;
  });
  return {
    startTime: startTime === undefined ? now : Date.parse(startTime),
    sandbox: { kind: 'absent', failures: 0, retryAt: 0 },
    ips: [],
    containers: new Map(containers),
    deleting: false,
  };
}

function initialContainerState(status: ContainerStatus | undefined, role: ContainerRole, now: number): ContainerState {
  const { restartCount = 0, state, lastState } = status ?? {};
  const how = state?.running === undefined ? terminationOf(state?.terminated, now) : lostRun(state.running, now);
  if (how === undefined) {
    const last = terminationOf(lastState?.terminated, now);
    return { ...fresh, restartCount, ...(last === undefined ? {} : { last }) };
  }
  // Network and files are made anew, and init containers prepare them.
  if (role === 'init' && how.exitCode === 0) return { ...fresh, restartCount: restartCount + 1, last: how };
  return { ...fresh, restartCount, phase: { kind: 'terminated', how } };
}

function lostRun({ startedAt }: ContainerStateRunning, now: number): Termination {
  const message = 'the container ended with the node agent that ran it';
  const started = startedAt === undefined ? {} : { startedAt: Date.parse(startedAt) };
  return { exitCode: 137, reason: 'ContainerStatusUnknown', message, finishedAt: now, ...started };
}

function terminationOf(from: ContainerStateTerminated | undefined, now: number): Termination | undefined {
  if (from === undefined) return undefined;
  return {
    exitCode: from.exitCode,
    reason: from.reason ?? (from.exitCode === 0 ? 'Completed' : 'Error'),
    finishedAt: from.finishedAt === undefined ? now : Date.parse(from.finishedAt),
    ...(from.signal === undefined ? {} : { signal: from.signal }),
    ...(from.message === undefined ? {} : { message: from.message }),
    ...(from.startedAt === undefined ? {} : { startedAt: Date.parse(from.startedAt) }),
    ...(from.containerID === undefined ? {} : { containerId: from.containerID }),
  };
}

/** The state after an event. */
export function podStateAfter(state: PodState, event: PodEvent): PodState {
  switch (event.type) {
    case 'sandboxCreating':
      return {
        ...state,
        sandbox: { kind: 'creating', failures: 'failures' in state.sandbox ? state.sandbox.failures : 0 },
      };
    case 'sandboxReady':
      return { ...state, sandbox: { kind: 'ready' }, ips: event.ips };
    case 'sandboxFailed':
      return { ...state, sandbox: afterSandboxFailure(state.sandbox, event.at) };
    case 'sandboxRemoving':
      return { ...state, sandbox: { kind: 'removing' } };
    case 'sandboxRemoved':
      return { ...state, sandbox: { kind: 'removed' } };
    case 'deleteRequested':
      return { ...state, deleting: true };
    default: {
      const containers = new Map(state.containers);
      containers.set(event.name, containerStateAfter(containers.get(event.name) ?? fresh, event));
      return { ...state, containers };
    }
  }
}

type ContainerEvent = Extract<PodEvent, { readonly name: string }>;

function containerStateAfter(state: ContainerState, event: ContainerEvent): ContainerState {
  switch (event.type) {
    case 'containerStarting': {
      const { stopBy: _, restartAt: __, ...rest } = state;
      const again =
        state.phase.kind === 'terminated' ? { last: state.phase.how, restartCount: state.restartCount + 1 } : {};
      const refused = state.phase.kind === 'waiting' ? state.phase.refused : undefined;
      const phase = { kind: 'starting' as const, ...(refused === undefined ? {} : { refused }) };
      return { ...rest, ...again, phase, begun: true, started: false, ready: false };
    }
    case 'containerStarted':
      return { ...state, phase: { kind: 'running', containerId: event.containerId, startedAt: event.at } };
    case 'containerRefused':
      return { ...state, phase: { kind: 'waiting', refused: nextRefusal(state.phase, event) } };
    case 'containerExited': {
      const { at, backoff } = nextRestart(state.backoff, event.how.finishedAt);
      return {
        ...state,
        phase: { kind: 'terminated', how: event.how },
        started: false,
        ready: false,
        backoff,
        restartAt: at,
      };
    }
    case 'stopRequested':
      return { ...state, stopBy: Math.min(event.by, state.stopBy ?? event.by) };
    case 'startupPassed':
      return { ...state, started: true, ready: event.ready };
    case 'readiness':
      return { ...state, ready: event.ready };
  }
}

const sandboxRetry = { initial: 1000, max: 30_000 };
const pullRetry = { initial: 10_000, max: 300_000 };
// What stands in the way is mostly an object that someone is about to create.
const configRetry = { initial: 500, max: 10_000 };

function afterSandboxFailure(sandbox: SandboxState, at: number): SandboxState {
  const failures = ('failures' in sandbox ? sandbox.failures : 0) + 1;
  return { kind: 'absent', failures, retryAt: at + doubled(sandboxRetry, failures) };
}

function nextRefusal(
  phase: ContainerPhase,
  { reason, message, at }: { readonly reason: string; readonly message: string; readonly at: number },
): Refusal {
  const count = ('refused' in phase ? (phase.refused?.count ?? 0) : 0) + 1;
  const pull = reason === 'ErrImagePull';
  const retryAt = at + doubled(pull ? pullRetry : configRetry, count);
  return { reason: pull && count > 1 ? 'ImagePullBackOff' : reason, message, retryAt, count };
}

function doubled({ initial, max }: { readonly initial: number; readonly max: number }, count: number): number {
  return Math.min(max, initial * 2 ** Math.min(count - 1, 20));
}
