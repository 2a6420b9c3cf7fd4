/** One transaction on its way to the disk. */
export interface QueuedCommit {
  /** Adds the transaction's writes to the batch being made. */
  readonly write: () => void;
  /** Called in order, before the transaction's promise resolves. */
  readonly onCommitted: () => void;
  /** Bytes it writes, about. */
  readonly size: number;
}

const maxGroupBytes = 8 * 1024 * 1024;

/**
 * Group commit: one batch is on its way to the disk at a time, and all that arrives meanwhile makes the next one.
 * A failed batch takes with it all that arrived meanwhile, which was checked against its outcome. Unless the failure is
 * one that can be survived, nothing is accepted after it.
 */
export class CommitQueue {
  readonly #commit: (write: () => void) => Promise<unknown>;
  readonly #survives: (error: Error) => boolean;
  #waiting: { commit: QueuedCommit; resolve: () => void; reject: (error: Error) => void }[] = [];
  #running: Promise<void> | undefined;
  #failure: Error | undefined;

  /**
   * `commit` runs the writes as one atomic batch, and resolves when it is on disk. `survives` says of its failure
   * whether nothing of the batch was done and another may do better.
   */
  constructor(commit: (write: () => void) => Promise<unknown>, survives: (error: Error) => boolean) {
    this.#commit = commit;
    this.#survives = survives;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when the transaction is on disk. */
  add(commit: QueuedCommit): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting.push({ commit, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when all that was added before is on disk or has failed. */
  async drain(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // One turn of waiting, so that requests read from many sockets in the same turn share the first batch.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0 && this.#failure === undefined) await this.#commitGroup();
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure ?? new Error('unreachable'));
    this.#running = undefined;
  }

  async #commitGroup(): Promise<void> {
    let size = 0;
    let count = 0;
    for (const { commit } of this.#waiting) {
      if (count > 0 && size + commit.size > maxGroupBytes) break;
      size += commit.size;
      count++;
    }
    const group = this.#waiting.splice(0, count);
    try {
      await this.#commit(() => {
        for (const { commit } of group) commit.write();
      });
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      if (!this.#survives(failure)) this.#failure = failure;
      // What waits was checked against the outcome that did not come.
      for (const { reject } of [...group, ...this.#waiting.splice(0)]) reject(failure);
      return;
    }
    for (const { commit, resolve } of group) {
      commit.onCommitted();
      resolve();
    }
  }
}
