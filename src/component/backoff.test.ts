import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { aborted } from './abort.ts';
import { backoffDelay, retry, sleep } from './backoff.ts';

describe('backoffDelay', () => {
  test('doubles up to the most, and is spread over the upper half', () => {
    const options = { initial: 100, max: 1000 };
    const longest = [0, 1, 2, 3, 4, 1e6].map((attempt) => backoffDelay(attempt, options, () => 1));
    expect(longest).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(backoffDelay(2, options, () => 0)).toBe(200);
  });
});

describe('sleep', () => {
  test('ends early with the signal, and at once when it has aborted', async () => {
    const stop = new AbortController();
    const asleep = sleep(60_000, stop.signal);
    stop.abort();
    await asleep;
    await sleep(60_000, stop.signal);
  });

  test('ends with the first of several signals, and leaves nothing with the others', async () => {
    const [stop, other] = [new AbortController(), new AbortController()];
    for (const wait of [(...all: AbortSignal[]) => sleep(60_000, ...all), aborted]) {
      const first = new AbortController();
      const waiting = wait(other.signal, first.signal, stop.signal);
      first.abort();
      await waiting;
      await wait(stop.signal, first.signal);
    }
    for (const { signal } of [stop, other]) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('retry', () => {
  const options = { signal: new AbortController().signal, delay: () => 0 };

  test('gives what the first try gives that succeeds', async () => {
    const errors: unknown[] = [];
    let tries = 0;
    const work = async () => {
      if (++tries < 3) throw tries;
      return 'done';
    };
    const onError = (error: unknown, attempt: number) => errors.push([error, attempt]);
    expect(await retry(work, { ...options, onError })).toBe('done');
    expect(errors).toEqual([
      [1, 0],
      [2, 1],
    ]);
  });

  test('ends with the signal, while it waits too', async () => {
    const stop = new AbortController();
    const work = async () => {
      throw new Error('no');
    };
    const onError = () => setImmediate(() => stop.abort());
    expect(await retry(work, { signal: stop.signal, delay: () => 60_000, onError })).toBeUndefined();
  });
});

describe('aborted', () => {
  test('resolves when the signal aborts, or has', async () => {
    const stop = new AbortController();
    const waiting = aborted(stop.signal);
    stop.abort();
    await waiting;
    await aborted(stop.signal);
  });
});
