import { describe, expect, it } from 'vitest';
import type { Logger } from '../component/log.ts';
import type { Notice } from './backend.ts';
import { ConntrackWatch } from './conntrack-watch.ts';

describe('ConntrackWatch', () => {
  it('tells once that the table is nearly full, and once that there is room again', () => {
    const lines: string[] = [];
    const notices: Notice[] = [];
    const write = (level: string) => (_: object, message: string) => lines.push(`${level} ${message}`);
    const log = { warn: write('warn'), info: write('info') } as unknown as Logger;
    let entries = 0;
    const watch = new ConntrackWatch({
      usage: () => ({ entries, limit: 1000 }),
      log,
      events: { noticed: (notice) => notices.push(notice) },
    });
    for (const now of [10, 949, 950, 999, 1000, 900, 800, 960, 799, 10]) {
      entries = now;
      watch.look();
    }
    expect(lines).toEqual([
      expect.stringMatching(/^warn Connection tracking has 950 of 1000 entries: new connections will be dropped/),
      'info connection tracking has room again',
    ]);
    expect(notices).toEqual([{ reason: 'ConntrackNearlyFull', message: expect.stringContaining('950 of 1000') }]);
  });

  it('says nothing where the kernel has no bound', () => {
    const watch = new ConntrackWatch({
      usage: () => ({ entries: 5, limit: 0 }),
      log: {} as Logger,
      events: { noticed: () => expect.unreachable() },
    });
    expect(() => watch.look()).not.toThrow();
  });
});
