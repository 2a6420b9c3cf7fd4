import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RateLimit } from './rate-limit.ts';

describe('RateLimit', () => {
  it('lets a burst through at once, then one after the other', () => {
    let now = 0;
    const limit = new RateLimit({ qps: 5, burst: 2 }, () => now);
    expect([limit.take(), limit.take(), limit.take(), limit.take()]).toEqual([0, 0, 200, 400]);
    now = 400;
    expect(limit.take()).toBe(200);
    now = 60_000;
    expect([limit.take(), limit.take(), limit.take()]).toEqual([0, 0, 200]);
  });

  it('has no bound when qps is negative', () => {
    const limit = new RateLimit({ qps: -1, burst: 0 });
    expect(Array.from({ length: 1000 }, () => limit.take()).every((wait) => wait === 0)).toBe(true);
  });

  it('never lets more through than burst and rate allow, whenever callers come', () => {
    const callers = fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 50 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 9 }), callers, (qps, burst, pauses) => {
        let now = 0;
        const limit = new RateLimit({ qps, burst }, () => now);
        const let_ = pauses.map((pause) => {
          now += pause;
          return now + limit.take();
        });
        for (const [i, from] of let_.entries()) {
          const within = let_.filter((at) => at >= from && at < from + 1000).length;
          expect(within, `from caller ${i}`).toBeLessThanOrEqual(Math.max(1, burst) + qps);
        }
      }),
    );
  });
});
