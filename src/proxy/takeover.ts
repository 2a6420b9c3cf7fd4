import { aborted } from '../component/abort.ts';
import { backoffDelay, retry, sleep } from '../component/backoff.ts';
import { takeName } from '../component/exclusive.ts';
import type { Succession } from '../component/handover.ts';
import type { Logger } from '../component/log.ts';
import { type OpenMode, removeLeftovers } from './leftovers.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';
import type { ProxyMode } from './proxy-mode.ts';

/** Whose place is taken, and how. */
export interface TakeoverOptions {
  readonly mode: ProxyMode;
  /** The proxy that served this node until now, if it still runs. */
  readonly succession: Succession;
  /** Opens other modes, to remove what they left. */
  readonly openMode: OpenMode;
  /** Removes what kube-proxy left that no mode of ours has, and gives what that was. */
  readonly removeKubeProxyTables: () => Promise<readonly string[]>;
  readonly metrics: Pick<ProxyMetrics, 'cleanupFailed'>;
  readonly log: Logger;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Milliseconds until what a proxy left that ended before is looked for. */
  readonly delay?: number;
  /** The name that only one proxy of a network namespace has. */
  readonly turn?: string;
}

/** A node that starts has more urgent things to do than to open every mode to find nothing. */
const defaultDelay = 1_000;

const cleanupBackoff = { initial: 1_000, max: 60_000 };

const defaultTurn = 'signalbox-proxy';
/** Longer than any removal takes: who holds the name for so long is no proxy of ours, or hangs. */
const turnMs = 15_000;

/**
 * The way from whoever served this node before to this proxy, without a moment in between in which nobody does: a
 * predecessor that runs ends after the own rules are in, and what other modes left goes then too; what a predecessor left
 * that is long gone, a moment later. Who removes must be sure that a successor in another mode is not about to write its
 * rules, which would look like what was left: both take turns.
 */
export class Takeover {
  /** Resolves when no other proxy works on this node: at once when there is none. */
  readonly alone: Promise<void>;
  readonly #options: TakeoverOptions;
  #resolveAlone: () => void = () => {};
  #turn: (() => void) | undefined;

  constructor(options: TakeoverOptions) {
    this.#options = options;
    const { succession, signal } = options;
    const predecessorIsGone = new Promise<void>((resolve) => {
      this.#resolveAlone = resolve;
    });
    this.alone = succession.hasPredecessor ? Promise.race([predecessorIsGone, aborted(signal)]) : Promise.resolve();
  }

  /** To be awaited before the first own rule is written: a predecessor may still be removing what is not its own. */
  async begin(): Promise<void> {
    if (this.#options.succession.hasPredecessor) await this.#takeTurn();
  }

  /** To be called when the own rules are in; resolves when nothing of another mode is left. */
  async complete(): Promise<void> {
    const { succession, log, signal, delay = defaultDelay } = this.#options;
    if (succession.hasPredecessor) {
      // Before it ends, so that no rule leads to what ends with it; what it repairs until then is found afterwards.
      await this.#removeOnce().catch((err) => log.debug({ err }, 'what the predecessor has stays for now'));
      await Promise.race([succession.ready(), aborted(signal)]);
      this.#resolveAlone();
    } else {
      await sleep(delay, signal);
    }
    // Rules of other modes would go on leading clients to endpoints long gone: tried until it has been done.
    await retry(() => this.#removeInTurn(), {
      signal,
      delay: (attempt) => backoffDelay(attempt, cleanupBackoff),
      onError: (err) => log.warn({ err }, 'what another mode left could not be removed; will try again'),
    });
    this.#endTurn();
  }

  /** A successor that comes between two tries has its turn then. */
  async #removeInTurn(): Promise<void> {
    await this.#takeTurn();
    try {
      if (!this.#options.signal.aborted) await this.#removeOnce();
    } finally {
      this.#endTurn();
    }
  }

  async #takeTurn(): Promise<void> {
    if (this.#turn !== undefined) return;
    const { turn = defaultTurn, signal, log } = this.#options;
    this.#turn = await takeName(turn, AbortSignal.any([signal, AbortSignal.timeout(turnMs)]));
    if (this.#turn === undefined && !signal.aborted)
      log.warn({ turn, turnMs }, 'another process keeps its turn; going on without');
  }

  #endTurn(): void {
    this.#turn?.();
    this.#turn = undefined;
  }

  async #removeOnce(): Promise<void> {
    const { mode, openMode, removeKubeProxyTables, log, metrics } = this.#options;
    const found = await removeLeftovers(openMode, mode);
    for (const { mode: of, removed } of found) {
      if (removed.length > 0) log.info({ of, removed }, 'removed what another mode had left');
    }
    const tables = await removeKubeProxyTables();
    if (tables.length > 0) log.info({ removed: tables }, 'removed what kube-proxy had left');
    const failed = found.find(({ error }) => error !== undefined);
    if (failed === undefined) return;
    metrics.cleanupFailed(failed.mode);
    throw failed.error;
  }
}
