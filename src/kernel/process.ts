import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { close, isKernelError, pidfdOpen, pidfdSendSignal, reap, setResourceLimit } from './ffi.ts';

/** One process and no other: numbers come back, but not with the same start. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, as in field 22 of /proc/PID/stat. */
  readonly startTime: number;
}

/** What /proc/PID/stat says: proc_pid_stat(5). */
export interface ProcessStat {
  readonly pid: number;
  readonly command: string;
  /** `R`, `S`, `D`, `T`, `Z` (ended, waits to be reaped), … */
  readonly state: string;
  readonly parent: number;
  readonly startTime: number;
}

/** Reads the text of a stat file. The command stands in parentheses and may itself hold blanks and parentheses. */
export function parseProcessStat(content: string): ProcessStat | undefined {
  const open = content.indexOf('(');
  const shut = content.lastIndexOf(')');
  const rest = content.slice(shut + 2).split(' ');
  const [state, parent] = rest;
  // Field 22, where the state is field 3.
  const startTime = rest[19];
  if (open < 1 || shut < open || state === undefined || startTime === undefined) return undefined;
  return {
    pid: Number(content.slice(0, open)),
    command: content.slice(open + 1, shut),
    state,
    parent: Number(parent),
    startTime: Number(startTime),
  };
}

function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The identity of a running process; `undefined` when there is none with this number. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime };
}

/** Whether the very process runs still. One that has ended and only waits to be reaped does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * Sends a signal to the very process, never to another that has its number by now. Whether it was there to get it.
 * @throws KernelError `EPERM` when it belongs to another user
 */
export function sendSignal(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  let pidfd: number | undefined;
  try {
    // The descriptor holds on to one process. Compared after it is open, the start time proves it is the right one.
    pidfd = pidfdOpen(identity.pid);
    if (!isAlive(identity)) return false;
    pidfdSendSignal(pidfd, constants.signals[signal]);
    return true;
  } catch (error) {
    if (isKernelError(error, 'ESRCH')) return false;
    throw error;
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}

/** The processes whose parent is `pid`, ended ones that nobody has reaped among them. */
export function listChildren(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/**
 * Reaps ended children of this process that nobody waits for: what a PID 1 owes to orphans. Those that Node started are
 * Node's to reap, which it does in the next turn of its event loop: who is found ended twice is an orphan.
 */
export class OrphanReaper {
  /** Those that had ended when it was last looked, with their start times. */
  #ended: ReadonlyMap<number, number> = new Map();

  /** To be called again and again, each time in a turn of its own; gives what was reaped. */
  reap(): number[] {
    const stats = listChildren(process.pid).flatMap((pid) => readStat(pid) ?? []);
    const ended = new Map(stats.filter(({ state }) => state === 'Z').map(({ pid, startTime }) => [pid, startTime]));
    const before = this.#ended;
    this.#ended = ended;
    return [...ended.keys()].filter((pid) => before.get(pid) === ended.get(pid) && reaped(pid));
  }
}

function reaped(pid: number): boolean {
  try {
    return reap(pid);
  } catch (error) {
    if (isKernelError(error, 'ECHILD')) return false;
    throw error;
  }
}

// include/uapi/asm-generic/resource.h
const RLIMIT_NOFILE = 7;

/**
 * Lets this process have `wanted` files open, if it may; gives how many it may have open now. Who is not the
 * machine's root cannot go beyond the hard limit, up to which Node.js has raised the soft one at its start.
 */
export function raiseOpenFiles(wanted: number): number {
  const limit = openFilesLimit();
  if (limit >= wanted) return limit;
  try {
    setResourceLimit(RLIMIT_NOFILE, wanted);
  } catch (error) {
    if (!isKernelError(error, 'EPERM')) throw error;
  }
  return openFilesLimit();
}

function openFilesLimit(): number {
  const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft);
}
