import { type BackoffOptions, backoffDelay } from '../component/backoff.ts';

/** What a sync loop does, and when; all times in milliseconds. */
export interface SyncLoopOptions {
  /**
   * Brings what changed to where it belongs. Resolves to whether it is done; if not, or if it rejects, it is called
   * again after a while with `retry` set. Never called again before it has settled.
   */
  readonly sync: (retry: boolean) => Promise<boolean>;
  /** Compares everything, every `checkPeriod`. Same promise as `sync`. */
  readonly check: () => Promise<boolean>;
  /** Told of every rejection. */
  readonly onError: (error: unknown) => void;
  /** Least time from the start of one sync to the start of the next. */
  readonly minPeriod: number;
  readonly checkPeriod: number;
  readonly backoff: BackoffOptions;
}

/**
 * Runs syncs one at a time: at once for the first request after a pause, then at most one in `minPeriod`, however many
 * requests come. After a rejection everything waits for the back-off, as the next sync would most likely fail in the
 * same way; after one that is not done only the retry waits.
 */
export class SyncLoop {
  readonly #options: SyncLoopOptions;
  #requested = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #earliest = 0;
  #failures = 0;
  #retryAt = Number.POSITIVE_INFINITY;
  #checkAt = Number.POSITIVE_INFINITY;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  /** Asks for a sync. Requests until it starts are one. */
  request(): void {
    this.#requested = true;
    this.#schedule();
  }

  /** Begins to check. Before that, only requested syncs run. */
  startChecks(): void {
    this.#checkAt = performance.now() + this.#options.checkPeriod;
    this.#schedule();
  }

  /** Resolves when what runs has ended; nothing starts any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unschedule();
    await this.#running;
  }

  #schedule(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#unschedule();
    const due = this.#requested ? this.#earliest : Math.min(this.#retryAt, this.#checkAt);
    const wait = Math.max(due, this.#earliest) - performance.now();
    const start = () => {
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        this.#schedule();
      });
    };
    // An immediate runs after all input that is ready has been read: events that came together go together.
    if (wait <= 0) this.#immediate = setImmediate(start);
    else if (wait < Number.POSITIVE_INFINITY) this.#timer = setTimeout(start, wait);
  }

  #unschedule(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    const { minPeriod, checkPeriod, backoff, onError } = this.#options;
    const now = performance.now();
    const retry = now >= this.#retryAt;
    const check = !retry && now >= this.#checkAt;
    this.#earliest = now + minPeriod;
    if (!check) this.#requested = false;
    try {
      const done = await (check ? this.#options.check() : this.#options.sync(retry));
      if (done) this.#succeed();
      else if (retry || this.#retryAt === Number.POSITIVE_INFINITY) this.#fail();
    } catch (error) {
      onError(error);
      this.#earliest = performance.now() + backoffDelay(this.#failures, backoff);
      this.#retryAt = this.#earliest;
      this.#failures++;
    }
    if (check) this.#checkAt = performance.now() + checkPeriod;
  }

  #succeed(): void {
    this.#failures = 0;
    this.#retryAt = Number.POSITIVE_INFINITY;
  }

  #fail(): void {
    this.#retryAt = performance.now() + backoffDelay(this.#failures++, this.#options.backoff);
  }
}
