import {
  closeSync,
  type Dirent,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { pivotRootHere } from './container-namespaces.ts';
import { isKernelError } from './ffi.ts';
import { bindMount, listMounts, makePrivate, mountTmpfs, unmount } from './mounts.ts';

/** A file or folder of the host shown to a container. Both paths are absolute. */
export interface ContainerMount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** Room for the names in a folder that stands in for another; what they lead to lies elsewhere. */
const standInBytes = 4 << 20;
/** A folder with more entries than this gets no stand-in: each of them is a mount. */
const standInEntries = 4096;

/**
 * Lays out the mounts of a container in the calling thread's mount namespace, which must be a new one. Mount points
 * that the host does not have are made without touching the host: the nearest folder that exists is covered by a
 * stand-in in memory that shows all the folder has, and has room for the mount point.
 * @param scratch an empty folder of the host on which a stand-in for `/` can be built
 * @throws SignalboxError `MOUNT_FAILED`
 */
export function layOutMounts(mounts: readonly ContainerMount[], scratch: string): void {
  makePrivate('/');
  dropPinnedNamespaces();
  const layout: Layout = { standInDevices: new Set(), targets: [] };
  // Parents before what lies in them.
  const inOrder = [...mounts].sort((a, b) => a.target.length - b.target.length);
  if (inOrder.some((m) => !exists(m.target) && nearestFolder(m.target) === '/')) standInForRoot(scratch, layout);
  for (const { source, target, readOnly } of inOrder) {
    try {
      ensureMountPoint(target, statSync(source).isDirectory(), layout);
      bindMount(source, target, { readOnly, recursive: true });
    } catch (cause) {
      if (cause instanceof SignalboxError) throw cause;
      throw mountFailed(`mount of ${source} at ${target}`, cause);
    }
    layout.targets.push(target);
  }
}

/** What was laid out so far. */
interface Layout {
  /** Device numbers of the stand-ins: a folder on one of them is ours to change. */
  readonly standInDevices: Set<number>;
  readonly targets: string[];
}

// A copy of a pin would keep the network namespace of another Pod alive for as long as this container runs.
function dropPinnedNamespaces(): void {
  for (const { type, target } of listMounts()) {
    if (type !== 'nsfs') continue;
    try {
      unmount(target, { lazy: true });
    } catch (error) {
      // EINVAL: one that came with the user namespace and cannot be taken off. It is none of ours.
      if (!isKernelError(error, 'EINVAL', 'ENOENT')) throw mountFailed(target, error);
    }
  }
}

function ensureMountPoint(target: string, folder: boolean, layout: Layout): void {
  if (exists(target)) {
    if (statSync(target).isDirectory() === folder) return;
    const [there, wanted] = folder ? ['file', 'folder'] : ['folder', 'file'];
    throw mountFailed(`mount at ${target}`, `there is a ${there}, and a ${wanted} is to be mounted`);
  }
  const nearest = nearestFolder(target);
  if (!isOurs(nearest, layout)) standInFor(nearest, layout);
  mkdirSync(folder ? target : dirname(target), { recursive: true });
  if (!folder) writeFileSync(target, '');
}

/** Whether mount points may be made in a folder: in a stand-in, and in a volume as every container runtime does. */
function isOurs(folder: string, { standInDevices, targets }: Layout): boolean {
  return standInDevices.has(statSync(folder).dev) || targets.some((t) => folder === t || folder.startsWith(`${t}/`));
}

/** The deepest folder on the way to a path that is there. */
function nearestFolder(path: string): string {
  let folder = dirname(path);
  while (!exists(folder)) folder = dirname(folder);
  return folder;
}

function standInFor(folder: string, layout: Layout): void {
  // What is covered stays within reach through the open descriptor.
  const fd = openSync(folder, 'r');
  try {
    mountTmpfs(folder, { sizeBytes: standInBytes });
    layout.standInDevices.add(statSync(folder).dev);
    showEntries(`/proc/self/fd/${fd}`, folder);
  } catch (cause) {
    throw cause instanceof SignalboxError ? cause : mountFailed(`a stand-in for ${folder}`, cause);
  } finally {
    closeSync(fd);
  }
}

// The root cannot be covered: what is mounted over it shows only to those who come by `..`. So the process changes roots.
function standInForRoot(scratch: string, layout: Layout): void {
  try {
    mountTmpfs(scratch, { sizeBytes: standInBytes });
    layout.standInDevices.add(statSync(scratch).dev);
    showEntries('/', scratch);
    process.chdir(scratch);
    pivotRootHere();
    unmount('.', { lazy: true });
    process.chdir('/');
  } catch (cause) {
    throw cause instanceof SignalboxError ? cause : mountFailed('a stand-in for /', cause);
  }
}

function showEntries(from: string, to: string): void {
  const entries = readdirSync(from, { withFileTypes: true });
  if (entries.length > standInEntries) {
    throw mountFailed(`a stand-in for ${to}`, `the folder has ${entries.length} entries, more than ${standInEntries}`);
  }
  for (const entry of entries) showEntry(entry, join(from, entry.name), join(to, entry.name));
}

function showEntry(entry: Dirent, from: string, to: string): void {
  if (entry.isSymbolicLink()) {
    symlinkSync(readlinkSync(from), to);
    return;
  }
  if (entry.isDirectory()) mkdirSync(to);
  else writeFileSync(to, '');
  bindMount(from, to, { recursive: true });
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function mountFailed(object: string, cause: unknown): SignalboxError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new SignalboxError('MOUNT_FAILED', {
    object,
    problem: `failed: ${reason}`,
    remedy: 'use another mountPath, or make the folder on the host',
    ...(cause instanceof Error ? { cause } : {}),
  });
}
