import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'make-folder-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('makeFolder makes a folder and those it lies in, with the mode, and leaves what is there', () => {
  mkdirSync(join(folder, 'there'), { mode: 0o750 });
  makeFolder(join(folder, 'there', 'a', 'b', 'c/'), 0o700);
  const modes = ['there', 'there/a', 'there/a/b', 'there/a/b/c'].map(
    (name) => statSync(join(folder, name)).mode & 0o777,
  );
  expect(modes).toEqual([0o750, 0o700, 0o700, 0o700]);
  makeFolder(join(folder, 'there'), 0o700);
  expect(statSync(join(folder, 'there')).mode & 0o777).toBe(0o750);
  symlinkSync('there', join(folder, 'link'));
  makeFolder(join(folder, 'link'));
});

test('makeFolder says what is in the way', () => {
  writeFileSync(join(folder, 'file'), '');
  expect(() => makeFolder(join(folder, 'file'))).toThrow(/EEXIST/);
  expect(() => makeFolder(join(folder, 'file', 'x', 'y'))).toThrow(/ENOTDIR/);
  symlinkSync('nowhere', join(folder, 'link'));
  expect(() => makeFolder(join(folder, 'link'))).toThrow(/EEXIST/);
});

test.each(['/proc/nothing', '/proc/nothing/below'])(
  'makeFolder comes to an end where nothing can be made: %s',
  (path) => {
    expect(() => makeFolder(path)).toThrow(/ENOENT/);
  },
);
