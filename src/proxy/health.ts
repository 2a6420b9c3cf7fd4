import type { IpFamily } from '../net/ip.ts';

/** What a health check learns of the proxy; with `nodeEligible`, the JSON that kube-proxy answers with. All times RFC 3339. */
interface HealthReport {
  /** When the kernel last had all that was known. */
  readonly lastUpdated: string;
  readonly currentTime: string;
  readonly healthy: boolean;
  /** Those families that have been synced: both by one sync, so that what holds of one holds of the other. */
  readonly status?: { readonly [F in IpFamily]?: FamilyHealth };
}

interface FamilyHealth {
  /** When a sync last succeeded. */
  readonly lastUpdated: string;
  readonly healthy: boolean;
}

/** Whether the proxy keeps up: no change waits for the kernel longer than `timeout` (milliseconds). */
export class SyncHealth {
  readonly #timeout: number;
  #lastUpdated = 0;
  /** When the oldest change came that no sync has begun with. */
  #queuedAt: number | undefined;
  /** The same, of the sync that runs. */
  #syncingSince: number | undefined;

  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  queued(at: number): void {
    this.#queuedAt ??= at;
  }

  syncStarted(): void {
    this.#syncingSince ??= this.#queuedAt;
    this.#queuedAt = undefined;
  }

  /** What a failed sync began with goes on waiting from when it came. */
  syncSucceeded(at: number): void {
    this.#syncingSince = undefined;
    this.#lastUpdated = at;
  }

  isHealthy(now: number): boolean {
    const oldest = this.#syncingSince ?? this.#queuedAt;
    return oldest === undefined || now - oldest < this.#timeout;
  }

  /** Whether nothing waits: then the kernel is up to date at this moment, however long ago the last change was. */
  get isUpToDate(): boolean {
    return this.#lastUpdated > 0 && this.#syncingSince === undefined && this.#queuedAt === undefined;
  }

  report(now: number, families: readonly IpFamily[]): HealthReport {
    const healthy = this.isHealthy(now);
    const lastUpdated = new Date(this.#lastUpdated).toISOString();
    const currentTime = new Date(now).toISOString();
    const status = Object.fromEntries(families.map((family) => [family, { lastUpdated, healthy }]));
    return {
      lastUpdated: this.isUpToDate ? currentTime : lastUpdated,
      currentTime,
      healthy,
      ...(this.#lastUpdated > 0 ? { status } : {}),
    };
  }
}
