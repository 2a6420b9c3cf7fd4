import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CompactedError, type Store, type StoreEvent } from './store.ts';

/** A place where one store can be opened again and again. */
export interface StorePlace {
  open(): Promise<Store>;
  remove(): Promise<void>;
}

const bytes = (text: string) => Buffer.from(text);
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString());

async function put(store: Store, key: string, value: string): Promise<number> {
  const result = await store.transact([{ type: 'put', key, value: bytes(value) }]);
  if (!result.ok) throw new Error(`${key} was not as expected`);
  return result.revision;
}

async function remove(store: Store, key: string): Promise<number> {
  const result = await store.transact([{ type: 'delete', key }]);
  if (!result.ok) throw new Error(`${key} was not as expected`);
  return result.revision;
}

/** Collects events; `until(n)` resolves when there are `n`. */
function collect(store: Store, prefix: string, from: number) {
  const events: StoreEvent[] = [];
  const calls: number[] = [];
  let wake = () => {};
  let failure: Error | undefined;
  const stop = store.watch(prefix, from, {
    onEvents: (batch) => {
      events.push(...batch);
      calls.push(batch.length);
      wake();
    },
    onError: (error) => {
      failure = error;
      wake();
    },
  });
  const until = async (n: number) => {
    const deadline = Date.now() + 20_000;
    while (events.length < n && failure === undefined) {
      if (Date.now() > deadline) throw new Error(`only ${events.length} of ${n} events came`);
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
    return events.map((e) => `${e.type} ${e.key} ${text(e.value)} ${e.createRevision}/${e.modRevision}`);
  };
  return { until, calls, stop, failure: () => failure };
}

/** What every store must do; run it over each implementation. */
export function describeStore(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`Store: ${name}`, () => {
    let place: StorePlace;
    let store: Store;
    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    test('transact numbers every transaction, once, from the revision after the empty store', async () => {
      const start = await store.revision();
      expect(await put(store, '/a', '1')).toBe(start + 1);
      expect(await put(store, '/b', '1')).toBe(start + 2);
      const both = await store.transact([
        { type: 'put', key: '/c', value: bytes('1') },
        { type: 'delete', key: '/a' },
      ]);
      expect(both).toEqual({ ok: true, revision: start + 3 });
      expect(await store.revision()).toBe(start + 3);
    });

    test('get gives value and revisions, and nothing after a delete', async () => {
      const created = await put(store, '/a', 'one');
      const changed = await put(store, '/a', 'two');
      const found = await store.get('/a');
      expect(text(found?.value)).toBe('two');
      expect(found).toMatchObject({ key: '/a', createRevision: created, modRevision: changed });
      await remove(store, '/a');
      expect(await store.get('/a')).toBeUndefined();
      const again = await put(store, '/a', 'three');
      expect(await store.get('/a')).toMatchObject({ createRevision: again, modRevision: again });
    });

    test('transact does nothing unless every expectation holds, and says what stands', async () => {
      const revision = await put(store, '/a', 'one');
      const result = await store.transact([
        { type: 'put', key: '/b', value: bytes('x'), expect: 0 },
        { type: 'put', key: '/a', value: bytes('two'), expect: revision - 1 },
      ]);
      expect(result).toMatchObject({ ok: false, key: '/a', current: { modRevision: revision } });
      expect(await store.get('/b')).toBeUndefined();
      expect(await store.revision()).toBe(revision);
      expect(await store.transact([{ type: 'put', key: '/a', value: bytes('x'), expect: 0 }])).toMatchObject({
        ok: false,
      });
      expect(await store.transact([{ type: 'delete', key: '/none', expect: 5 }])).toEqual({
        ok: false,
        key: '/none',
        current: undefined,
      });
    });

    test('transact lets exactly one of many writers at once win each step', async () => {
      await put(store, '/n', '0');
      const add = async () => {
        for (;;) {
          const found = await store.get('/n');
          const value = bytes(String(Number(text(found?.value)) + 1));
          const result = await store.transact([{ type: 'put', key: '/n', value, expect: found?.modRevision ?? 0 }]);
          if (result.ok) return;
        }
      };
      await Promise.all(Array.from({ length: 8 }, add));
      expect(text((await store.get('/n'))?.value)).toBe('8');
    });

    test('list gives the keys of a prefix in byte order, now and as they stood before', async () => {
      await put(store, '/r/b', '1');
      await put(store, '/r/é', '1');
      await put(store, '/rx', '1');
      const before = await put(store, '/r/a', '1');
      await put(store, '/r/b', '2');
      await remove(store, '/r/a');
      const last = await put(store, '/r/c', '1');
      const show = async (revision?: number) => {
        const list = await store.list('/r/', revision);
        return [list.revision, ...list.items.map((i) => `${i.key}=${text(i.value)}`)];
      };
      expect(await show()).toEqual([last, '/r/b=2', '/r/c=1', '/r/é=1']);
      expect(await show(before)).toEqual([before, '/r/a=1', '/r/b=1', '/r/é=1']);
      expect((await store.list('')).items).toHaveLength(4);
    });

    test('watch gives history, then what happens, each transaction once and whole', async () => {
      const first = await put(store, '/r/a', '1');
      const second = await put(store, '/r/a', '2');
      const watch = collect(store, '/r/', second);
      await watch.until(1);
      await put(store, '/other', '1');
      await store.transact([
        { type: 'delete', key: '/r/a' },
        { type: 'put', key: '/r/b', value: bytes('1') },
        { type: 'put', key: '/q', value: bytes('1') },
      ]);
      expect(await watch.until(3)).toEqual([
        `put /r/a 2 ${first}/${second}`,
        `delete /r/a  0/${second + 2}`,
        `put /r/b 1 ${second + 2}/${second + 2}`,
      ]);
      // A call for each transaction, also for the one about another key.
      expect(watch.calls).toEqual([1, 0, 2]);
      watch.stop();
    });

    test('watch loses and repeats nothing while writes go on', async () => {
      const start = await store.revision();
      const writes = Array.from({ length: 300 }, (_, i) => put(store, `/r/${i}`, 'x'));
      const watches = [collect(store, '/r/', start + 1)];
      await Promise.all(writes.slice(0, 150));
      watches.push(collect(store, '/r/', start + 1));
      await Promise.all(writes);
      watches.push(collect(store, '/r/', start + 1));
      const seen = await Promise.all(watches.map((watch) => watch.until(300)));
      for (const list of seen) {
        expect(list.map((line) => Number(line.split('/').at(-1)))).toEqual(
          Array.from({ length: 300 }, (_, i) => start + 1 + i),
        );
      }
      for (const watch of watches) watch.stop();
    });

    test('compact forgets the past and keeps the present', async () => {
      await put(store, '/r/a', '1');
      const early = await put(store, '/r/b', '1');
      await put(store, '/r/a', '2');
      await put(store, '/r/gone', '1');
      const removed = await remove(store, '/r/gone');
      await put(store, '/r/b', '2');
      await store.compact(removed);
      expect(await store.compactedRevision()).toBe(removed);
      await expect(store.list('/r/', early)).rejects.toThrow(CompactedError);
      await expect(store.compact(early)).rejects.toThrow(CompactedError);
      const at = await store.list('/r/', removed);
      expect(at.items.map((i) => `${i.key}=${text(i.value)}`)).toEqual(['/r/a=2', '/r/b=1']);
      const now = await store.list('/r/');
      expect(now.items.map((i) => `${i.key}=${text(i.value)}`)).toEqual(['/r/a=2', '/r/b=2']);
      const watch = collect(store, '/r/', early);
      await watch.until(1);
      expect(watch.failure()).toBeInstanceOf(CompactedError);
      const later = collect(store, '/r/', removed + 1);
      expect(await later.until(1)).toHaveLength(1);
      later.stop();
    });

    test('all of it is there after closing and opening again', async () => {
      const first = await put(store, '/r/a', '1');
      await put(store, '/r/a', '2');
      const last = await put(store, '/r/b', '1');
      await store.close();
      store = await place.open();
      expect(await store.revision()).toBe(last);
      expect((await store.list('/r/')).items.map((i) => text(i.value))).toEqual(['2', '1']);
      const watch = collect(store, '/r/', first + 1);
      expect(await watch.until(2)).toHaveLength(2);
      watch.stop();
      expect(await put(store, '/r/c', '1')).toBe(last + 1);
    });
  });
}
