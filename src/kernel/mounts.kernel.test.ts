import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isKernelError } from './ffi.ts';
import { bindMount, listMounts, mountTmpfs, unmount } from './mounts.ts';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
const entry = (target: string) => listMounts().findLast((mount) => mount.target === target);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mounts '));
  for (const name of ['source', 'target']) mkdirSync(at(name));
  writeFileSync(at('source', 'file'), 'content');
});
afterEach(() => {
  for (const { target } of listMounts().reverse()) if (target.startsWith(folder)) unmount(target, { lazy: true });
  rmSync(folder, { recursive: true });
});

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return isKernelError(error) ? error.code : (error as NodeJS.ErrnoException).code;
  }
  return undefined;
}

describe('bindMount', () => {
  test('shows a folder, or one file, at a second place', () => {
    bindMount(at('source'), at('target'));
    expect(readFileSync(at('target', 'file'), 'utf8')).toBe('content');
    writeFileSync(at('single'), '');
    bindMount(at('source', 'file'), at('single'));
    expect(readFileSync(at('single'), 'utf8')).toBe('content');
  });

  test('read-only, keeps writers out, and the source writable', () => {
    bindMount(at('source'), at('target'), { readOnly: true });
    expect(codeOf(() => writeFileSync(at('target', 'file'), ''))).toBe('EROFS');
    expect(entry(at('target'))?.options).toContain('ro');
    writeFileSync(at('source', 'file'), 'new');
    expect(readFileSync(at('target', 'file'), 'utf8')).toBe('new');
  });

  test('read-only, also of a source with flags that may not be taken off', () => {
    mountTmpfs(at('source'), { sizeBytes: 1 << 16 });
    bindMount(at('source'), at('target'), { readOnly: true });
    expect(entry(at('target'))?.options).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']));
  });

  test('recursive, takes mounts below along; plain, does not', () => {
    mkdirSync(at('source', 'below'));
    mountTmpfs(at('source', 'below'), { sizeBytes: 1 << 16 });
    writeFileSync(at('source', 'below', 'deep'), '');
    bindMount(at('source'), at('target'));
    expect(existsSync(at('target', 'below', 'deep'))).toBe(false);
    unmount(at('target'));
    bindMount(at('source'), at('target'), { recursive: true });
    expect(existsSync(at('target', 'below', 'deep'))).toBe(true);
  });

  test('throws for a place that is not there', () => {
    expect(codeOf(() => bindMount(at('none'), at('target')))).toBe('ENOENT');
    expect(codeOf(() => bindMount(at('source'), at('source', 'file')))).toBe('ENOTDIR');
  });
});

describe('unmount', () => {
  test('takes the mount off, and throws when there is none', () => {
    bindMount(at('source'), at('target'));
    unmount(at('target'));
    expect(existsSync(at('target', 'file'))).toBe(false);
    expect(codeOf(() => unmount(at('target')))).toBe('EINVAL');
    expect(codeOf(() => unmount(at('none')))).toBe('ENOENT');
  });
});

describe('mountTmpfs', () => {
  test('has its size, mode and name', () => {
    mountTmpfs(at('target'), { sizeBytes: 8192, mode: 0o700, source: 'mine' });
    expect(codeOf(() => writeFileSync(at('target', 'big'), Buffer.alloc(20_000)))).toBe('ENOSPC');
    expect(statSync(at('target')).mode & 0o777).toBe(0o700);
    expect(entry(at('target'))).toMatchObject({ type: 'tmpfs', source: 'mine' });
  });
});
