import type { Probe } from '../api/generated/types.ts';

/** What a probe is for. */
export type ProbeKind = 'startup' | 'readiness' | 'liveness';

/** When a probe is tried and how many tries decide. Milliseconds. */
export interface ProbeSchedule {
  readonly kind: ProbeKind;
  readonly initialDelayMs: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** The schedule of a probe, with Kubernetes' defaults for what it leaves out. */
export function probeSchedule(kind: ProbeKind, probe: Probe): ProbeSchedule {
  return {
    kind,
    initialDelayMs: (probe.initialDelaySeconds ?? 0) * 1000,
    periodMs: (probe.periodSeconds ?? 10) * 1000,
    timeoutMs: (probe.timeoutSeconds ?? 1) * 1000,
    successThreshold: probe.successThreshold ?? 1,
    failureThreshold: probe.failureThreshold ?? 3,
  };
}

/** Where a probe stands after some tries. */
export interface ProbeProgress {
  /** `undefined` until enough tries agreed. */
  readonly verdict: boolean | undefined;
  /** Successes or failures in a row, whichever the last try was. */
  readonly inRow: { readonly success: boolean; readonly count: number };
  /** Failed tries so far in the first period, which count for nothing. */
  readonly eagerTries: number;
}

export const noProgress: ProbeProgress = { verdict: undefined, inRow: { success: false, count: 0 }, eagerTries: 0 };

/** One try's outcome. */
export interface ProbeTry {
  readonly success: boolean;
  /** Milliseconds from the container's start to the try's end. */
  readonly sinceStart: number;
}

/**
 * Whether a failure at this moment is only "not yet": within the first period, before the first success, of a probe
 * that waits for something to begin. Such failures do not count, and the next try comes soon: a program that listens
 * after 60 ms is ready after 80, and not after a whole period.
 */
export function isEager(schedule: ProbeSchedule, progress: ProbeProgress, sinceStart: number): boolean {
  return (
    schedule.kind !== 'liveness' &&
    progress.verdict === undefined &&
    sinceStart < schedule.initialDelayMs + schedule.periodMs
  );
}

/** The progress after one more try. */
export function afterTry(
  schedule: ProbeSchedule,
  progress: ProbeProgress,
  { success, sinceStart }: ProbeTry,
): ProbeProgress {
  if (!success && isEager(schedule, progress, sinceStart)) {
    return { ...progress, inRow: { success, count: 0 }, eagerTries: progress.eagerTries + 1 };
  }
  const count = progress.inRow.success === success ? progress.inRow.count + 1 : 1;
  const threshold = success ? schedule.successThreshold : schedule.failureThreshold;
  return { ...progress, verdict: count >= threshold ? success : progress.verdict, inRow: { success, count } };
}

const eagerFirstMs = 10;
const eagerMaxMs = 160;

/** Milliseconds to wait before the next try. */
export function nextTryDelay(schedule: ProbeSchedule, progress: ProbeProgress, sinceStart: number): number {
  const { count, success } = progress.inRow;
  const waiting = count === 0 && !success && progress.eagerTries > 0;
  if (!waiting || !isEager(schedule, progress, sinceStart)) return schedule.periodMs;
  return Math.min(
    schedule.periodMs,
    eagerMaxMs,
    Math.round(eagerFirstMs * 1.5 ** Math.min(progress.eagerTries - 1, 10)),
  );
}
