import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { backoffDelay } from '../component/backoff.ts';
import { proceed, untilReady } from '../component/handover.ts';
import type { Logger } from '../component/log.ts';
import { spawnIn } from '../kernel/netns.ts';

/** One process a cluster consists of. */
export interface ComponentSpec {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Where its network is: a pinned namespace; the cluster's own when absent. */
  readonly netns?: string;
  readonly logFile: string;
  /** File descriptors it gets as 3, 4, …. */
  readonly fds?: readonly number[];
  readonly env?: NodeJS.ProcessEnv;
}

/** A component kept running. */
export interface Component {
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves when it ends for the first time, with the reason. */
  readonly firstEnd: Promise<string>;
  /** Asks it to end, kills it after `graceMs`; resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
  /**
   * Starts a successor beside it, and ends it when that one says that it does the work (`component/handover.ts`). From
   * then on it is the successor that is kept running.
   * @throws SignalboxError as `untilReady`; what ran before runs on
   */
  replace(spec: ComponentSpec, timing: { readonly readyMs: number; readonly graceMs: number }): Promise<void>;
}

const restart = { initial: 100, max: 10_000 };
/** A component that ran this long starts its back-off anew. */
const settledMs = 10_000;
const maxLogBytes = 16 << 20;

/** Starts a component, and starts it again with back-off whenever it ends. */
export function keepRunning(spec: ComponentSpec, log: Logger): Component {
  return new KeptComponent(spec, log);
}

class KeptComponent implements Component {
  readonly name: string;
  readonly firstEnd: Promise<string>;
  readonly #log: Logger;
  #spec: ComponentSpec;
  #child: ChildProcess | undefined;
  #stopping = false;
  #attempt = 0;
  #timer: NodeJS.Timeout | undefined;
  #tellFirstEnd: (why: string) => void = () => {};

  constructor(spec: ComponentSpec, log: Logger) {
    this.name = spec.name;
    this.#spec = spec;
    this.#log = log;
    this.firstEnd = new Promise((resolve) => {
      this.#tellFirstEnd = resolve;
    });
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    return this.#child === undefined ? Promise.resolve() : ended(this.#child, graceMs);
  }

  async replace(
    spec: ComponentSpec,
    { readyMs, graceMs }: { readonly readyMs: number; readonly graceMs: number },
  ): Promise<void> {
    const successor = startOnce(spec, 'ipc');
    try {
      await untilReady(successor, { name: spec.name, timeoutMs: readyMs });
    } catch (error) {
      await ended(successor, graceMs);
      throw error;
    }
    const predecessor = this.#child;
    clearTimeout(this.#timer);
    this.#spec = spec;
    this.#watch(successor);
    if (predecessor !== undefined) await ended(predecessor, graceMs);
    proceed(successor);
  }

  #start(): void {
    this.#watch(startOnce(this.#spec));
  }

  /** From now on this is the process; of one that was replaced the end is no news. */
  #watch(child: ChildProcess): void {
    const startedAt = Date.now();
    this.#child = child;
    const over = (why: string) => {
      if (child === this.#child) this.#restart(why, Date.now() - startedAt);
    };
    child.once('error', (error) => over(error.message));
    child.once('exit', (code, signal) => over(signal ?? `exit status ${code}`));
  }

  #restart(why: string, ranMs: number): void {
    this.#child = undefined;
    this.#tellFirstEnd(why);
    if (this.#stopping) return;
    this.#attempt = ranMs > settledMs ? 0 : this.#attempt + 1;
    const wait = backoffDelay(this.#attempt, restart);
    this.#log.error({ component: this.name, why, restartInMs: Math.round(wait) }, 'a component ended');
    this.#timer = setTimeout(() => this.#start(), wait);
  }
}

/** With a channel to it (`ipc`) if that is asked for. */
function startOnce(spec: ComponentSpec, ...channel: readonly 'ipc'[]): ChildProcess {
  rotate(spec.logFile);
  const out = openSync(spec.logFile, 'a', 0o600);
  const options = {
    stdio: ['ignore' as const, out, out, ...(spec.fds ?? []), ...channel],
    env: { ...process.env, ...spec.env },
  };
  try {
    const [program, ...args] = spec.command;
    return spec.netns === undefined ? spawn(program, args, options) : spawnIn(spec.netns, program, args, options);
  } finally {
    closeSync(out);
  }
}

// Kept to one older file: a log is bounded by two of these sizes and what one run writes.
function rotate(file: string): void {
  try {
    if (statSync(file).size > maxLogBytes) renameSync(file, `${file}.1`);
  } catch {
    // No log yet.
  }
}

function ended(child: ChildProcess, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // Never started, or gone already.
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve();
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
