import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clusterPaths, makeFolders, readRecord } from './state.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'state-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const otherHome = expect.objectContaining({ remedy: expect.stringContaining('SIGNALBOX_HOME') });
const thrown = (run: () => unknown) => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

test.each(['/proc/nothing', '/proc/self/status'])('makeFolders says that a home cannot be: %s', (home) => {
  const error = thrown(() => makeFolders(clusterPaths('default', home)));
  expect(error).toMatchObject({ code: 'STATE_UNWRITABLE', object: `${home}/clusters/default` });
  expect(error).toEqual(otherHome);
});

test('readRecord tells a home that cannot be from a record that is damaged, and from none', () => {
  const paths = clusterPaths('default', folder);
  expect(readRecord(paths)).toBeUndefined();
  makeFolders(paths);
  writeFileSync(paths.record, '{"nodes":');
  const damaged = thrown(() => readRecord(paths));
  expect(damaged).toMatchObject({ code: 'STATE_UNREADABLE', remedy: expect.stringContaining('signalbox down') });
  const file = join(folder, 'file');
  writeFileSync(file, '');
  expect(thrown(() => readRecord(clusterPaths('default', file)))).toEqual(otherHome);
});
