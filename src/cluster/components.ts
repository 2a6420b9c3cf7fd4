import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { backoffDelay } from '../component/backoff.ts';
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
}

const restart = { initial: 100, max: 10_000 };
/** A component that ran this long starts its back-off anew. */
const settledMs = 10_000;
const maxLogBytes = 16 << 20;

/** Starts a component, and starts it again with back-off whenever it ends. */
export function keepRunning(spec: ComponentSpec, log: Logger): Component {
  let child: ChildProcess | undefined;
  let stopping = false;
  let attempt = 0;
  let timer: NodeJS.Timeout | undefined;
  let tellFirstEnd: (why: string) => void = () => {};
  const firstEnd = new Promise<string>((resolve) => {
    tellFirstEnd = resolve;
  });

  const start = () => {
    const startedAt = Date.now();
    child = startOnce(spec);
    const ended = (why: string) => {
      child = undefined;
      tellFirstEnd(why);
      if (stopping) return;
      attempt = Date.now() - startedAt > settledMs ? 0 : attempt + 1;
      const wait = backoffDelay(attempt, restart);
      log.error({ component: spec.name, why, restartInMs: Math.round(wait) }, 'a component ended');
      timer = setTimeout(start, wait);
    };
    child.once('error', (error) => ended(error.message));
    child.once('exit', (code, signal) => ended(signal ?? `exit status ${code}`));
  };
  start();
  return {
    name: spec.name,
    firstEnd,
    get pid() {
      return child?.pid;
    },
    stop: (graceMs) => {
      stopping = true;
      clearTimeout(timer);
      return child === undefined ? Promise.resolve() : ended(child, graceMs);
    },
  };
}

function startOnce(spec: ComponentSpec): ChildProcess {
  rotate(spec.logFile);
  const out = openSync(spec.logFile, 'a', 0o600);
  const options = {
    stdio: ['ignore' as const, out, out, ...(spec.fds ?? [])],
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
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
