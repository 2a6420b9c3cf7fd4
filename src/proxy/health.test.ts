import { describe, expect, it } from 'vitest';
import { SyncHealth } from './health.ts';

describe('SyncHealth', () => {
  it('is healthy before anything was asked for, and while a change waits no longer than the time-out', () => {
    const health = new SyncHealth(100);
    expect(health.isHealthy(1_000_000)).toBe(true);
    health.queued(1000);
    health.queued(1090);
    expect(health.isHealthy(1099)).toBe(true);
    expect(health.isHealthy(1100)).toBe(false);
  });

  it('counts from when the change came, through failed syncs, until one succeeds', () => {
    const health = new SyncHealth(100);
    health.queued(1000);
    health.syncStarted();
    health.syncStarted();
    expect(health.isHealthy(1100)).toBe(false);
    health.syncSucceeded(1150);
    expect(health.isHealthy(9999)).toBe(true);
  });

  it('goes on waiting for what came during a sync', () => {
    const health = new SyncHealth(100);
    health.queued(1000);
    health.syncStarted();
    health.queued(1050);
    health.syncSucceeded(1060);
    expect(health.isHealthy(1149)).toBe(true);
    expect(health.isHealthy(1150)).toBe(false);
  });

  it('was last updated now when nothing waits, else when a sync last succeeded', () => {
    const health = new SyncHealth(100);
    const lastUpdated = (now: number) => Date.parse(health.report(now, ['IPv4']).lastUpdated);
    expect(lastUpdated(1000)).toBe(0);
    health.syncStarted();
    health.syncSucceeded(1100);
    expect(lastUpdated(2000)).toBe(2000);
    health.queued(2100);
    expect(lastUpdated(2200)).toBe(1100);
  });

  it('reports each family that a sync has served, with when that was, and nothing of the node', () => {
    const health = new SyncHealth(100);
    expect(health.report(1000, ['IPv4', 'IPv6'])).toEqual({
      lastUpdated: '1970-01-01T00:00:00.000Z',
      currentTime: '1970-01-01T00:00:01.000Z',
      healthy: true,
    });
    health.syncSucceeded(1500);
    health.queued(1600);
    const late = { lastUpdated: '1970-01-01T00:00:01.500Z', healthy: false };
    expect(health.report(1700, ['IPv4', 'IPv6'])).toEqual({
      ...late,
      currentTime: '1970-01-01T00:00:01.700Z',
      status: { IPv4: late, IPv6: late },
    });
  });
});
