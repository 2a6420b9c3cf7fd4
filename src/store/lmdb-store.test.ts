import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLmdbStore } from './lmdb-store.ts';
import { describeStore } from './store-conformance.ts';

describeStore('LMDB', async () => {
  const path = await mkdtemp(join(tmpdir(), 'signalbox-store-'));
  return { open: async () => openLmdbStore(path), remove: () => rm(path, { recursive: true }) };
});

test('openLmdbStore refuses a file that is not a store, by code', async () => {
  const path = await mkdtemp(join(tmpdir(), 'signalbox-store-'));
  await writeFile(join(path, 'data.mdb'), Buffer.alloc(65_536, 7));
  await expect(openLmdbStore(path)).rejects.toThrow(/STORE_CORRUPTED/);
  await rm(path, { recursive: true });
});

test('openLmdbStore refuses a folder that another has open, and names who', async () => {
  const path = await mkdtemp(join(tmpdir(), 'signalbox-store-'));
  const first = await openLmdbStore(path);
  const problem = new RegExp(`${path} is in use by process ${process.pid}, since .* \\[STORE_LOCKED\\]`);
  await expect(openLmdbStore(path)).rejects.toThrow(problem);
  await first.close();
  const many = await Promise.allSettled(Array.from({ length: 8 }, () => openLmdbStore(path)));
  expect(many.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  for (const each of many) if (each.status === 'fulfilled') await each.value.close();
  await rm(path, { recursive: true });
});

test('openLmdbStore makes the folder, whatever its name, for its owner alone', async () => {
  const place = await mkdtemp(join(tmpdir(), 'signalbox-store-'));
  const path = join(place, 'deep', 'data.v1');
  const store = await openLmdbStore(path);
  expect((await stat(path)).mode & 0o777).toBe(0o700);
  expect(await readdir(path)).toContain('data.mdb');
  await store.close();
  await rm(place, { recursive: true });
});
