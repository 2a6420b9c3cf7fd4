import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterTry,
  nextTryDelay,
  noProgress,
  type ProbeProgress,
  type ProbeSchedule,
  probeSchedule,
} from './probe-schedule.ts';

const late = 100_000;

function tries(schedule: ProbeSchedule, outcomes: readonly boolean[], sinceStart = late): ProbeProgress {
  return outcomes.reduce((progress, success) => afterTry(schedule, progress, { success, sinceStart }), noProgress);
}

describe('probeSchedule', () => {
  it('probeSchedule has the defaults of Kubernetes', () => {
    expect(probeSchedule('readiness', {})).toEqual({
      kind: 'readiness',
      initialDelayMs: 0,
      periodMs: 10_000,
      timeoutMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
    });
  });
});

describe('afterTry', () => {
  const schedule = probeSchedule('readiness', { failureThreshold: 3, successThreshold: 2 });

  it.each([
    [[true], undefined],
    [[true, true], true],
    [[true, false, true], undefined],
    [[false, false], undefined],
    [[false, false, false], false],
    [[true, true, false, false], true],
    [[true, true, false, false, false], false],
    [[true, true, false, true, false, false], true],
  ])('afterTry: after %j the verdict is %j', (outcomes, verdict) => {
    expect(tries(schedule, outcomes).verdict).toBe(verdict);
  });

  it('afterTry: failures in the first period count for nothing, successes do', () => {
    expect(tries(schedule, [false, false, false, false], 5000).verdict).toBeUndefined();
    expect(tries(schedule, [false, true, true], 5000).verdict).toBe(true);
  });

  it('afterTry: a liveness probe counts from the beginning', () => {
    expect(tries(probeSchedule('liveness', {}), [false, false, false], 10).verdict).toBe(false);
  });

  it('afterTry: a verdict changes only by as many agreeing tries as its threshold', () => {
    const outcomes = fc.array(fc.boolean(), { maxLength: 40 });
    fc.assert(
      fc.property(outcomes, (list) => {
        const before = tries(schedule, list.slice(0, -1)).verdict;
        const after = tries(schedule, list).verdict;
        if (before === after || after === undefined) return before === after;
        const needed = after ? 2 : 3;
        return list.slice(-needed).every((o) => o === after) && list.length >= needed;
      }),
    );
  });
});

describe('nextTryDelay', () => {
  it('nextTryDelay is short and growing before the first success, within the first period', () => {
    const schedule = probeSchedule('readiness', {});
    let progress = noProgress;
    const delays = Array.from({ length: 9 }, () => {
      progress = afterTry(schedule, progress, { success: false, sinceStart: 100 });
      return nextTryDelay(schedule, progress, 100);
    });
    expect(delays).toEqual([10, 15, 23, 34, 51, 76, 114, 160, 160]);
    expect(nextTryDelay(schedule, progress, 10_000)).toBe(10_000);
    expect(nextTryDelay(schedule, afterTry(schedule, progress, { success: true, sinceStart: 200 }), 200)).toBe(10_000);
  });

  it('nextTryDelay of a liveness probe is its period', () => {
    const schedule = probeSchedule('liveness', { periodSeconds: 2 });
    expect(nextTryDelay(schedule, afterTry(schedule, noProgress, { success: false, sinceStart: 1 }), 1)).toBe(2000);
  });
});
