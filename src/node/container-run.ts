import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import type { Container, LifecycleHandler, Pod } from '../api/generated/types.ts';
import { sleep } from '../component/backoff.ts';
import { isSignalboxError } from '../errors/error.ts';
import {
  type ContainerExit,
  type ContainerProgram,
  type RunningContainer,
  startContainer,
} from '../kernel/container.ts';
import { containerEnvironment } from './container-environment.ts';
import { type ContainerLog, logFolder, openContainerLog } from './container-log.ts';
import { writeContainerPid } from './container-pid.ts';
import { containerUser, type IdRanges } from './container-user.ts';
import { expandReferences } from './expansion.ts';
import { containerArgv, unknownImageMessage } from './images.ts';
import { loadConfiguration, podFacts, type Sandbox, type SandboxHost } from './pod-sandbox.ts';
import type { Termination } from './pod-state.ts';
import { type Attempt, attemptExec, attemptHttp, type ProbeTarget } from './probe-attempt.ts';
import { volumeMounts } from './volumes.ts';

/** What runs containers, beside what makes sandboxes. */
export interface ContainerHost extends SandboxHost {
  readonly ids: { readonly uids: IdRanges; readonly gids: IdRanges };
  /** Variables for a Pod, of the Services known now. */
  serviceVariables(pod: Pod): Record<string, string>;
}

/** Which run of which container. */
export interface ContainerPlace {
  readonly pod: Pod;
  readonly container: Container;
  readonly sandbox: Sandbox;
  readonly restartCount: number;
}

/** One run of a container. */
export interface ContainerRun {
  readonly containerId: string;
  readonly startedAt: number;
  readonly target: ProbeTarget;
  readonly exited: Promise<Termination>;
  /** Its streams. Whoever pauses an output holds the container up, and its log. */
  readonly running: RunningContainer;
  readonly log: ContainerLog;
  /**
   * Ends it: the `preStop` hook, then its stop signal, then SIGKILL `graceMs` from now. A later call can only shorten
   * the time. `hookFailed` is told why a hook failed, which stops nothing.
   */
  stop(graceMs: number, hookFailed: (message: string) => void): void;
}

/** Thrown instead of starting: why a container cannot be made, in kubelet's words. */
export class ContainerRefused extends Error {
  readonly reason: 'ErrImagePull' | 'CreateContainerConfigError' | 'CreateContainerError';

  constructor(reason: ContainerRefused['reason'], message: string) {
    super(message);
    this.name = 'ContainerRefused';
    this.reason = reason;
  }
}

/**
 * Starts a container.
 * @throws ContainerRefused when it cannot be made; SignalboxError `CONTAINER_START_FAILED` when it was made and its
 *   program could not be started
 */
export async function runContainer(place: ContainerPlace, host: ContainerHost): Promise<ContainerRun> {
  const { pod, container, sandbox } = place;
  const words = containerArgv(container, host.config.imageDir);
  if (words === undefined) throw new ContainerRefused('ErrImagePull', unknownImageMessage(container.image ?? ''));
  const { program, mounts } = await prepare(place, words, host);
  let running: RunningContainer;
  try {
    const { netns, hostname } = sandbox;
    running = startContainer({
      ...program,
      netns,
      hostname,
      mounts: [...sandbox.mounts, ...mounts],
      scratch: sandbox.scratch(container.name),
      streams: { stdin: container.stdin === true, terminal: container.tty === true },
    });
  } catch (error) {
    if (isSignalboxError(error, 'CONTAINER_START_FAILED')) throw error;
    throw new ContainerRefused('CreateContainerError', reasonOf(error));
  }
  const startedAt = Date.now();
  const name = { podUid: pod.metadata?.uid ?? '', container: container.name };
  writeContainerPid(host.config.stateDir, name, running.pid);
  const log = openContainerLog(logFolder(host.config.stateDir, pod, container.name), place.restartCount);
  log.take(running.stdout, 'stdout');
  if (running.stderr !== undefined) log.take(running.stderr, 'stderr');
  const containerId = `signalbox://${randomBytes(32).toString('hex')}`;
  const target = { container, pid: running.pid, podIp: sandbox.ips[0], program };
  const exited = running.exited.then((exit) => terminationOf(exit, { startedAt, containerId }));
  return { containerId, startedAt, target, exited, running, log, stop: stopper(running, target) };
}

async function prepare({ pod, container, sandbox }: ContainerPlace, words: readonly string[], host: ContainerHost) {
  try {
    const env = containerEnvironment({
      ...podFacts(pod, sandbox.ips, host),
      container,
      configuration: await loadConfiguration(pod, host.client),
      services: host.serviceVariables(pod),
      hostname: sandbox.hostname,
    });
    const program: ContainerProgram = {
      argv: words.map((word) => expandReferences(word, env)),
      env,
      workingDir: container.workingDir ?? '/',
      user: containerUser(pod, container, host.ids),
    };
    return { program, mounts: volumeMounts(container, { pod, folder: sandbox.volumeFolder, variables: env }) };
  } catch (error) {
    throw new ContainerRefused('CreateContainerConfigError', reasonOf(error));
  }
}

/** What went wrong, for a status or an event. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function terminationOf(
  { exitCode, signal, startFailure }: ContainerExit,
  run: { readonly startedAt: number; readonly containerId: string },
): Termination {
  const reason = startFailure !== undefined ? 'StartError' : exitCode === 0 ? 'Completed' : 'Error';
  return {
    ...run,
    exitCode: startFailure === undefined ? exitCode : startErrorExitCode,
    reason,
    finishedAt: Date.now(),
    ...(signal === undefined ? {} : { signal }),
    ...(startFailure === undefined ? {} : { message: startFailure }),
  };
}

/** What Kubernetes shows for a container whose program could not be started. */
export const startErrorExitCode = 128;

/** After a `preStop` hook that took all the time, a container still gets this long. */
const afterHookMs = 2000;

function stopper(running: RunningContainer, target: ProbeTarget): ContainerRun['stop'] {
  let killAt = Number.POSITIVE_INFINITY;
  let killer: NodeJS.Timeout | undefined;
  running.exited.then(() => clearTimeout(killer));
  const killBy = (time: number) => {
    clearTimeout(killer);
    killAt = time;
    killer = setTimeout(() => running.kill('SIGKILL'), time - Date.now());
  };
  return (graceMs, hookFailed) => {
    const by = Date.now() + graceMs;
    const { preStop, stopSignal } = target.container.lifecycle ?? {};
    if (killAt !== Number.POSITIVE_INFINITY) {
      if (by < killAt) killBy(by);
    } else if (preStop === undefined) {
      killBy(by);
      running.kill(signalNamed(stopSignal));
    } else {
      killBy(by + afterHookMs);
      runHook(preStop, target, graceMs).then(({ success, message }) => {
        if (!success) hookFailed(message);
        // What the hook left of the time, or the least there is.
        killBy(Math.min(killAt, Math.max(by, Date.now() + afterHookMs)));
        running.kill(signalNamed(stopSignal));
      });
    }
  };
}

function signalNamed(name = 'SIGTERM'): NodeJS.Signals {
  return isSignal(name) ? name : 'SIGTERM';
}

function isSignal(name: string): name is NodeJS.Signals {
  return /^SIG[A-Z0-9]+$/.test(name) && name in constants.signals;
}

/** Runs a `postStart` or `preStop` hook. Never rejects. */
export async function runHook(hook: LifecycleHandler, target: ProbeTarget, timeoutMs: number): Promise<Attempt> {
  try {
    if (hook.exec !== undefined) return await attemptExec(hook.exec.command ?? [], target, timeoutMs);
    if (hook.httpGet !== undefined) return await attemptHttp(hook.httpGet, target, timeoutMs);
    await sleep(Math.min(timeoutMs, (hook.sleep?.seconds ?? 0) * 1000));
    return { success: true, message: '' };
  } catch (error) {
    return { success: false, message: reasonOf(error) };
  }
}
