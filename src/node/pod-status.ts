import type {
  Container,
  ContainerState as ContainerStateField,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
} from '../api/generated/types.ts';
import { podQosClass } from '../api/pod-qos.ts';
import type { Ip } from '../net/ip.ts';
import { deadlineOf, isInitialized, podOutcome } from './pod-plan.ts';
import {
  type ContainerRole,
  type ContainerState,
  containersOf,
  type PodState,
  restarts,
  type Termination,
} from './pod-state.ts';

/** What a Pod's status is computed from. */
export interface StatusSource {
  readonly pod: Pod;
  readonly state: PodState;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly hostIps: readonly Ip[];
}

/** Milliseconds since the epoch as Kubernetes writes times: whole seconds, UTC. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/**
 * The status of a Pod: all fields that a node agent writes. Conditions of others are not in it.
 * @param previous the status before this one, for the times of transitions; the object's own copy can be behind
 */
export function podStatus(source: StatusSource, previous: PodStatus = source.pod.status ?? {}): PodStatus {
  const { pod, state, now, hostIps } = source;
  const inits = containersOf(pod).filter(({ role }) => role !== 'main');
  const mains = containersOf(pod).filter(({ role }) => role === 'main');
  const phase = podPhase(source);
  const past = deadlineOf(pod, state) <= now;
  return {
    phase,
    ...(past
      ? { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' }
      : {}),
    conditions: conditions(source, phase, previous),
    ...addressFields(state.ips, hostIps),
    startTime: timestamp(state.startTime),
    qosClass: pod.status?.qosClass ?? podQosClass(pod.spec),
    ...(pod.metadata?.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    ...(inits.length === 0
      ? {}
      : { initContainerStatuses: inits.map(({ container, role }) => containerStatus(source, container, role)) }),
    containerStatuses: mains.map(({ container, role }) => containerStatus(source, container, role)),
  };
}

function addressFields(
  ips: readonly Ip[],
  hostIps: readonly Ip[],
): Pick<PodStatus, 'podIP' | 'podIPs' | 'hostIP' | 'hostIPs'> {
  const [podIP] = ips;
  const [hostIP] = hostIps;
  return {
    ...(podIP === undefined ? {} : { podIP, podIPs: ips.map((ip) => ({ ip })) }),
    ...(hostIP === undefined ? {} : { hostIP, hostIPs: hostIps.map((ip) => ({ ip })) }),
  };
}

/** `Pending` until all containers have run, then `Running` until none will again. */
function podPhase(source: StatusSource): 'Pending' | 'Running' | 'Succeeded' | 'Failed' {
  const { pod, state } = source;
  const outcome = podOutcome(source);
  const mains = containersOf(pod).filter(({ role }) => role === 'main');
  const active = containersOf(pod).some(
    ({ container }) => state.containers.get(container.name)?.phase.kind === 'running',
  );
  if (outcome !== undefined && !active) return outcome;
  const ran = mains.every(({ container }) => {
    const { phase, last } = state.containers.get(container.name) ?? {};
    return phase?.kind === 'running' || phase?.kind === 'terminated' || last !== undefined;
  });
  return ran && isInitialized(pod, state) ? 'Running' : 'Pending';
}

/** Whether a container takes part: readiness of the Pod asks all main containers and sidecars. */
function isReady(state: PodState, name: string): boolean {
  const container = state.containers.get(name);
  return container?.phase.kind === 'running' && container.started && container.ready;
}

interface ConditionValue {
  readonly status: boolean;
  readonly reason?: string;
  readonly message?: string;
}

function conditions({ pod, state, now }: StatusSource, phase: string, previous: PodStatus): PodCondition[] {
  const containers = containersReady(pod, state, phase);
  const values: Readonly<Record<string, ConditionValue>> = {
    PodReadyToStartContainers: { status: state.sandbox.kind === 'ready' },
    Initialized: initialized(pod, state),
    Ready: containers.status ? gates(pod) : containers,
    ContainersReady: containers,
    PodScheduled: { status: true },
  };
  return Object.entries(values).map(([type, { status, reason, message }]) => {
    const earlier = previous.conditions?.find((c) => c.type === type);
    const same = earlier?.status === (status ? 'True' : 'False');
    return {
      type,
      status: status ? 'True' : 'False',
      lastTransitionTime:
        same && earlier.lastTransitionTime !== undefined ? earlier.lastTransitionTime : timestamp(now),
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
    };
  });
}

function initialized(pod: Pod, state: PodState): ConditionValue {
  if (isInitialized(pod, state)) return { status: true };
  const waiting = containersOf(pod).filter(({ container, role }) => {
    const phase = state.containers.get(container.name)?.phase;
    return role !== 'main' && !(phase?.kind === 'terminated' && phase.how.exitCode === 0);
  });
  const message = `containers with incomplete status: [${names(waiting)}]`;
  return { status: false, reason: 'ContainersNotInitialized', message };
}

function containersReady(pod: Pod, state: PodState, phase: string): ConditionValue {
  if (phase === 'Succeeded') return { status: false, reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: false, reason: 'PodFailed' };
  const unready = containersOf(pod).filter(({ container, role }) => role !== 'init' && !isReady(state, container.name));
  if (unready.length === 0 && isInitialized(pod, state)) return { status: true };
  return {
    status: false,
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${names(unready)}]`,
  };
}

function gates(pod: Pod): ConditionValue {
  const closed = (pod.spec?.readinessGates ?? []).filter(({ conditionType }) => {
    return pod.status?.conditions?.find((c) => c.type === conditionType)?.status !== 'True';
  });
  if (closed.length === 0) return { status: true };
  const message = `corresponding conditions of pod readiness gates are not "True": ${closed.map((g) => g.conditionType).join(', ')}`;
  return { status: false, reason: 'ReadinessGatesNotReady', message };
}

function names(containers: readonly { readonly container: Container }[]): string {
  return containers.map(({ container }) => container.name).join(' ');
}

function containerStatus(source: StatusSource, container: Container, role: ContainerRole): ContainerStatus {
  const { name, image = '' } = container;
  const current = source.state.containers.get(name);
  const last = lastRun(source, current, role);
  const id = containerId(current);
  const running = current?.phase.kind === 'running';
  const done = current?.phase.kind === 'terminated' && current.phase.how.exitCode === 0;
  return {
    name,
    image,
    imageID: id === undefined ? '' : image,
    ready: role === 'init' ? done : isReady(source.state, name),
    started: running && current.started,
    restartCount: current?.restartCount ?? 0,
    state: stateField(source, container, role),
    lastState: last === undefined ? {} : { terminated: terminatedField(last) },
    ...(id === undefined ? {} : { containerID: id }),
  };
}

function containerId(container: ContainerState | undefined): string | undefined {
  if (container?.phase.kind === 'running') return container.phase.containerId;
  return container?.phase.kind === 'terminated' ? container.phase.how.containerId : container?.last?.containerId;
}

function stateField(source: StatusSource, container: Container, role: ContainerRole): ContainerStateField {
  const current = source.state.containers.get(container.name);
  const phase = current?.phase;
  if (phase?.kind === 'running') return { running: { startedAt: timestamp(phase.startedAt) } };
  if (phase?.kind === 'terminated') {
    if (!isBackingOff(source, current, role)) return { terminated: terminatedField(phase.how) };
    const { name = '', namespace = '', uid = '' } = source.pod.metadata ?? {};
    const wait = Math.round(((current?.restartAt ?? 0) - phase.how.finishedAt) / 1000);
    const message = `back-off ${wait}s restarting failed container=${container.name} pod=${name}_${namespace}(${uid})`;
    return { waiting: { reason: 'CrashLoopBackOff', message } };
  }
  if (phase?.refused !== undefined)
    return { waiting: { reason: phase.refused.reason, message: phase.refused.message } };
  const initializing = role === 'main' && !isInitialized(source.pod, source.state);
  return { waiting: { reason: initializing ? 'PodInitializing' : 'ContainerCreating' } };
}

/** Whether a container waits to be started again. Then its end counts as the last run already. */
function isBackingOff({ pod, now }: StatusSource, container: ContainerState | undefined, role: ContainerRole): boolean {
  const phase = container?.phase;
  if (phase?.kind !== 'terminated' || pod.metadata?.deletionTimestamp !== undefined) return false;
  return restarts(role, pod.spec?.restartPolicy, phase.how.exitCode) && (container?.restartAt ?? 0) > now;
}

function lastRun(
  source: StatusSource,
  container: ContainerState | undefined,
  role: ContainerRole,
): Termination | undefined {
  if (container?.phase.kind === 'terminated' && isBackingOff(source, container, role)) return container.phase.how;
  return container?.last;
}

function terminatedField(how: Termination): NonNullable<ContainerStateField['terminated']> {
  return {
    exitCode: how.exitCode,
    reason: how.reason,
    startedAt: timestamp(how.startedAt ?? 0),
    finishedAt: timestamp(how.finishedAt),
    ...(how.signal === undefined ? {} : { signal: how.signal }),
    ...(how.message === undefined ? {} : { message: how.message }),
    ...(how.containerId === undefined ? {} : { containerID: how.containerId }),
  };
}
