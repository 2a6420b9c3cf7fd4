import { describe, expect, test } from 'vitest';
import type { Pod, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import { planReplicaSet, replicaSetStatusWrites } from './plan.ts';

const now = Date.UTC(2026, 0, 1);
const labels = { app: 'x' };
const owner = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: 'rs',
  uid: 'rs-uid',
  controller: true,
  blockOwnerDeletion: true,
};

const replicaSet = (
  replicas: number,
  changes: Partial<ReplicaSet['metadata'] & { minReadySeconds: number }> = {},
): Stored<ReplicaSet> => {
  const { minReadySeconds, ...metadata } = changes;
  return {
    metadata: { name: 'rs', namespace: 'default', uid: 'rs-uid', resourceVersion: '1', generation: 3, ...metadata },
    spec: {
      replicas,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { matchLabels: labels },
      template: { metadata: { labels, annotations: { a: '1' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    },
  };
};
function pod(name: string, metadata: Partial<Pod['metadata']> = {}, status: Pod['status'] = {}): Stored<Pod> {
  return {
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      resourceVersion: '1',
      labels,
      ownerReferences: [owner],
      ...metadata,
    },
    status,
  };
}
const ready = (seconds: number) => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: formatTime(now - seconds * 1000) }],
});
const plan = (set: Stored<ReplicaSet>, ...pods: Stored<Pod>[]) =>
  planReplicaSet({ replicaSet: set, pods, relatedPods: pods, now });

describe('planReplicaSet', () => {
  test('planReplicaSet creates what is missing, from the template', () => {
    const { writes } = plan(replicaSet(3), pod('a'));
    expect(writes).toHaveLength(2);
    expect(writes[0]).toEqual({
      verb: 'create',
      resource: 'pods',
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          generateName: 'rs-',
          namespace: 'default',
          labels,
          annotations: { a: '1' },
          ownerReferences: [owner],
        },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      },
    });
  });

  test('planReplicaSet counts neither Pods that have ended nor Pods on their way out', () => {
    const gone = [
      pod('a', {}, { phase: 'Failed' }),
      pod('b', {}, { phase: 'Succeeded' }),
      pod('c', { deletionTimestamp: 'now' }),
    ];
    expect(plan(replicaSet(1), ...gone).writes.map(({ verb }) => verb)).toEqual(['create']);
  });

  test('planReplicaSet deletes what is too many, by uid', () => {
    const { writes } = plan(replicaSet(1), pod('a', {}, ready(100)), pod('b'));
    expect(writes).toEqual([
      { verb: 'delete', resource: 'pods', place: { namespace: 'default', name: 'b' }, uid: 'b' },
    ]);
  });

  test('planReplicaSet adopts before it creates, and leaves the Pods of others alone', () => {
    const orphan = pod('orphan', { ownerReferences: [] });
    const other = pod('other', { ownerReferences: [{ ...owner, uid: 'other' }] });
    const { writes, owned } = plan(replicaSet(2), orphan, other);
    expect(writes.map(({ verb }) => verb)).toEqual(['patch', 'create']);
    expect(writes[0]).toMatchObject({
      patch: { body: { metadata: { uid: 'orphan', resourceVersion: '1', ownerReferences: [owner] } } },
    });
    expect(owned).toEqual([orphan]);
  });

  test('planReplicaSet releases a Pod whose labels it no longer selects', () => {
    const { writes } = plan(replicaSet(1), pod('a', { labels: { app: 'y' } }));
    expect(writes).toMatchObject([
      { verb: 'patch', patch: { body: { metadata: { ownerReferences: null } } } },
      { verb: 'create' },
    ]);
  });

  test('planReplicaSet does nothing for one that is being deleted', () => {
    expect(plan(replicaSet(3, { deletionTimestamp: 'now' }), pod('o', { ownerReferences: [] })).writes).toEqual([]);
  });

  test('planReplicaSet makes at most 500 Pods in a round', () => {
    expect(plan(replicaSet(2000)).writes).toHaveLength(500);
  });

  test('planReplicaSet looks again when the next Pod becomes available', () => {
    const set = replicaSet(3, { minReadySeconds: 30 });
    expect(plan(set, pod('a', {}, ready(10)), pod('b', {}, ready(25)), pod('c', {}, ready(60))).requeueAfterMs).toBe(
      5000,
    );
    expect(plan(set, pod('c', {}, ready(60)), pod('d'), pod('e')).requeueAfterMs).toBeUndefined();
  });
});

describe('replicaSetStatusWrites', () => {
  const outcome = (
    set: Stored<ReplicaSet>,
    owned: Stored<Pod>[],
    failure?: { reason: 'FailedCreate'; message: string },
  ) => replicaSetStatusWrites({ replicaSet: set, owned, failure, now });
  const statusOf = (writes: ReturnType<typeof outcome>) =>
    writes[0]?.verb === 'update' && writes[0].resource === 'replicaSets' ? writes[0].object.status : undefined;

  test('replicaSetStatusWrites counts, without zeros, and writes once', () => {
    const set = replicaSet(3, { minReadySeconds: 30 });
    const pods = [
      pod('a', {}, ready(10)),
      pod('b', {}, ready(60)),
      pod('c', { labels: { app: 'x', more: '1' } }),
      pod('d', { deletionTimestamp: 'now' }),
    ];
    const status = statusOf(outcome(set, pods));
    expect(status).toEqual({
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 1,
      observedGeneration: 3,
    });
    expect(outcome({ ...set, status: status ?? { replicas: 0 } }, pods)).toEqual([]);
    expect(statusOf(outcome(set, []))).toEqual({ replicas: 0, observedGeneration: 3 });
  });

  test('replicaSetStatusWrites tells a failure until it is over, with the time it began', () => {
    const set = replicaSet(1);
    const failure = { reason: 'FailedCreate' as const, message: 'quota' };
    const status = statusOf(outcome(set, [], failure));
    expect(status?.conditions).toEqual([
      { type: 'ReplicaFailure', status: 'True', ...failure, lastTransitionTime: formatTime(now) },
    ]);
    const failed = { ...set, status: status ?? { replicas: 0 } };
    expect(outcome(failed, [], { ...failure, message: 'quota, again' })).toEqual([]);
    expect(statusOf(outcome(failed, []))).not.toHaveProperty('conditions');
  });
});
