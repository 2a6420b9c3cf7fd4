import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { sleep } from '../component/backoff.ts';
import { createWorkQueue, type WorkQueueOptions } from './workqueue.ts';

function recorded(options: Partial<WorkQueueOptions> & { during?: (key: string) => Promise<void> } = {}) {
  const done: string[] = [];
  const started: { key: string; at: number }[] = [];
  const queue = createWorkQueue({
    concurrency: 1,
    work: async (key) => {
      started.push({ key, at: performance.now() });
      await options.during?.(key);
      done.push(key);
    },
    ...options,
  });
  return { queue, done, started };
}

describe('createWorkQueue', () => {
  test('createWorkQueue works on a key once, however often it was added before its turn', async () => {
    const { queue, done } = recorded({ during: () => sleep(5) });
    for (const key of ['a', 'b', 'c', 'b', 'c', 'b']) queue.add(key);
    await queue.drain();
    expect(done).toEqual(['a', 'b', 'c']);
  });

  test('createWorkQueue works once more on a key that was added during its work, not at the same time', async () => {
    let atWork = 0;
    let most = 0;
    const { queue, done } = recorded({
      concurrency: 8,
      during: async () => {
        most = Math.max(most, ++atWork);
        await sleep(5);
        atWork--;
      },
    });
    queue.add('a');
    await sleep(2);
    for (let i = 0; i < 5; i++) queue.add('a');
    await queue.drain();
    expect(done).toEqual(['a', 'a']);
    expect(most).toBe(1);
  });

  test('createWorkQueue never has more keys at work than its concurrency, and reaches it', async () => {
    let atWork = 0;
    let most = 0;
    const { queue, done } = recorded({
      concurrency: 3,
      during: async () => {
        most = Math.max(most, ++atWork);
        await sleep(3);
        atWork--;
      },
    });
    for (let i = 0; i < 20; i++) queue.add(`k${i}`);
    await queue.drain();
    expect(most).toBe(3);
    expect(new Set(done).size).toBe(20);
  });

  test('createWorkQueue tries a failing key again after growing waits, and others meanwhile', async () => {
    let left = 4;
    const failures: number[] = [];
    const { queue, started, done } = recorded({
      backoff: { initial: 10, max: 1000 },
      during: async (key) => {
        if (key === 'bad' && left-- > 0) throw new Error('not yet');
      },
      onError: (_key, _error, count) => failures.push(count),
    });
    queue.add('bad');
    queue.add('good');
    await expect.poll(() => done).toContain('bad');
    expect(done[0]).toBe('good');
    expect(failures).toEqual([1, 2, 3, 4]);
    const times = started.filter(({ key }) => key === 'bad').map(({ at }) => at);
    const waits = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual((10 * 2 ** i) / 2 - 2);
  });

  test('createWorkQueue takes the earlier of two delays, and add before both', async () => {
    const { queue, done } = recorded();
    queue.addAfter('a', 10_000);
    queue.addAfter('a', 10);
    queue.addAfter('b', 10_000);
    queue.add('b');
    await sleep(40);
    expect(done).toEqual(['b', 'a']);
    await queue.stop();
  });

  test('createWorkQueue does the first change at once and puts a stream of changes together', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { queue, started } = recorded({ coalesce: { initial: 10, max: 40 } });
    const start = performance.now();
    queue.add('hot');
    expect(started).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    for (let i = 0; i < 400; i++) {
      queue.add('hot');
      await vi.advanceTimersByTimeAsync(1);
    }
    await vi.advanceTimersByTimeAsync(60);
    // At once, then 10, 20, 40, 40 … after it is wanted again, a millisecond later; there would be 400 otherwise.
    const waits = started.map(({ at }, i) => at - (started[i - 1]?.at ?? start));
    expect(waits.slice(0, 5).map(Math.round)).toEqual([0, 11, 21, 41, 41]);
    expect(started.length).toBeLessThan(15);
    await vi.advanceTimersByTimeAsync(200);
    const again = performance.now();
    queue.add('hot');
    await vi.advanceTimersByTimeAsync(1);
    expect(started.at(-1)?.at).toBe(again);
  });

  test('createWorkQueue lets what is at work end when it is stopped, and begins nothing more', async () => {
    const { queue, done, started } = recorded({ during: () => sleep(20) });
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 15);
    await expect.poll(() => started, { interval: 1 }).toHaveLength(1);
    await queue.stop();
    queue.add('d');
    await sleep(30);
    expect(done).toEqual(['a']);
    expect(started).toHaveLength(1);
  });
});
