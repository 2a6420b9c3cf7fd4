import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { replaceFile } from './replace-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'replace-file-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const modeOf = (path: string) => statSync(path).mode & 0o777;

test('replaceFile makes the folder and the file, for its owner only', () => {
  const path = join(folder, 'a', 'b');
  replaceFile(path, 'text');
  expect([readFileSync(path, 'utf8'), modeOf(path), readdirSync(join(folder, 'a'))]).toEqual(['text', 0o600, ['b']]);
});

test('replaceFile gives the mode that is asked for, whatever the file had and the umask takes', () => {
  const path = join(folder, 'file');
  writeFileSync(path, 'old');
  chmodSync(path, 0o600);
  replaceFile(path, Uint8Array.of(0x6e, 0x65, 0x77), 0o666);
  expect([readFileSync(path, 'utf8'), modeOf(path)]).toEqual(['new', 0o666]);
});

test('replaceFile is not led elsewhere, or stopped, by the draft of one that was killed', () => {
  const path = join(folder, 'file');
  writeFileSync(`${path}.${process.pid}.tmp`, 'half');
  replaceFile(path, 'whole');
  expect([readFileSync(path, 'utf8'), readdirSync(folder)]).toEqual(['whole', ['file']]);
});

test('replaceFile leaves no draft behind when it fails', () => {
  mkdirSync(join(folder, 'taken', 'inside'), { recursive: true });
  expect(() => replaceFile(join(folder, 'taken'), 'text')).toThrow(/EISDIR|ENOTEMPTY/);
  expect(readdirSync(folder)).toEqual(['taken']);
});
