import { closeSync, openSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import koffi from 'koffi';
import { SignalboxError } from '../errors/error.ts';
import { KernelError, namespaceFlag, setns, unshare } from './ffi.ts';

const libc = koffi.load(null);
const native = {
  sethostname: libc.func('int sethostname(str, size_t)') as (name: string, length: number) => number,
  pivotRoot: libc.func('int pivot_root(str, str)') as (root: string, old: string) => number,
};

/** sethostname(2), for the UTS namespace of the calling thread. */
export function setHostname(name: string): void {
  if (native.sethostname(name, Buffer.byteLength(name)) === -1) throw new KernelError('sethostname', koffi.errno());
}

/** pivot_root(2) with both arguments `.`: the working directory becomes the root, with the old root mounted over it. */
export function pivotRootHere(): void {
  if (native.pivotRoot('.', '.') === -1) throw new KernelError('pivot_root', koffi.errno());
}

// include/uapi/linux/sched.h
const CLONE_FS = 0x200;

/** The kinds a container has of its own, beside its Pod's network. In the order they are joined: mounts last. */
const kinds = [
  { name: 'uts', flag: namespaceFlag.uts },
  { name: 'pid', flag: namespaceFlag.pid },
  { name: 'mnt', flag: namespaceFlag.mount },
] as const;

interface OpenNamespace {
  readonly flag: number;
  readonly fd: number;
}

let home: readonly OpenNamespace[] | undefined;

/**
 * Runs a synchronous function that may take the main thread into other UTS, PID (for children) and mount namespaces,
 * and comes back from all of them whatever happens. A process spawned meanwhile starts where the thread is then.
 * Other threads, and with them asynchronous file access, never leave. For the network there is `inNetns`.
 *
 * From the first call on, the main thread has a working directory, a root and a UTS namespace of its own. When there
 * is no way back the process ends: all it did from then on would happen to the wrong files.
 * @throws SignalboxError `NOT_MAIN_THREAD`; `NAMESPACE_FAILED` when the system does not let it come back
 */
export function awayFromHome<T>(run: () => T): T {
  home ??= settle();
  const directory = process.cwd();
  try {
    return run();
  } finally {
    comeBack(home, directory);
  }
}

/** Gives the calling thread new namespaces of its own for mounts and host name, and its children a new PID namespace. */
export function unshareForContainer(): void {
  unshare(namespaceFlag.mount | namespaceFlag.uts);
}

/** The calling thread's next child starts a new PID namespace, as its process 1. */
export function unsharePidForNextChild(): void {
  unshare(namespaceFlag.pid);
}

/**
 * Takes the calling thread (and its next children, what the PID namespace is concerned) into the namespaces of a process.
 * @throws KernelError, or the file system's ENOENT when there is no such process
 */
export function joinNamespacesOf(pid: number): void {
  const open = openAll(`/proc/${pid}/ns`);
  try {
    for (const { fd, flag } of open) setns(fd, flag);
  } finally {
    closeAll(open);
  }
}

/** Opens the way back, and goes it once while the thread is still at home: what is not allowed shows before it matters. */
function settle(): readonly OpenNamespace[] {
  if (!isMainThread) {
    throw new SignalboxError('NOT_MAIN_THREAD', {
      object: 'a container',
      problem: 'was to be started by a worker thread',
      remedy: "do it on the main thread: a namespace is a thread's own, and workers come and go",
    });
  }
  const directory = process.cwd();
  let open: readonly OpenNamespace[] = [];
  try {
    // setns into a mount namespace is for threads that share their root and working directory with no other. A UTS
    // namespace of another user namespace than ours could be left but never entered again: so home is one of our own.
    unshare(CLONE_FS | namespaceFlag.uts);
    open = openAll('/proc/thread-self/ns');
    for (const { fd, flag } of open) setns(fd, flag);
    process.chdir(directory);
    return open;
  } catch (cause) {
    closeAll(open);
    throw new SignalboxError('NAMESPACE_FAILED', {
      object: 'the namespaces of containers',
      problem: `cannot be used here: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'run as root, or within unshare --user --map-root-user --net --mount --pid --fork --mount-proc',
      cause,
    });
  }
}

function comeBack(to: readonly OpenNamespace[], directory: string): void {
  try {
    for (const { fd, flag } of to) setns(fd, flag);
    process.chdir(directory);
  } catch (error) {
    process.stderr.write(`no way back from the namespaces of a container: the process ends: ${error}\n`);
    process.abort();
  }
}

function openAll(folder: string): OpenNamespace[] {
  const open: OpenNamespace[] = [];
  try {
    for (const { name, flag } of kinds) open.push({ flag, fd: openSync(`${folder}/${name}`, 'r') });
    return open;
  } catch (error) {
    closeAll(open);
    throw error;
  }
}

function closeAll(open: readonly OpenNamespace[]): void {
  for (const { fd } of open) closeSync(fd);
}
