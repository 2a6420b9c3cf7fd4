import { setImmediate } from 'node:timers/promises';

/** Milliseconds of work before others have the thread. */
const sliceMs = 2;

/** Carries steps out, a few milliseconds at a time. Gives `undefined` when the signal aborts before the end. */
export async function inSlices<T>(
  steps: Generator<undefined, T, undefined>,
  signal?: AbortSignal,
): Promise<T | undefined> {
  let began = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value;
    if (performance.now() - began < sliceMs) continue;
    await setImmediate();
    if (signal?.aborted === true) {
      steps.return(undefined as never);
      return undefined;
    }
    began = performance.now();
  }
}
