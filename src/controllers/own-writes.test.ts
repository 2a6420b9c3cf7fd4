import { describe, expect, test } from 'vitest';
import type { KubernetesObject, Stored } from '../api/object.ts';
import { OwnWrites } from './own-writes.ts';
import { deletion, type Write } from './write.ts';

/** An informer's face: a store and how far it is. */
function caches() {
  const informer = { store: new Map<string, Stored<KubernetesObject>>(), resourceVersion: '10' };
  return { informer, caches: { informers: new Map([['pods', informer]]) } as never };
}
const pod = (resourceVersion: string, more: object = {}): Stored<KubernetesObject> => ({
  metadata: { namespace: 'default', name: 'p', uid: 'p-uid', resourceVersion },
  ...more,
});
const creation: Write = { verb: 'create', resource: 'pods', object: { metadata: { namespace: 'default' } } };

describe('OwnWrites', () => {
  test('OwnWrites waits until the cache has reached the version written', () => {
    const { informer, caches: all } = caches();
    const writes = new OwnWrites(all);
    writes.note('key', creation, pod('12'));
    writes.note('key', creation, pod('11'));
    expect(writes.allSeen('key')).toBe(false);
    expect(writes.allSeen('other')).toBe(true);
    informer.resourceVersion = '11';
    expect(writes.allSeen('key')).toBe(false);
    informer.resourceVersion = '100';
    expect(writes.allSeen('key')).toBe(true);
  });

  test('OwnWrites waits for a deletion to show: gone, on its way out, or replaced', () => {
    for (const after of [
      undefined,
      pod('12', { metadata: { ...pod('12').metadata, deletionTimestamp: 'now' } }),
      pod('12', { metadata: { ...pod('12').metadata, uid: 'next' } }),
    ]) {
      const { informer, caches: all } = caches();
      const writes = new OwnWrites(all);
      informer.store.set('default/p', pod('9'));
      writes.note('key', deletion('pods', pod('9')), undefined);
      expect(writes.allSeen('key')).toBe(false);
      if (after === undefined) informer.store.delete('default/p');
      else informer.store.set('default/p', after);
      expect(writes.allSeen('key')).toBe(true);
    }
  });

  test('OwnWrites waits for a binding to show', () => {
    const { informer, caches: all } = caches();
    const writes = new OwnWrites(all);
    informer.store.set('default/p', pod('9'));
    writes.note(
      'key',
      { verb: 'bind', place: { namespace: 'default', name: 'p' }, uid: 'p-uid', node: 'n' },
      undefined,
    );
    expect(writes.allSeen('key')).toBe(false);
    informer.store.set('default/p', pod('12', { spec: { nodeName: 'n' } }));
    expect(writes.allSeen('key')).toBe(true);
  });

  test('OwnWrites does not wait for what nobody watches, nor for ever', () => {
    let now = 0;
    const { caches: all } = caches();
    const writes = new OwnWrites(all, () => now);
    writes.note('key', { verb: 'create', resource: 'events', object: { metadata: {}, involvedObject: {} } }, pod('99'));
    expect(writes.allSeen('key')).toBe(true);
    writes.note('key', creation, pod('99'));
    now = 29_999;
    expect(writes.allSeen('key')).toBe(false);
    now = 30_000;
    expect(writes.allSeen('key')).toBe(true);
  });
});
