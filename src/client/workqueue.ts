import { type BackoffOptions, backoffDelay } from '../component/backoff.ts';

/** How a queue works through its keys. */
export interface WorkQueueOptions {
  /**
   * One key's work. A rejection puts the key back after a delay that doubles with each failure in a row. `idle` says
   * that there was nothing to do: it does not make the key wait the next time.
   */
  readonly work: (key: string) => Promise<'idle' | undefined>;
  /** Keys at work at the same time. */
  readonly concurrency: number;
  readonly backoff?: BackoffOptions;
  /**
   * The wait before a key that has just been worked on is worked on again: none after a quiet time, `initial` ms after
   * that, doubling up to `max` while it keeps coming back. So a single change is never held up, and a stream of changes
   * costs a bounded number of rounds.
   */
  readonly coalesce?: BackoffOptions;
  /** Told of every failure, with the number of failures in a row. */
  readonly onError?: (key: string, error: unknown, failures: number) => void;
}

/** Keys that are to be worked on: each once, however often it was added; never the same key twice at a time. */
export interface WorkQueue {
  /**
   * Work on the key soon: after what runs now, and after the events that have come in with this one. During its work:
   * once more afterwards.
   */
  add(key: string): void;
  /** Work on the key after a time at the latest; an earlier call of `add` or `addAfter` comes first. */
  addAfter(key: string, ms: number): void;
  /** Resolves when no key waits or is at work. Keys that wait for a time to pass do not count. */
  drain(): Promise<void>;
  /** No further work is begun; resolves when what is at work has ended. */
  stop(): Promise<void>;
  /** Keys that wait for their turn. */
  readonly length: number;
}

/** Node fires longer timers at once. A key that comes early finds nothing to do and waits again. */
const maxTimerMs = 2 ** 31 - 1;

const defaultBackoff: BackoffOptions = { initial: 5, max: 60_000 };

/** An empty queue at work. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new KeyedQueue(options);
}

/** How busy a key has been; forgotten once it has been quiet. */
interface Pace {
  lastDone: number;
  step: number;
}

class KeyedQueue implements WorkQueue {
  readonly #options: WorkQueueOptions;
  /** Insertion order is the order of work. */
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  /** Added while at work. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { readonly due: number; readonly timer: NodeJS.Timeout }>();
  readonly #failures = new Map<string, number>();
  readonly #paces = new Map<string, Pace>();
  #idleListeners: (() => void)[] = [];
  #beginning = false;
  #stopped = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    const wait = this.#paceWait(key);
    if (wait > 0) {
      this.addAfter(key, wait);
      return;
    }
    this.#forgetDelay(key);
    this.#waiting.add(key);
    this.#begin();
  }

  addAfter(key: string, ms: number): void {
    if (this.#stopped || this.#waiting.has(key)) return;
    const due = Date.now() + ms;
    const before = this.#delayed.get(key);
    if (before !== undefined && before.due <= due) return;
    this.#forgetDelay(key);
    const timer = setTimeout(
      () => {
        this.#delayed.delete(key);
        this.add(key);
      },
      Math.min(ms, maxTimerMs),
    );
    this.#delayed.set(key, { due, timer });
  }

  drain(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idleListeners.push(resolve));
  }

  stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.clear();
    this.#again.clear();
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    return this.drain();
  }

  /** Later in this turn of the event loop: what is being told now is told in full first, to all who listen. */
  #begin(): void {
    if (this.#beginning || this.#waiting.size === 0) return;
    this.#beginning = true;
    setImmediate(() => {
      this.#beginning = false;
      this.#beginNow();
    });
  }

  #beginNow(): void {
    for (const key of this.#waiting) {
      if (this.#working.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      void this.#workOn(key);
    }
  }

  async #workOn(key: string): Promise<void> {
    try {
      const outcome = await this.#options.work(key);
      if (outcome !== 'idle') this.#notePace(key);
      this.#failures.delete(key);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      this.#notePace(key);
      this.#options.onError?.(key, error, failures);
      this.addAfter(key, backoffDelay(failures - 1, this.#options.backoff ?? defaultBackoff));
    }
    this.#working.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#begin();
    if (this.#isIdle()) for (const resolve of this.#idleListeners.splice(0)) resolve();
  }

  /** How long this key is to wait so as not to come back too soon. */
  #paceWait(key: string): number {
    const { coalesce } = this.#options;
    const pace = this.#paces.get(key);
    if (coalesce === undefined || pace === undefined) return 0;
    const due = pace.lastDone + Math.min(coalesce.max, coalesce.initial * 2 ** pace.step);
    return due - Date.now();
  }

  #notePace(key: string): void {
    const { coalesce } = this.#options;
    if (coalesce === undefined) return;
    const now = Date.now();
    const pace = this.#paces.get(key);
    const quiet =
      pace === undefined || now - pace.lastDone > 2 * Math.min(coalesce.max, coalesce.initial * 2 ** pace.step);
    // Re-inserted, so that the oldest come first and the forgetting below sees only those.
    this.#paces.delete(key);
    this.#paces.set(key, { lastDone: now, step: quiet ? 0 : Math.min(pace.step + 1, 30) });
    for (const [old, { lastDone }] of this.#paces) {
      if (now - lastDone <= 2 * coalesce.max) break;
      this.#paces.delete(old);
    }
  }

  #forgetDelay(key: string): void {
    clearTimeout(this.#delayed.get(key)?.timer);
    this.#delayed.delete(key);
  }

  #isIdle(): boolean {
    return this.#waiting.size === 0 && this.#working.size === 0;
  }
}
