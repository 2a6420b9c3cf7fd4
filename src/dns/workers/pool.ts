import { backoffDelay } from '../../component/backoff.ts';
import type { Logger } from '../../component/log.ts';
import { type MetricValues, sumOfMetrics } from '../../component/metrics.ts';
import { type WorkerExit, type WorkerParts, WorkerProcess } from './process.ts';

/** What workers are started with. */
export interface PoolParts extends WorkerParts {
  readonly log: Logger;
  /** Told of a worker that has ended without being told to. */
  readonly onLost: () => void;
}

/** Between the end of a worker and the next try, in milliseconds; doubled while they end soon. */
const backoff = { initial: 500, max: 30_000 };
/** Who has served for so long, in milliseconds, did not fail to start. */
const steadyMs = 60_000;

/**
 * The processes that answer beside the main one, all by the same configuration. Each has a copy of the zones, brought on
 * with every change, and answers from when that copy is whole. One that ends is started again.
 */
export class WorkerPool {
  readonly #parts: PoolParts;
  readonly #seats: Seat[];
  #isServing = false;
  readonly #whenWhole: (() => void)[] = [];
  #isClosed = false;
  /** What those that have ended had counted. */
  #counted: MetricValues = new Map();

  constructor(parts: PoolParts) {
    this.#parts = parts;
    this.#seats = Array.from({ length: parts.config.workers - 1 }, () => ({
      worker: undefined,
      failures: 0,
      timer: undefined,
    }));
    for (const seat of this.#seats) this.#fill(seat);
  }

  /** How many answer, or would if they were told to. */
  get ready(): number {
    return this.#seats.filter(({ worker }) => worker?.isWhole === true).length;
  }

  /** Resolves when all have their zones whole; workers that end meanwhile are started again. */
  get whole(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenWhole.push(resolve);
      this.#noteWhole();
    });
  }

  /** From now on they answer. */
  serve(): void {
    this.#isServing = true;
    for (const { worker } of this.#seats) if (worker?.isWhole === true) worker.serve();
  }

  /** What all of them have counted, those included that have ended. */
  async count(): Promise<MetricValues> {
    const counts = await Promise.all(this.#seats.map(({ worker }) => worker?.count() ?? new Map()));
    return sumOfMetrics([this.#counted, ...counts]);
  }

  /** Tells that an upstream of the block with this key is not to be asked. */
  leaveOut(key: string, upstream: string): void {
    for (const { worker } of this.#seats) worker?.leaveOut(key, upstream);
  }

  /** Has them answer what they have begun with, and end. Resolves with what they have counted. */
  async close(): Promise<MetricValues> {
    this.#isClosed = true;
    await Promise.all(
      this.#seats.map(async ({ worker, timer }) => {
        clearTimeout(timer);
        await worker?.retire();
      }),
    );
    return this.#counted;
  }

  #noteWhole(): void {
    if (this.ready === this.#seats.length) for (const resolve of this.#whenWhole.splice(0)) resolve();
  }

  #fill(seat: Seat): void {
    if (this.#isClosed) return;
    const started = performance.now();
    const worker = new WorkerProcess(this.#parts, {
      onWhole: () => {
        if (this.#isServing) worker.serve();
        this.#noteWhole();
      },
      onExit: (exit) => this.#vacate(seat, exit, performance.now() - started),
    });
    seat.worker = worker;
  }

  #vacate(seat: Seat, { counted, reason }: WorkerExit, livedMs: number): void {
    seat.worker = undefined;
    this.#counted = sumOfMetrics([this.#counted, counted]);
    if (this.#isClosed) return;
    seat.failures = livedMs > steadyMs ? 0 : seat.failures;
    const delay = Math.round(backoffDelay(seat.failures++, backoff));
    this.#parts.log.error({ reason, againInMs: delay }, 'a worker has ended; the others serve on');
    this.#parts.onLost();
    seat.timer = setTimeout(() => this.#fill(seat), delay);
  }
}

/** The place of one worker. */
interface Seat {
  worker: WorkerProcess | undefined;
  /** Times it has ended soon after it was started. */
  failures: number;
  timer: NodeJS.Timeout | undefined;
}
