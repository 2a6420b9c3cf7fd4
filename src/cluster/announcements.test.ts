import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import type { DutyReport } from '../speaker/link-speaker.ts';
import { announcementsIn } from './announcements.ts';

const report = (address: string, state: DutyReport['state'], announcedBy?: string): DutyReport => ({
  ...{ address: parseIp(address), interface: 'eth1', state },
  ...(announcedBy === undefined ? {} : { announcedBy }),
});

describe('announcementsIn', () => {
  it('believes who announces, not who has heard of it', () => {
    const reports = [
      report('192.0.2.1', 'standby', 'node-1'),
      report('192.0.2.1', 'holding', 'node-2'),
      report('192.0.2.2', 'standby', 'node-1'),
      report('192.0.2.3', 'refused', '02:00:00:00:00:07'),
      report('192.0.2.3', 'standby', '02:00:00:00:00:07'),
    ];
    expect(announcementsIn(reports)).toEqual([
      { address: '192.0.2.1', by: 'node-2' },
      { address: '192.0.2.3', by: '02:00:00:00:00:07' },
    ]);
  });
});
