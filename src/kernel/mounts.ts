import { readFileSync } from 'node:fs';
import { mount, umount } from './ffi.ts';

// include/uapi/linux/mount.h
const MS_RDONLY = 0x1;
const MS_NOSUID = 0x2;
const MS_NODEV = 0x4;
const MS_NOEXEC = 0x8;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;

/** How a bind mount is made. */
export interface BindOptions {
  readonly readOnly?: boolean;
  /** Whether mounts below the source come along. */
  readonly recursive?: boolean;
}

/**
 * Shows a file or folder at a second place; the target must exist and be of the same kind. Read-only applies to the
 * top mount, not to those that `recursive` brings along.
 * @throws KernelError
 */
export function bindMount(source: string, target: string, { readOnly, recursive }: BindOptions = {}): void {
  const flags = MS_BIND | (recursive ? MS_REC : 0);
  mount({ source, target, type: null, flags, data: null });
  if (!readOnly) return;
  // The kernel ignores MS_RDONLY on the first call. A remount must repeat the flags the source has: within a user
  // namespace none may be taken off.
  try {
    mount({
      source: null,
      target,
      type: null,
      flags: MS_REMOUNT | MS_BIND | MS_RDONLY | keptFlags(target),
      data: null,
    });
  } catch (error) {
    unmount(target, { lazy: true });
    throw error;
  }
}

/**
 * Takes off the top mount at a path. `lazy` hides it at once and ends it when nobody uses it any more.
 * @throws KernelError `EINVAL` when nothing is mounted there, `EBUSY` when it is in use
 */
export function unmount(target: string, { lazy = false }: { readonly lazy?: boolean } = {}): void {
  umount(target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
}

/** Stops the mounts below `path`, and new ones, from spreading to other mount namespaces and back. */
export function makePrivate(path: string): void {
  mount({ source: null, target: path, type: null, flags: MS_REC | MS_PRIVATE, data: null });
}

/** What a file system in memory is like. */
export interface TmpfsOptions {
  /** The most it takes of memory. */
  readonly sizeBytes: number;
  /** Of its root: 0755 unless told. */
  readonly mode?: number;
  /** The name it has in lists of mounts: `tmpfs` unless told. */
  readonly source?: string;
}

/**
 * Mounts an empty file system in memory.
 * @throws KernelError
 */
export function mountTmpfs(target: string, { sizeBytes, mode = 0o755, source = 'tmpfs' }: TmpfsOptions): void {
  const data = `size=${sizeBytes},mode=${mode.toString(8)}`;
  mount({ source, target, type: 'tmpfs', flags: MS_NOSUID | MS_NODEV, data });
}

/** One line of `/proc/PID/mountinfo`: proc_pid_mountinfo(5). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  /** What part of the file system is shown, `/` for all of it; `net:[4026532281]` for a pinned namespace. */
  readonly root: string;
  readonly target: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
}

/** The mounts the calling process sees, in the order they were made. */
export function listMounts(): MountEntry[] {
  return parseMountinfo(readFileSync('/proc/thread-self/mountinfo', 'utf8'));
}

/** Reads the text of a mountinfo file. Lines that are not as documented are left out. */
export function parseMountinfo(content: string): MountEntry[] {
  return content.split('\n').flatMap((line) => {
    // Optional fields end with a lone hyphen.
    const [left, right] = line.split(' - ', 2);
    const [id, parentId, , root, target, options] = left?.split(' ') ?? [];
    const [type, source] = right?.split(' ') ?? [];
    if (root === undefined || target === undefined || type === undefined || source === undefined) return [];
    return {
      id: Number(id),
      parentId: Number(parentId),
      root: unescapePath(root),
      target: unescapePath(target),
      options: options?.split(',') ?? [],
      type,
      source: unescapePath(source),
    };
  });
}

/** Blank, tab, newline and backslash are written as three octal digits of each byte. */
function unescapePath(path: string): string {
  if (!path.includes('\\')) return path;
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

const flagOfOption: { readonly [option: string]: number } = { nosuid: MS_NOSUID, nodev: MS_NODEV, noexec: MS_NOEXEC };

function keptFlags(target: string): number {
  const entry = listMounts().findLast((m) => m.target === target);
  return (entry?.options ?? []).reduce((flags, option) => flags | (flagOfOption[option] ?? 0), 0);
}
