import type { Container, Pod, PodStatus } from '../api/generated/types.ts';
import type { EventRecorder } from '../client/events.ts';
import { ApiError } from '../client/types.ts';
import { backoffDelay, retry } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { isSignalboxError } from '../errors/error.ts';
import type { ServedPod } from './api/target.ts';
import {
  type ContainerHost,
  ContainerRefused,
  type ContainerRun,
  reasonOf,
  runContainer,
  runHook,
  startErrorExitCode,
} from './container-run.ts';
import { graceOf, type PodAction, planPod } from './pod-plan.ts';
import { createSandbox, removeSandbox, type Sandbox } from './pod-sandbox.ts';
import {
  containersOf,
  initialPodState,
  type PodEvent,
  type PodState,
  podStateAfter,
  type Termination,
} from './pod-state.ts';
import { podStatus } from './pod-status.ts';
import { keepTokensFresh } from './pod-tokens.ts';
import type { ProbeKind } from './probe-schedule.ts';
import { probeOf, runProbes } from './prober.ts';
import { createStatusWriter, type StatusWriter } from './status-writer.ts';

/** What Pods on a node share. */
export interface PodWorkerHost extends ContainerHost {
  readonly events: EventRecorder;
  readonly log: Logger;
}

/** The one who does all for one Pod, from its first container to its removal. */
export interface PodWorker {
  readonly uid: string;
  /** A newer version of the Pod's object. */
  update(pod: Pod): void;
  /** The object is gone from the API. */
  removed(): void;
  /**
   * Ends all containers because the agent ends. The Pod's status stays as it is, for the next agent to go on from.
   * Resolves when nothing of the Pod is left running.
   */
  shutDown(graceMs: number): Promise<void>;
  /** How the Pod stands now, for those who ask the node. */
  served(): ServedPod;
  /** Resolves when nothing of a removed Pod is left. */
  readonly done: Promise<void>;
}

/** Starts to look after a Pod. */
export function startPodWorker(pod: Pod, host: PodWorkerHost): PodWorker {
  const worker = new StatefulPodWorker(pod, host);
  worker.begin();
  return worker;
}

const hookTimeoutMs = 60_000;
const deleteRetry = { initial: 100, max: 10_000 };

/**
 * Events change the state, a changed state is planned for, and the plan's actions lead to events. All decisions are in
 * `podStateAfter`, `planPod` and `podStatus`; here is what touches the world.
 */
class StatefulPodWorker implements PodWorker {
  readonly uid: string;
  readonly done: Promise<void>;
  readonly #host: PodWorkerHost;
  readonly #log: Logger;
  readonly #status: StatusWriter;
  readonly #runs = new Map<string, { readonly run: ContainerRun; readonly probes: AbortController }>();
  /** Aborts when the Pod is done with. */
  readonly #over = new AbortController();
  #pod: Pod;
  #state: PodState;
  #gone = false;
  #reported: PodStatus | undefined;
  #sandbox: Sandbox | undefined;
  #timer: NodeJS.Timeout | undefined;
  #finish: () => void = () => {};
  #shuttingDown = false;
  #stepping = false;

  constructor(pod: Pod, host: PodWorkerHost) {
    this.#pod = pod;
    this.#host = host;
    this.uid = pod.metadata?.uid ?? '';
    this.#log = host.log.child({ pod: `${pod.metadata?.namespace}/${pod.metadata?.name}` });
    this.#state = initialPodState(pod, Date.now());
    this.#status = createStatusWriter(pod, { client: host.client, log: this.#log, signal: this.#over.signal });
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  begin(): void {
    this.#step();
  }

  update(pod: Pod): void {
    this.#pod = pod;
    this.#step();
  }

  removed(): void {
    this.#gone = true;
    this.#step();
  }

  async shutDown(graceMs: number): Promise<void> {
    this.#shuttingDown = true;
    clearTimeout(this.#timer);
    this.#over.abort();
    const runs = [...this.#runs.values()];
    for (const { run } of runs) run.stop(graceMs, () => {});
    await Promise.all(runs.map(({ run }) => run.exited));
    if (this.#sandbox !== undefined) this.#host.network.detach(this.uid);
  }

  served(): ServedPod {
    const runs = new Map([...this.#runs].map(([name, { run }]) => [name, run] as const));
    const { initContainerStatuses = [], containerStatuses = [] } = this.#reported ?? {};
    const statuses = [...initContainerStatuses, ...containerStatuses];
    return {
      pod: this.#pod,
      state: this.#state,
      network: this.#sandbox,
      runs,
      waitingReason: (name) => statuses.find((status) => status.name === name)?.state?.waiting?.reason,
    };
  }

  #dispatch(event: PodEvent): void {
    this.#state = podStateAfter(this.#state, event);
    this.#step();
  }

  #step(): void {
    // An action that ends at once dispatches from within a step: the outer one goes on with what it led to.
    if (this.#stepping || this.#shuttingDown) return;
    this.#stepping = true;
    try {
      this.#takeSteps();
    } finally {
      this.#stepping = false;
    }
  }

  #takeSteps(): void {
    clearTimeout(this.#timer);
    for (let more = true; more; ) {
      const plan = planPod({ pod: this.#pod, state: this.#state, now: Date.now(), gone: this.#gone });
      for (const action of plan.actions) this.#act(action);
      more = plan.actions.length > 0;
      if (!more && plan.wakeAt !== undefined) this.#wakeAt(plan.wakeAt);
    }
    this.#report();
    if (this.#gone && isClean(this.#state)) {
      this.#over.abort();
      this.#finish();
    }
  }

  #wakeAt(time: number): void {
    // Timers take 31 bits.
    const wait = Math.min(Math.max(1, time - Date.now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#step(), wait);
  }

  #report(): void {
    const before = this.#pod.status?.phase;
    // Of a Pod that had ended before this agent began there is nothing new to say.
    if (this.#gone || ((before === 'Succeeded' || before === 'Failed') && this.#sandbox === undefined)) return;
    const source = { pod: this.#pod, state: this.#state, now: Date.now(), hostIps: this.#host.config.nodeIps };
    this.#reported = podStatus(source, this.#reported);
    this.#status.write(this.#reported);
  }

  #act(action: PodAction): void {
    switch (action.type) {
      case 'createSandbox':
        this.#dispatch({ type: 'sandboxCreating' });
        void this.#createSandbox();
        return;
      case 'removeSandbox':
        this.#dispatch({ type: 'sandboxRemoving' });
        this.#removeSandbox();
        return;
      case 'startContainer':
        this.#dispatch({ type: 'containerStarting', name: action.name });
        void this.#startContainer(action.name);
        return;
      case 'stopContainer':
        this.#stopContainer(action.name, action.graceMs, `Stopping container ${action.name}`);
        return;
      case 'deletePod':
        this.#dispatch({ type: 'deleteRequested' });
        void this.#deletePod();
    }
  }

  async #createSandbox(): Promise<void> {
    try {
      this.#sandbox = await createSandbox(this.#pod, this.#host);
      this.#keepTokensFresh(this.#sandbox);
      if (this.#shuttingDown) this.#host.network.detach(this.uid);
      this.#dispatch({ type: 'sandboxReady', ips: this.#sandbox.ips });
    } catch (error) {
      this.#log.warn({ reason: reasonOf(error) }, 'no sandbox for a Pod');
      this.#event('Warning', sandboxFailureReason(error), reasonOf(error));
      this.#dispatch({ type: 'sandboxFailed', at: Date.now() });
    }
  }

  #keepTokensFresh({ tokens, volumeFolder }: Sandbox): void {
    const keeping = { client: this.#host.client, log: this.#log, volumeFolder, signal: this.#over.signal };
    keepTokensFresh(this.#pod, tokens, keeping).catch((error: unknown) => {
      this.#log.error({ reason: reasonOf(error) }, 'the tokens of a Pod are no longer renewed');
    });
  }

  #removeSandbox(): void {
    try {
      removeSandbox(this.uid, this.#host);
    } catch (err) {
      // What is left goes when the agent starts anew. The Pod's removal must not wait for that.
      this.#log.error({ err }, 'the sandbox of a Pod could not be removed entirely');
    }
    this.#sandbox = undefined;
    this.#dispatch({ type: 'sandboxRemoved' });
  }

  async #startContainer(name: string): Promise<void> {
    const container = containersOf(this.#pod).find((c) => c.container.name === name)?.container;
    const sandbox = this.#sandbox;
    if (container === undefined || sandbox === undefined) return;
    const restartCount = this.#state.containers.get(name)?.restartCount ?? 0;
    const createdAt = Date.now();
    try {
      const run = await runContainer({ pod: this.#pod, container, sandbox, restartCount }, this.#host);
      this.#watch(container, run);
    } catch (error) {
      if (error instanceof ContainerRefused) this.#refused(container, error);
      else this.#notStarted(name, error, createdAt);
    }
  }

  #refused({ name, image = '' }: Container, { reason, message }: ContainerRefused): void {
    this.#dispatch({ type: 'containerRefused', name, reason, message, at: Date.now() });
    const phase = this.#state.containers.get(name)?.phase;
    const again = phase?.kind === 'waiting' && phase.refused?.reason === 'ImagePullBackOff';
    if (again) this.#event('Normal', 'BackOff', `Back-off pulling image "${image}": ${message}`);
    else this.#event('Warning', 'Failed', `Error: ${reason}: ${message}`);
  }

  #notStarted(name: string, error: unknown, at: number): void {
    const message = reasonOf(error);
    this.#event('Warning', 'Failed', `Error: failed to start container "${name}": ${message}`);
    const how = { exitCode: startErrorExitCode, reason: 'StartError', message, startedAt: at, finishedAt: Date.now() };
    this.#exited(name, how);
  }

  /** Follows a run from its start to its end. */
  #watch(container: Container, run: ContainerRun): void {
    const { name, image = '' } = container;
    const probes = new AbortController();
    this.#runs.set(name, { run, probes });
    this.#event('Normal', 'Pulled', `Container image "${image}" already present on machine`);
    this.#event('Normal', 'Created', `Created container: ${name}`);
    this.#event('Normal', 'Started', `Started container ${name}`);
    void run.exited.then((how) => {
      probes.abort();
      this.#runs.delete(name);
      if (how.reason === 'StartError')
        this.#event('Warning', 'Failed', `Error: failed to start container "${name}": ${how.message}`);
      this.#exited(name, how);
    });
    if (this.#shuttingDown) run.stop(0, () => {});
    this.#dispatch({ type: 'containerStarted', name, containerId: run.containerId, at: run.startedAt });
    void this.#afterStart(container, run, probes.signal);
  }

  async #afterStart(container: Container, run: ContainerRun, signal: AbortSignal): Promise<void> {
    const { name, lifecycle, startupProbe, readinessProbe } = container;
    if (lifecycle?.postStart !== undefined) {
      const { success, message } = await runHook(lifecycle.postStart, run.target, hookTimeoutMs);
      if (signal.aborted) return;
      if (!success) {
        this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${message}`);
        this.#stopContainer(name, graceOf(this.#pod), `FailedPostStartHook: container ${name} will be restarted`);
        return;
      }
    }
    const passed = () => this.#dispatch({ type: 'startupPassed', name, ready: readinessProbe === undefined });
    if (startupProbe === undefined) passed();
    const listener = {
      onVerdict: (kind: ProbeKind, success: boolean) => {
        if (kind === 'readiness') this.#dispatch({ type: 'readiness', name, ready: success });
        else if (!success) this.#probeFailed(container, kind);
        else if (kind === 'startup') passed();
      },
      onFailure: (kind: ProbeKind, message: string) => {
        if (kind !== 'readiness' && this.#isStopping(name)) return;
        this.#event('Warning', 'Unhealthy', `${titles[kind]} probe failed: ${message}`);
      },
    };
    await runProbes(run.target, listener, signal);
  }

  #probeFailed(container: Container, kind: 'startup' | 'liveness'): void {
    const { name } = container;
    if (this.#isStopping(name)) return;
    const own = probeOf(container, kind)?.terminationGracePeriodSeconds;
    const graceMs = own === undefined ? graceOf(this.#pod) : own * 1000;
    this.#stopContainer(name, graceMs, `Container ${name} failed ${kind} probe, will be restarted`);
  }

  #isStopping(name: string): boolean {
    return this.#state.containers.get(name)?.stopBy !== undefined;
  }

  #stopContainer(name: string, graceMs: number, why: string): void {
    if (!this.#isStopping(name)) this.#event('Normal', 'Killing', why);
    this.#dispatch({ type: 'stopRequested', name, by: Date.now() + graceMs });
    this.#runs.get(name)?.run.stop(graceMs, (message) => {
      this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${message}`);
    });
  }

  #exited(name: string, how: Termination): void {
    this.#dispatch({ type: 'containerExited', name, how });
    const { namespace, name: podName, uid } = this.#pod.metadata ?? {};
    const { phase, restartAt = 0 } = this.#state.containers.get(name) ?? {};
    if (phase?.kind !== 'terminated' || restartAt <= Date.now() || podPhaseIsOver(this.#reported)) return;
    const message = `Back-off restarting failed container ${name} in pod ${podName}_${namespace}(${uid})`;
    this.#event('Warning', 'BackOff', message);
  }

  async #deletePod(): Promise<void> {
    const { namespace, name = '', uid } = this.#pod.metadata ?? {};
    await this.#status.flush();
    const options = { gracePeriodSeconds: 0, ...(uid === undefined ? {} : { uid }) };
    const deletePod = async () => {
      try {
        await this.#host.client.delete('pods', { namespace, name }, options);
      } catch (error) {
        // 404: it went without us. 409: another Pod has the name by now. The informer tells either.
        if (!(error instanceof ApiError && (error.code === 404 || error.code === 409))) throw error;
      }
    };
    await retry(deletePod, {
      signal: this.#over.signal,
      delay: (attempt) => backoffDelay(attempt, deleteRetry),
      onError: (err) => this.#log.warn({ err }, 'a Pod that ended could not be deleted'),
    });
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#host.events.record(this.#pod, { type, reason, message });
  }
}

const titles: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
};

function isClean({ sandbox }: PodState): boolean {
  return sandbox.kind === 'removed' || sandbox.kind === 'absent';
}

function podPhaseIsOver(status: PodStatus | undefined): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function sandboxFailureReason(error: unknown): string {
  const mount =
    isSignalboxError(error, 'MOUNT_FAILED') ||
    isSignalboxError(error, 'POD_CONFIG_MISSING') ||
    (isSignalboxError(error, 'POD_UNSUPPORTED') && error.object.startsWith('volume '));
  return mount ? 'FailedMount' : 'FailedCreatePodSandBox';
}
