/** Something that is run again and again, once at a time. */
export interface Rerun {
  /** Runs it: at once, or when the run under way is through; many wishes meanwhile are one. Returns at once. */
  run(): void;
  /** No run begins after this. */
  stop(): void;
}

/** Failures go to `onError` and end nothing. */
export function createRerun(task: () => Promise<void>, onError: (error: unknown) => void): Rerun {
  let isRunning = false;
  let isWanted = false;
  let isStopped = false;
  const loop = async () => {
    isRunning = true;
    while (isWanted && !isStopped) {
      isWanted = false;
      await task().catch(onError);
    }
    isRunning = false;
  };
  return {
    run: () => {
      isWanted = true;
      if (!isRunning && !isStopped) void loop();
    },
    stop: () => {
      isStopped = true;
    },
  };
}
