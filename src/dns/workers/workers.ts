import { type Counter, type MetricValues, sumOfMetrics } from '../../component/metrics.ts';
import type { DnsMetrics } from '../metrics.ts';
import { type PoolParts, WorkerPool } from './pool.ts';

/** Workers by another configuration, beside those there are. One of its two methods is called, once. */
export interface WorkersChange {
  /** Resolves when they may serve. */
  readonly whole: Promise<void>;
  /** Has them answer, and those before them end. */
  accept(): void;
  undo(): Promise<void>;
}

/** The processes beside this one: those of the configuration that is served, and of one that may be next. */
export class Workers {
  readonly #lost: Counter;
  #pool: WorkerPool | undefined;
  readonly #closing = new Set<Promise<void>>();
  /** What those of former configurations have counted. */
  #counted: MetricValues = new Map();

  constructor({ registry }: DnsMetrics) {
    this.#lost = registry.counter({
      name: 'signalbox_dns_workers_lost_total',
      help: 'Worker processes that ended without being told to.',
    });
    registry.readGauge(
      { name: 'signalbox_dns_workers', help: 'Processes that answer queries, this one among them.' },
      () => 1 + (this.#pool?.ready ?? 0),
    );
  }

  /** Resolves when all have their zones whole. */
  get whole(): Promise<void> {
    return this.#pool?.whole ?? Promise.resolve();
  }

  change(parts: Omit<PoolParts, 'onLost'>): WorkersChange {
    const pool = parts.config.workers === 1 ? undefined : new WorkerPool({ ...parts, onLost: () => this.#lost.add() });
    return {
      whole: pool?.whole ?? Promise.resolve(),
      accept: () => {
        const before = this.#pool;
        this.#pool = pool;
        pool?.serve();
        if (before !== undefined) this.#retire(before);
      },
      undo: async () => void (await pool?.close()),
    };
  }

  /** What all of them have counted, up to now. */
  async count(): Promise<MetricValues> {
    await Promise.all(this.#closing);
    const counted = (await this.#pool?.count()) ?? new Map();
    return sumOfMetrics([this.#counted, counted]);
  }

  /** Tells that an upstream of the block with this key is not to be asked. */
  leaveOut(key: string, upstream: string): void {
    this.#pool?.leaveOut(key, upstream);
  }

  async close(): Promise<void> {
    if (this.#pool !== undefined) this.#retire(this.#pool);
    this.#pool = undefined;
    await Promise.all(this.#closing);
  }

  #retire(pool: WorkerPool): void {
    const closing = pool.close().then((counted) => {
      this.#counted = sumOfMetrics([this.#counted, counted]);
      this.#closing.delete(closing);
    });
    this.#closing.add(closing);
  }
}
