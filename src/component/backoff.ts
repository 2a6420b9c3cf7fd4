/** Bounds of a series of tries, in milliseconds. */
export interface BackoffOptions {
  readonly initial: number;
  readonly max: number;
}

/**
 * The wait before try number `attempt` (from 0): doubles up to `max`, and is spread over its upper half so that many
 * who wait for the same thing do not come back together.
 */
export function backoffDelay(attempt: number, options: BackoffOptions, random: () => number = Math.random): number {
  const full = Math.min(options.max, options.initial * 2 ** Math.min(attempt, 30));
  return full / 2 + (full / 2) * random();
}

/**
 * Waits; returns early, without an error, when one of the signals aborts. Afterwards nothing of it is left with them: of
 * `AbortSignal.any` something stays with each for as long as it lives.
 */
export function sleep(ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    if (signals.some((signal) => signal?.aborted === true)) return resolve();
    const done = () => {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const signal of signals) signal?.addEventListener('abort', done, { once: true });
  });
}

/** How something is tried again. */
export interface RetryOptions {
  /** Ends the tries. */
  readonly signal: AbortSignal;
  /** The wait after try number `attempt` (from 0), in milliseconds. */
  readonly delay: (attempt: number) => number;
  readonly onError: (error: unknown, attempt: number) => void;
}

/** Tries until it succeeds, and gives what came of it; `undefined` when the signal aborted before. */
export async function retry<T>(work: () => Promise<T>, options: RetryOptions): Promise<T | undefined> {
  for (let attempt = 0; !options.signal.aborted; attempt++) {
    try {
      return await work();
    } catch (error) {
      options.onError(error, attempt);
      await sleep(options.delay(attempt), options.signal);
    }
  }
  return undefined;
}
