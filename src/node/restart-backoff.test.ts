import { describe, expect, it } from 'vitest';
import { nextRestart, type RestartBackoff } from './restart-backoff.ts';

describe('nextRestart', () => {
  it('nextRestart is at once, then after 10 s, doubling up to 5 minutes', () => {
    let now = 1_000_000;
    let backoff: RestartBackoff | undefined;
    const waits = Array.from({ length: 8 }, () => {
      const next = nextRestart(backoff, now);
      const wait = next.at - now;
      backoff = next.backoff;
      now = next.at + 100;
      return wait / 1000;
    });
    expect(waits).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
  });

  it('nextRestart begins anew after a run of more than 10 minutes', () => {
    const { backoff } = nextRestart({ delay: 160_000, since: 0 }, 100_000);
    expect(backoff.delay).toBe(300_000);
    expect(nextRestart(backoff, 100_000 + 600_001).at).toBe(700_001);
    expect(nextRestart(backoff, 100_000 + 600_000).at).toBe(1_000_000);
  });
});
