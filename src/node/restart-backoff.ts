/** How often a container was started again lately. Milliseconds. */
export interface RestartBackoff {
  /** What the next restart has to wait, counted from the end of the run before. */
  readonly delay: number;
  /** When the run ended that gave this delay. */
  readonly since: number;
}

const initialMs = 10_000;
const maxMs = 300_000;

/**
 * When a container that ended is started again: the first time at once, then after 10 s, doubling up to 5 minutes,
 * and anew after 10 minutes without a restart. As kubelet does.
 * @param previous what this function gave for the container's last end
 */
export function nextRestart(
  previous: RestartBackoff | undefined,
  endedAt: number,
): { readonly at: number; readonly backoff: RestartBackoff } {
  if (previous === undefined || endedAt - previous.since > 2 * maxMs) {
    return { at: endedAt, backoff: { delay: initialMs, since: endedAt } };
  }
  const delay = Math.min(maxMs, previous.delay * 2);
  return { at: endedAt + previous.delay, backoff: { delay, since: endedAt } };
}
