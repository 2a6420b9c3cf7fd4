/** `run`, called at most once in `everyMs` milliseconds however often it is asked for: what it has to say stays the same. */
export function rarely(everyMs: number, run: () => void): () => void {
  let last = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - last < everyMs) return;
    last = performance.now();
    run();
  };
}
