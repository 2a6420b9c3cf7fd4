import type { Container } from '../api/generated/types.ts';
import { sleep } from '../component/backoff.ts';
import { type Attempt, attemptProbe, type ProbeTarget } from './probe-attempt.ts';
import {
  afterTry,
  isEager,
  nextTryDelay,
  noProgress,
  type ProbeKind,
  type ProbeProgress,
  probeSchedule,
} from './probe-schedule.ts';

/** Who is told what probes find. */
export interface ProbeListener {
  /** A probe's verdict, whenever it changes. */
  onVerdict(kind: ProbeKind, success: boolean, message: string): void;
  /** A try that counts has failed. */
  onFailure(kind: ProbeKind, message: string): void;
}

/**
 * Runs the probes of a container's run until the signal aborts: the startup probe first, then readiness and liveness.
 * After a failed verdict the startup and liveness probes are over: the container is to be restarted.
 */
export async function runProbes(target: ProbeTarget, listener: ProbeListener, signal: AbortSignal): Promise<void> {
  const startedAt = Date.now();
  const run = (kind: ProbeKind) => runProbe(kind, { target, listener, signal, startedAt });
  if (target.container.startupProbe !== undefined && !(await run('startup'))) return;
  await Promise.all([run('readiness'), run('liveness')]);
}

interface ProbeRun {
  readonly target: ProbeTarget;
  readonly listener: ProbeListener;
  readonly signal: AbortSignal;
  readonly startedAt: number;
}

/** The container's probe of one kind. */
export function probeOf(container: Container, kind: ProbeKind): Container['livenessProbe'] {
  return { startup: container.startupProbe, readiness: container.readinessProbe, liveness: container.livenessProbe }[
    kind
  ];
}

/** Until the signal aborts, or the verdict that ends it. Gives that verdict. */
async function runProbe(kind: ProbeKind, { target, listener, signal, startedAt }: ProbeRun): Promise<boolean> {
  const probe = probeOf(target.container, kind);
  if (probe === undefined) return true;
  const schedule = probeSchedule(kind, probe);
  let progress: ProbeProgress = noProgress;
  await sleep(schedule.initialDelayMs, signal);
  while (!signal.aborted) {
    const attempt: Attempt = await attemptProbe(probe, target, schedule.timeoutMs);
    if (signal.aborted) break;
    const sinceStart = Date.now() - startedAt;
    const before = progress;
    progress = afterTry(schedule, before, { success: attempt.success, sinceStart });
    if (!attempt.success && !isEager(schedule, before, sinceStart)) listener.onFailure(kind, attempt.message);
    if (progress.verdict !== undefined && progress.verdict !== before.verdict) {
      listener.onVerdict(kind, progress.verdict, attempt.message);
      if (kind === 'startup' || (kind === 'liveness' && !progress.verdict)) return progress.verdict;
    }
    await sleep(nextTryDelay(schedule, progress, sinceStart), signal);
  }
  return false;
}
