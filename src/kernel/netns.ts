import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { SignalboxError } from '../errors/error.ts';
import { isKernelError, namespaceFlag, setns, unshare } from './ffi.ts';
import { openRoutes } from './links.ts';
import { bindMount, unmount } from './mounts.ts';

/** The network namespace of the calling thread, which `/proc/self` need not show. */
const currentPath = '/proc/thread-self/ns/net';

/** How a network namespace starts. */
export interface NetnsOptions {
  /** Whether its loopback device comes up: true unless told. */
  readonly loopback?: boolean;
}

/**
 * Makes a network namespace and pins it with a bind mount on a new file at `path` (its folder must exist), where it
 * lives until `deleteNetns`, with or without processes in it. The calling thread ends where it was.
 * @throws SignalboxError `NOT_MAIN_THREAD`; `NAMESPACE_FAILED` when the path is taken or the kernel refuses
 */
export function createNetns(path: string, { loopback = true }: NetnsOptions = {}): void {
  requireMainThread(`network namespace ${path}`);
  reserve(path);
  try {
    inFreshNetns(() => {
      bindMount(currentPath, path);
      if (loopback) loopbackUp();
    });
  } catch (error) {
    deleteNetns(path);
    throw error instanceof SignalboxError ? error : failed(path, 'could not be made', error);
  }
}

/**
 * Takes a network namespace off its path. It ends with the last process and socket in it. Does nothing when there is
 * none at the path.
 * @throws SignalboxError `NAMESPACE_FAILED` when the path cannot be freed
 */
export function deleteNetns(path: string): void {
  try {
    unmount(path, { lazy: true });
  } catch (error) {
    // EINVAL: an ordinary file, left by a createNetns that did not get as far as the mount.
    if (isKernelError(error, 'ENOENT')) return;
    if (!isKernelError(error, 'EINVAL')) throw failed(path, 'could not be removed', error);
  }
  unlinkSync(path);
}

/**
 * Runs a synchronous function with the main thread in the namespace at `path`, and comes back. What the function
 * opens (sockets above all) stays in that namespace. Promises and callbacks it leaves behind run outside it.
 * @throws SignalboxError `NOT_MAIN_THREAD`; `NAMESPACE_FAILED` when there is no network namespace at `path`
 */
export function inNetns<T>(path: string, run: () => T): T {
  requireMainThread(`network namespace ${path}`);
  return elsewhere(() => enter(path), run);
}

/**
 * As `inNetns`, in a fresh network namespace that ends with the function unless a socket or process stays in it.
 * Its loopback device is down.
 * @throws SignalboxError `NOT_MAIN_THREAD`, `NAMESPACE_FAILED`
 */
export function inFreshNetns<T>(run: () => T): T {
  requireMainThread('a network namespace');
  return elsewhere(leave, run);
}

/**
 * Starts a process in the namespace at `path`: as `child_process.spawn`, with the same options and events.
 * @throws SignalboxError as `inNetns`
 */
export function spawnIn(
  path: string,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  // Node forks on the calling thread, so the child begins where this thread is at that moment.
  return inNetns(path, () => spawn(command, args, options));
}

/**
 * Moves the main thread into a fresh network namespace, for good. Threads that run already (the thread pool: DNS
 * look-ups by `dns.lookup`) stay where they were.
 * @throws SignalboxError `NOT_MAIN_THREAD`, `NAMESPACE_FAILED`
 */
export function unshareNetns({ loopback = true }: NetnsOptions = {}): void {
  requireMainThread('a network namespace');
  leave();
  if (loopback) loopbackUp();
}

/**
 * A file descriptor of the namespace at `path`, by which it lives on after `deleteNetns`. The caller closes it.
 * @throws SignalboxError `NAMESPACE_FAILED` when there is nothing at `path`
 */
export function openNetns(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw failed(path, 'could not be opened', error);
  }
}

/**
 * Which network namespace this is: equal texts mean the same one, while it lives. Of the calling thread, or of the
 * file at `path`.
 */
export function netnsIdentity(path: string = currentPath): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/**
 * Goes somewhere, runs, and comes back whatever happens. When there is no way back the process must end: all it did
 * from then on would happen to the wrong network.
 */
function elsewhere<T>(go: () => void, run: () => T): T {
  const home = openSync(currentPath, 'r');
  try {
    go();
    return run();
  } finally {
    comeBack(home);
    closeSync(home);
  }
}

function comeBack(home: number): void {
  try {
    setns(home, namespaceFlag.net);
    const { dev, ino } = fstatSync(home);
    if (netnsIdentity() === `${dev}:${ino}`) return;
  } catch (error) {
    process.stderr.write(`${error}\n`);
  }
  process.stderr.write('no way back to the own network namespace: the process ends [NAMESPACE_FAILED]\n');
  process.abort();
}

function leave(): void {
  try {
    unshare(namespaceFlag.net);
  } catch (error) {
    throw failed('of its own', 'could not be made', error);
  }
}

function enter(path: string): void {
  const fd = openNetns(path);
  try {
    setns(fd, namespaceFlag.net);
  } catch (error) {
    throw failed(path, 'could not be entered', error);
  } finally {
    closeSync(fd);
  }
}

function reserve(path: string): void {
  try {
    writeFileSync(path, '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw failed(path, 'could not be made', error);
  }
}

function loopbackUp(): void {
  const routes = openRoutes();
  try {
    routes.setLink('lo', { up: true });
  } finally {
    routes.close();
  }
}

function requireMainThread(object: string): void {
  if (isMainThread) return;
  throw new SignalboxError('NOT_MAIN_THREAD', {
    object,
    problem: 'was asked for by a worker thread',
    remedy: "do it on the main thread: a namespace is a thread's own, and workers come and go",
  });
}

function failed(object: string, problem: string, cause: unknown): SignalboxError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SignalboxError('NAMESPACE_FAILED', {
    object: `network namespace ${object}`,
    problem: `${problem}: ${reason}`,
    remedy: isKernelError(cause, 'EPERM')
      ? 'run as root, or within unshare --user --map-root-user --net --mount'
      : 'see the reason given by the system',
    cause,
  });
}
