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
    const lastUpdated = (now: number) => Date.parse(health.report(now, true).lastUpdated);
    expect(lastUpdated(1000)).toBe(0);
    health.syncStarted();
    health.syncSucceeded(1100);
    expect(lastUpdated(2000)).toBe(2000);
    health.queued(2100);
    expect(lastUpdated(2200)).toBe(1100);
  });
});
