/** What a health check learns; the JSON that kube-proxy answers with. */
export interface HealthReport {
  /** When the kernel last had all that was known. RFC 3339. */
  readonly lastUpdated: string;
  readonly currentTime: string;
  /** Whether balancers outside may send new connections here. */
  readonly nodeEligible: boolean;
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

  report(now: number, nodeEligible: boolean): HealthReport {
    return {
      lastUpdated: new Date(this.isUpToDate ? now : this.#lastUpdated).toISOString(),
      currentTime: new Date(now).toISOString(),
      nodeEligible,
    };
  }
}
