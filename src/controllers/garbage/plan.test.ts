import { describe, expect, test } from 'vitest';
import type { ObjectMeta, OwnerReference } from '../../api/generated/types.ts';
import { type OwnerState, planDependent, planOwner, type Vertex } from './plan.ts';

const owner = (uid: string, blockOwnerDeletion = true): OwnerReference => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name: uid,
  uid,
  blockOwnerDeletion,
});
const vertex = (metadata: Partial<ObjectMeta>): Vertex => ({
  resource: 'pods',
  object: { metadata: { name: 'x', namespace: 'default', uid: 'x', resourceVersion: '7', ...metadata } },
});
const states =
  (of: { [uid: string]: OwnerState }) =>
  ({ uid }: OwnerReference) =>
    of[uid] ?? 'there';
const patched = (change: object) => ({
  verb: 'patch',
  resource: 'pods',
  place: { namespace: 'default', name: 'x' },
  patch: { type: 'merge', body: { metadata: { uid: 'x', resourceVersion: '7', ...change } } },
});

describe('planDependent', () => {
  const owned = (...owners: OwnerReference[]) => vertex({ ownerReferences: owners });

  test('planDependent leaves alone what has no owner, or whose owners are there, or what is being deleted', () => {
    expect(planDependent(vertex({}), states({}), [])).toEqual([]);
    expect(planDependent(owned(owner('a')), states({ a: 'there' }), [])).toEqual([]);
    expect(
      planDependent(vertex({ ownerReferences: [owner('a')], deletionTimestamp: 'now' }), states({ a: 'gone' }), []),
    ).toEqual([]);
  });

  test('planDependent deletes what has no owner left', () => {
    const deletion = { verb: 'delete', resource: 'pods', place: { namespace: 'default', name: 'x' }, uid: 'x' };
    expect(planDependent(owned(owner('a'), owner('b')), states({ a: 'gone', b: 'gone' }), [vertex({})])).toEqual([
      { ...deletion, propagationPolicy: 'Background' },
    ]);
    expect(planDependent(owned(owner('a')), states({ a: 'waiting' }), [])).toMatchObject([
      { propagationPolicy: 'Background' },
    ]);
    expect(planDependent(owned(owner('a')), states({ a: 'waiting' }), [vertex({})])).toMatchObject([
      { propagationPolicy: 'Foreground' },
    ]);
    const orphaning = vertex({ ownerReferences: [owner('a')], finalizers: ['orphan'] });
    expect(planDependent(orphaning, states({ a: 'gone' }), [])).toMatchObject([{ propagationPolicy: 'Orphan' }]);
  });

  test('planDependent stops holding its owners up where it may stand in a circle with them', () => {
    const waiting = vertex({ deletionTimestamp: 'now', finalizers: ['foregroundDeletion'] });
    const writes = planDependent(owned(owner('a')), states({ a: 'waiting' }), [vertex({}), waiting]);
    expect(writes).toMatchObject([
      patched({ ownerReferences: [owner('a', false)] }),
      { verb: 'delete', propagationPolicy: 'Foreground' },
    ]);
    expect(planDependent(owned(owner('a')), states({ a: 'gone' }), [waiting])).toMatchObject([{ verb: 'delete' }]);
  });

  test('planDependent forgets an owner that is gone or waits while another is there', () => {
    const all = owned(owner('a'), owner('b'), owner('c'));
    expect(planDependent(all, states({ a: 'gone', b: 'waiting' }), [])).toEqual([
      patched({ ownerReferences: [owner('c')] }),
    ]);
  });
});

describe('planOwner', () => {
  const leaving = (finalizer: string) => vertex({ deletionTimestamp: 'now', finalizers: ['other', finalizer] });
  const dependent = (block: boolean): Vertex => ({
    resource: 'pods',
    object: {
      metadata: {
        name: 'd',
        namespace: 'default',
        uid: 'd',
        resourceVersion: '9',
        ownerReferences: [owner('x', block), owner('y')],
      },
    },
  });

  test('planOwner has nothing to do for an object that stays, or goes without waiting', () => {
    expect(planOwner(vertex({ finalizers: ['orphan'] }), [dependent(true)])).toEqual([]);
    expect(planOwner(leaving('other'), [dependent(true)])).toEqual([]);
  });

  test('planOwner waits for dependents that hold it up, and for no others', () => {
    expect(planOwner(leaving('foregroundDeletion'), [dependent(true)])).toEqual([]);
    expect(planOwner(leaving('foregroundDeletion'), [dependent(false)])).toEqual([patched({ finalizers: ['other'] })]);
  });

  test('planOwner lets its dependents go first, then itself', () => {
    expect(planOwner(leaving('orphan'), [dependent(true)])).toMatchObject([
      {
        place: { name: 'd' },
        patch: { body: { metadata: { uid: 'd', resourceVersion: '9', ownerReferences: [owner('y')] } } },
      },
    ]);
    const onlyOwned = vertex({ ownerReferences: [owner('x')] });
    expect(planOwner(leaving('orphan'), [onlyOwned])).toEqual([patched({ ownerReferences: null })]);
    expect(planOwner(leaving('orphan'), [])).toEqual([patched({ finalizers: ['other'] })]);
  });
});
