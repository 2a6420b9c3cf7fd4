import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { resources } from '../api/resources.ts';
import { openLmdbStore } from '../store/lmdb-store.ts';
import { expireEvents } from './event-expiry.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { Registry } from './registry.ts';
import { ServiceAllocator } from './service-allocator.ts';
import { WatchCache } from './watch-cache.ts';

test('expireEvents removes what was last seen more than an hour ago', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-expiry-'));
  const store = await openLmdbStore(dir);
  const cache = new WatchCache(store, Object.values(resources));
  await cache.start();
  const allocator = new ServiceAllocator([], { from: 30_000, to: 30_100 });
  const environment = { store, cache, allocator, namespaces: new NamespaceLifecycle(cache) };
  await new Registry('namespaces', environment).create({ metadata: { name: 'default' } }, undefined, { dryRun: false });
  const events = new Registry('events', environment);
  const now = Date.parse('2030-01-01T12:00:00Z');
  const add = (name: string, times: object) =>
    events.create({ metadata: { name }, involvedObject: { namespace: 'default' }, ...times }, 'default', {
      dryRun: false,
    });
  await add('old', { lastTimestamp: '2030-01-01T10:59:59Z' });
  await add('new', { lastTimestamp: '2030-01-01T11:00:01Z' });
  await add('seen-again', {
    eventTime: '2030-01-01T01:00:00Z',
    reportingComponent: 'test',
    reportingInstance: 'test-1',
    action: 'Testing',
    reason: 'Seen',
    series: { count: 2, lastObservedTime: '2030-01-01T11:30:00Z' },
  });
  await expireEvents(events, now);
  expect(events.cache.list().map(({ key }) => key)).toEqual(['default/new', 'default/seen-again']);
  cache.stop();
  await store.close();
  await rm(dir, { recursive: true });
});
