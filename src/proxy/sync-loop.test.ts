import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SyncLoop, type SyncLoopOptions } from './sync-loop.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A loop of which every step is noted with its time. */
function observed(options: Partial<SyncLoopOptions> = {}) {
  const steps: string[] = [];
  const start = performance.now();
  const note = (what: string) => steps.push(`${Math.round(performance.now() - start)} ${what}`);
  const loop = new SyncLoop({
    sync: async (retry) => {
      note(retry ? 'retry' : 'sync');
      return true;
    },
    check: async () => {
      note('check');
      return true;
    },
    onError: (error) => note(`${error}`),
    minPeriod: 100,
    checkPeriod: 1000,
    backoff: { initial: 200, max: 800 },
    ...options,
  });
  return { loop, steps, note };
}

describe('SyncLoop', () => {
  it('syncs at once for the first request, and once for all that come together', async () => {
    const { loop, steps } = observed();
    loop.request();
    loop.request();
    await vi.advanceTimersByTimeAsync(0);
    expect(steps).toEqual(['0 sync']);
    await vi.advanceTimersByTimeAsync(500);
    expect(steps).toHaveLength(1);
  });

  it('syncs at most once in the least period, and does not forget the last request', async () => {
    const { loop, steps } = observed();
    for (let t = 0; t < 250; t += 10) {
      loop.request();
      await vi.advanceTimersByTimeAsync(10);
    }
    await vi.advanceTimersByTimeAsync(200);
    expect(steps).toEqual(['0 sync', '100 sync', '200 sync', '300 sync']);
  });

  it('checks ahead of time when it is told to, and then at its period again', async () => {
    const { loop, steps } = observed();
    loop.startChecks();
    await vi.advanceTimersByTimeAsync(300);
    loop.checkSoon();
    await vi.advanceTimersByTimeAsync(1500);
    expect(steps).toEqual(['300 check', '1300 check']);
  });

  it('never runs two at a time', async () => {
    let running = 0;
    let most = 0;
    const { loop } = observed({
      minPeriod: 0,
      sync: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 50));
        running--;
        return true;
      },
    });
    for (let i = 0; i < 10; i++) {
      loop.request();
      await vi.advanceTimersByTimeAsync(20);
    }
    expect(most).toBe(1);
  });

  it('checks every period, also while requests keep coming', async () => {
    const { loop, steps } = observed({ minPeriod: 300 });
    loop.startChecks();
    for (let t = 0; t < 2500; t += 50) {
      loop.request();
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(steps.filter((step) => step.endsWith('check'))).toHaveLength(2);
  });

  it('waits longer after each failure, requests or not, and at once no longer after a success', async () => {
    let fails = 3;
    const { loop, steps, note } = observed({
      backoff: { initial: 200, max: 400 },
      sync: async () => {
        note('sync');
        if (fails-- > 0) throw new Error('locked');
        return true;
      },
    });
    for (let t = 0; t < 3000; t += 25) {
      loop.request();
      await vi.advanceTimersByTimeAsync(25);
      if (steps.length >= 8) break;
    }
    const times = steps.filter((step) => step.endsWith('sync')).map((step) => Number.parseInt(step, 10));
    const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
    expect(gaps[0]).toBeGreaterThanOrEqual(100);
    expect(gaps[0]).toBeLessThanOrEqual(225);
    expect(gaps[1]).toBeGreaterThanOrEqual(200);
    expect(gaps[1]).toBeLessThanOrEqual(425);
    expect(gaps[2]).toBeLessThanOrEqual(425);
    expect(gaps[3]).toBe(100);
  });

  it('tries what is not done again after the back-off, while requests go on as ever', async () => {
    let left = true;
    const { loop, steps, note } = observed({
      sync: async (retry) => {
        note(retry ? 'retry' : 'sync');
        if (retry) left = false;
        return !left;
      },
    });
    loop.request();
    await vi.advanceTimersByTimeAsync(50);
    loop.request();
    await vi.advanceTimersByTimeAsync(1000);
    expect(steps.slice(0, 2)).toEqual(['0 sync', '100 sync']);
    expect(steps.at(2)).toMatch(/^(1[0-9]{2}|200|201) retry$/);
    expect(steps).toHaveLength(3);
  });

  /** A check that takes 50 ms and gives up within 1 ms when told. */
  const longCheck = (note: (what: string) => void) => async (signal: AbortSignal) => {
    for (let t = 0; t < 50 && !signal.aborted; t++) await new Promise((resolve) => setTimeout(resolve, 1));
    note(signal.aborted ? 'check given up' : 'check done');
    return true;
  };

  it('interrupts a check for a sync, and begins the check anew soon after', async () => {
    const { loop, steps, note } = observed({ check: (signal) => longCheck(note)(signal) });
    loop.startChecks();
    await vi.advanceTimersByTimeAsync(1020);
    loop.request();
    await vi.advanceTimersByTimeAsync(500);
    expect(steps.map((step) => step.replace(/\d+ /, ''))).toEqual(['check given up', 'sync', 'check done']);
    const [givenUp = 0, synced = 0, done = 0] = steps.map((step) => Number.parseInt(step, 10));
    expect(synced - 1020).toBeLessThanOrEqual(2);
    expect(synced).toBeGreaterThanOrEqual(givenUp);
    expect(done - synced).toBeLessThan(1000);
  });

  it('lets a check come to its end when syncs keep interrupting it', async () => {
    const { loop, steps, note } = observed({ minPeriod: 5, check: (signal) => longCheck(note)(signal) });
    loop.startChecks();
    for (let t = 0; t < 2500; t += 10) {
      loop.request();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(steps.filter((step) => step.endsWith('check given up'))).toHaveLength(5);
    expect(steps.filter((step) => step.endsWith('check done'))).toHaveLength(1);
  });

  it('ends with what runs, and starts nothing more', async () => {
    const { loop, steps, note } = observed({
      sync: async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        note('done');
        return false;
      },
    });
    loop.startChecks();
    loop.request();
    await vi.advanceTimersByTimeAsync(10);
    loop.request();
    const stopped = loop.stop().then(() => note('stopped'));
    await vi.advanceTimersByTimeAsync(5000);
    await stopped;
    expect(steps).toEqual(['50 done', '50 stopped']);
  });
});
