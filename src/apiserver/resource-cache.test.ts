import { describe, expect, test } from 'vitest';
import { resources } from '../api/resources.ts';
import { ResourceCache } from './resource-cache.ts';
import { type ApiObject, StoredObject, storageText } from './stored-object.ts';

function stored(name: string, revision: number): StoredObject {
  const parsed: ApiObject = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name, namespace: 'n', uid: 'u' } };
  return new StoredObject(`n/${name}`, revision, { text: storageText(resources.configMaps, parsed), parsed });
}
const names = (objects: readonly StoredObject[] | undefined) =>
  objects?.map(({ key, revision }) => `${key}@${revision}`);

describe('ResourceCache', () => {
  test('knows how things stood at every revision of its history', () => {
    const cache = new ResourceCache(resources.configMaps);
    cache.load(stored('a', 3));
    cache.startHistory(5);
    cache.apply('n/b', stored('b', 6), 6);
    cache.apply('n/a', stored('a', 7), 7);
    cache.apply('n/a', undefined, 8);
    expect([5, 6, 7, 8].map((revision) => names(cache.listAt(revision)))).toEqual([
      ['n/a@3'],
      ['n/a@3', 'n/b@6'],
      ['n/a@7', 'n/b@6'],
      ['n/b@6'],
    ]);
    expect(names(cache.listAt(7, 'other'))).toEqual([]);
    expect(cache.listAt(4)).toBeUndefined();
    expect(cache.eventsAfter(6)?.map((event) => event.revision)).toEqual([7, 8]);
    expect(cache.eventsAfter(4)).toBeUndefined();
  });

  test('forgets old events, and says so', () => {
    const cache = new ResourceCache(resources.configMaps);
    cache.startHistory(1);
    for (let revision = 2; revision < 20_000; revision++) cache.apply('n/a', stored('a', revision), revision);
    expect(cache.eventsAfter(1)).toBeUndefined();
    const oldest = cache.oldestRevision;
    expect(oldest).toBeGreaterThan(10_000);
    expect(cache.eventsAfter(oldest)).toHaveLength(19_999 - oldest);
  });
});

test('StoredObject sets its resource version into the text', () => {
  const object = stored('a', 7);
  expect(JSON.parse(object.wire)).toEqual(object.object);
  expect(JSON.parse(object.wireAt(9)).metadata.resourceVersion).toBe('9');
  expect(JSON.parse(object.text).metadata.resourceVersion).toBeUndefined();
});
