import { type BackoffOptions, backoffDelay } from '../component/backoff.ts';

/** What a sync loop does, and when; all times in milliseconds. */
export interface SyncLoopOptions {
  /**
   * Brings what changed to where it belongs. Resolves to whether it is done; if not, or if it rejects, it is called
   * again after a while with `retry` set. Never called again before it has settled.
   */
  readonly sync: (retry: boolean) => Promise<boolean>;
  /**
   * Compares everything, every `checkPeriod`. Same promise as `sync`. When the signal aborts a sync waits, and the
   * check is to give up and will be begun anew; what it resolves to does not matter then.
   */
  readonly check: (signal: AbortSignal) => Promise<boolean>;
  /** Told of every rejection. */
  readonly onError: (error: unknown) => void;
  /** Least time from the start of one sync to the start of the next. */
  readonly minPeriod: number;
  readonly checkPeriod: number;
  readonly backoff: BackoffOptions;
}

/** Checks that a sync may interrupt, one after another, before one is let come to its end; and how soon each follows. */
const interruptedChecks = 5;
const interruptedCheckPause = 0.1;

/** Milliseconds by which a timer may go off too early. */
const timerEarliness = 1;

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
  #pausedUntil = 0;
  #failures = 0;
  #retryAt = Number.POSITIVE_INFINITY;
  #checkAt = Number.POSITIVE_INFINITY;
  #interrupted = 0;
  #check: AbortController | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  /** Asks for a sync. Requests until it starts are one. */
  request(): void {
    this.#requested = true;
    if (this.#interrupted < interruptedChecks) this.#check?.abort();
    this.#schedule();
  }

  /** Begins to check. Before that, only requested syncs run. */
  startChecks(): void {
    this.#checkAt = performance.now() + this.#options.checkPeriod;
    this.#schedule();
  }

  /** Lets the next check not wait for its time. */
  checkSoon(): void {
    this.#checkAt = Math.min(this.#checkAt, performance.now());
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
    const syncAt = Math.max(this.#requested ? 0 : this.#retryAt, this.#earliest);
    const wait = Math.min(syncAt, Math.max(this.#checkAt, this.#pausedUntil)) - performance.now();
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
    const check = this.#checkIsNext(now) ? new AbortController() : undefined;
    this.#check = check;
    if (check === undefined) {
      this.#earliest = now + minPeriod;
      this.#requested = false;
    }
    try {
      const done = await (check === undefined ? this.#options.sync(retry) : this.#options.check(check.signal));
      if (check?.signal.aborted === true) this.#interrupted++;
      else if (done) this.#succeed();
      else if (retry || this.#retryAt === Number.POSITIVE_INFINITY) this.#fail();
    } catch (error) {
      onError(error);
      this.#earliest = performance.now() + backoffDelay(this.#failures, backoff);
      this.#pausedUntil = this.#earliest;
      this.#retryAt = this.#earliest;
      this.#failures++;
    }
    this.#check = undefined;
    if (check === undefined) return;
    const { aborted } = check.signal;
    if (!aborted) this.#interrupted = 0;
    this.#checkAt = performance.now() + (aborted ? checkPeriod * interruptedCheckPause : checkPeriod);
  }

  /** Whether a check is due and no sync is, or too many have come in its way already. */
  #checkIsNext(now: number): boolean {
    if (now < this.#checkAt || now >= this.#retryAt) return false;
    if (!this.#requested || now < this.#earliest - timerEarliness) return true;
    return this.#interrupted++ >= interruptedChecks;
  }

  #succeed(): void {
    this.#failures = 0;
    this.#retryAt = Number.POSITIVE_INFINITY;
  }

  #fail(): void {
    this.#retryAt = performance.now() + backoffDelay(this.#failures++, this.#options.backoff);
  }
}
