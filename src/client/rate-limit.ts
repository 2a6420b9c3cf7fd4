import { sleep } from '../component/backoff.ts';

/** How often something may be done. */
export interface RateLimitOptions {
  /** A second, on average. Negative: as often as one likes. */
  readonly qps: number;
  /** At once, after a pause long enough. */
  readonly burst: number;
}

/** Lets callers go on as often as `RateLimitOptions` allow, in the order they come: a bucket of tokens. */
export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #now: () => number;
  #tokens: number;
  #at: number;

  /** `now` in milliseconds. */
  constructor(options: RateLimitOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.#tokens = Math.max(1, options.burst);
    this.#at = now();
  }

  /** Resolves when the caller may go on. */
  async admit(): Promise<void> {
    const wait = this.take();
    if (wait > 0) await sleep(wait);
  }

  /** Takes a token, one that is still to come if need be, and gives the milliseconds until it is there. */
  take(): number {
    const { qps, burst } = this.#options;
    if (qps < 0) return 0;
    const now = this.#now();
    this.#tokens = Math.min(Math.max(1, burst), this.#tokens + ((now - this.#at) / 1000) * qps);
    this.#at = now;
    this.#tokens--;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / qps) * 1000;
  }
}
