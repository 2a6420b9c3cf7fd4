import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLmdbStore } from './lmdb-store.ts';
import type { StoreEvent } from './store.ts';

test('LmdbStore refuses writes on a full disk, whole, reads on, and writes again when there is room', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'signalbox-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
  try {
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(2_000_000));
    const folder = join(disk, 'data');
    let store = await openLmdbStore(folder);
    const seen: StoreEvent[] = [];
    store.watch('/', await store.revision(), { onEvents: (events) => seen.push(...events), onError: () => {} });
    const write = (name: string) =>
      store.transact([
        { type: 'put', key: `/${name}/a`, value: Buffer.alloc(5_000), expect: 0 },
        { type: 'put', key: `/${name}/b`, value: Buffer.alloc(5_000), expect: 0 },
      ]);
    const written: string[] = [];
    const writeOn = async (side: number) => {
      for (let i = 0; i < 1_000; i++) {
        await write(`${side}-${i}`);
        written.push(`/${side}-${i}/a`, `/${side}-${i}/b`);
      }
    };
    const ends = await Promise.allSettled([0, 1, 2, 3].map(writeOn));
    for (const end of ends)
      expect(end.status === 'rejected' ? end.reason : undefined).toMatchObject({ code: 'STORE_FULL' });
    // Where several at once had no room, one alone may have.
    await expect(writeOn(4)).rejects.toMatchObject({ code: 'STORE_FULL' });
    const keys = async () => (await store.list('/')).items.map(({ key }) => key);
    expect(await keys()).toEqual(written.toSorted());
    rmSync(ballast);
    const again = await write('room');
    expect(again).toMatchObject({ ok: true, revision: (await store.list('/room/')).items[0]?.modRevision });
    expect(await keys()).toEqual([...written, '/room/a', '/room/b'].toSorted());
    await expect.poll(() => seen.map(({ key }) => key).toSorted()).toEqual(await keys());
    await store.close();
    store = await openLmdbStore(folder);
    expect(await keys()).toEqual([...written, '/room/a', '/room/b'].toSorted());
    await store.close();
  } finally {
    execFileSync('umount', ['-l', disk]);
    rmdirSync(disk);
  }
});

test('openLmdbStore says that it may not write, by code and path', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'signalbox-read-only-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
  try {
    const folder = join(disk, 'data');
    await openLmdbStore(folder).then((store) => store.close());
    // The mount and not its file system: an ordinary user may do no more.
    execFileSync('mount', ['-o', 'remount,bind,ro', disk]);
    const problem = expect.stringContaining('read-only file system');
    await expect(openLmdbStore(folder)).rejects.toMatchObject({ code: 'STORE_UNREADABLE', object: folder, problem });
    const other = join(disk, 'new');
    await expect(openLmdbStore(other)).rejects.toMatchObject({ code: 'STORE_UNREADABLE', object: other });
  } finally {
    execFileSync('umount', ['-l', disk]);
    rmdirSync(disk);
  }
});
