import type { Lease, LeaseSpec } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import type { EventRecorder } from './events.ts';
import { type ApiClient, ApiError } from './types.ts';

/** Who stands for election, where, and how patient all are. */
export interface LeaderElection {
  readonly client: ApiClient;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Tells candidates apart: no two may have the same, not even one and its own successor. */
  readonly identity: string;
  readonly events?: EventRecorder;
  readonly log?: Logger;
  /** Called each time that the API server has said who leads. */
  readonly onSeen?: () => void;
  /** client-go's unless told: 15 s, 10 s, 2 s. Each has to be longer than the next. */
  readonly times?: LeaderElectionTimes;
}

/** Milliseconds. */
export interface LeaderElectionTimes {
  /** A leader who has not renewed for so long has lost: others may follow. */
  readonly leaseDuration: number;
  /** A leader who could not renew for so long gives up, before others may follow. */
  readonly renewDeadline: number;
  readonly retryPeriod: number;
}

const defaultElectionTimes: LeaderElectionTimes = {
  leaseDuration: 15_000,
  renewDeadline: 10_000,
  retryPeriod: 2_000,
};

/** Candidates that lost together do not come back together. */
const jitter = 1.2;

/**
 * Waits until this candidate leads, then runs `lead`, whose signal aborts when that is over. When `signal` aborts, the
 * lease is given back after `lead` has ended, so that another can follow at once. The rules are client-go's: who
 * leads is written in a Lease, and whether that is still so is judged by when its change was seen here, not by the time
 * written in it, so that clocks need not agree.
 * @throws SignalboxError `LEADERSHIP_LOST` when the lease could not be renewed in time, and what `lead` throws
 */
export async function runAsLeader(
  election: LeaderElection,
  lead: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const candidate = new Candidate(election);
  const { retryPeriod } = election.times ?? defaultElectionTimes;
  while (!signal.aborted && !(await candidate.tryToHold()))
    await sleep(retryPeriod * (1 + Math.random() * (jitter - 1)), signal);
  if (signal.aborted) return candidate.release();
  candidate.tell('became leader');
  const over = new AbortController();
  const stop = () => over.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const leading = lead(over.signal).finally(stop);
  // Looked at below; until then it is nobody's.
  leading.catch(() => {});
  const lost = await renewUntil(candidate, over.signal, election.times ?? defaultElectionTimes);
  stop();
  signal.removeEventListener('abort', stop);
  try {
    await leading;
  } finally {
    candidate.tell('stopped leading');
    await candidate.release();
  }
  if (lost) throw lostError(election);
}

/** Renews until the signal aborts; true when that failed for too long. */
async function renewUntil(candidate: Candidate, signal: AbortSignal, times: LeaderElectionTimes): Promise<boolean> {
  let renewed = performance.now();
  for (;;) {
    await sleep(times.retryPeriod, signal);
    if (signal.aborted) return false;
    const left = times.renewDeadline - (performance.now() - renewed);
    // A call that hangs must not make a leader of someone whose time is over.
    const timeout = new AbortController();
    const holds = await Promise.race([
      candidate.tryToHold(),
      sleep(Math.max(0, left), timeout.signal).then(() => false),
    ]);
    timeout.abort();
    if (holds) renewed = performance.now();
    else if (candidate.isReplaced || performance.now() - renewed >= times.renewDeadline) return true;
  }
}

/** One candidate's view of the Lease. */
class Candidate {
  readonly #election: LeaderElection;
  readonly #times: LeaderElectionTimes;
  #seen: Stored<Lease> | undefined;
  /** When `#seen` was first seen, by `performance.now()`. */
  #seenAt = 0;

  constructor(election: LeaderElection) {
    this.#election = election;
    this.#times = election.times ?? defaultElectionTimes;
  }

  /** Whether someone else was last seen to hold the lease. */
  get isReplaced(): boolean {
    return this.#holder !== '' && this.#holder !== this.#election.identity;
  }

  get #holder(): string {
    return this.#seen?.spec?.holderIdentity ?? '';
  }

  /** Takes or renews the lease if that is allowed; false when it is not, or did not work. */
  async tryToHold(): Promise<boolean> {
    const { client, lease, log, onSeen } = this.#election;
    try {
      const found = await client.get('leases', lease).catch(undefinedWhenMissing);
      onSeen?.();
      if (found === undefined) {
        this.#see(await client.create('leases', { metadata: { ...lease }, spec: this.#heldSpec(undefined) }));
        return true;
      }
      if (found.metadata.resourceVersion !== this.#seen?.metadata.resourceVersion) this.#see(found);
      if (this.isReplaced && !this.#isExpired()) return false;
      this.#see(await client.update('leases', { ...found, spec: this.#heldSpec(found.spec) }));
      return true;
    } catch (error) {
      log?.debug({ err: error, lease }, 'the lease could not be taken or renewed');
      return false;
    }
  }

  /** Gives the lease back, if it is held. */
  async release(): Promise<void> {
    const seen = this.#seen;
    if (seen === undefined || this.#holder !== this.#election.identity) return;
    const now = microTime();
    const spec: LeaseSpec = {
      ...seen.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      renewTime: now,
      acquireTime: now,
    };
    try {
      await this.#election.client.update('leases', { ...seen, spec });
    } catch (error) {
      this.#election.log?.debug({ err: error }, 'the lease could not be given back; it ends by itself');
    }
  }

  tell(what: string): void {
    const { identity, events, log, lease } = this.#election;
    log?.info({ lease, identity }, what);
    if (this.#seen === undefined) return;
    const about = { ...this.#seen, apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    events?.record(about, { type: 'Normal', reason: 'LeaderElection', message: `${identity} ${what}` });
  }

  #see(lease: Stored<Lease>): void {
    this.#seen = lease;
    this.#seenAt = performance.now();
  }

  #isExpired(): boolean {
    const seconds = this.#seen?.spec?.leaseDurationSeconds;
    const duration = seconds === undefined ? this.#times.leaseDuration : seconds * 1000;
    return performance.now() - this.#seenAt > duration;
  }

  #heldSpec(old: LeaseSpec | undefined): LeaseSpec {
    const { identity } = this.#election;
    const now = microTime();
    const isOurs = old?.holderIdentity === identity;
    const transitions = old?.leaseTransitions ?? 0;
    return {
      ...old,
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.ceil(this.#times.leaseDuration / 1000)),
      acquireTime: (isOurs ? old.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: old === undefined || isOurs ? transitions : transitions + 1,
    };
  }
}

function undefinedWhenMissing(error: unknown): undefined {
  if (error instanceof ApiError && error.code === 404) return undefined;
  throw error;
}

/** Kubernetes' MicroTime: RFC 3339 with six digits after the second. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}

function lostError({ lease, identity }: LeaderElection): SignalboxError {
  return new SignalboxError('LEADERSHIP_LOST', {
    object: `lease ${lease.namespace}/${lease.name}`,
    problem: `could not be renewed by ${identity} in time`,
    remedy: 'see whether the API server can be reached; start this component again to stand for the next election',
  });
}
