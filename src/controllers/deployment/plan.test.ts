import { describe, expect, test } from 'vitest';
import type { Deployment, DeploymentCondition, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import type { Write } from '../write.ts';
import { planDeployment } from './plan.ts';

const now = Date.UTC(2026, 0, 1);
const labels = { app: 'x' };

function deployment(
  changes: Partial<Deployment['spec']> & {
    image?: string;
    conditions?: DeploymentCondition[];
    annotations?: Record<string, string>;
  } = {},
): Stored<Deployment> {
  const { image = 'i:1', conditions, annotations, ...spec } = changes;
  return {
    metadata: {
      name: 'd',
      namespace: 'default',
      uid: 'd-uid',
      resourceVersion: '1',
      generation: 2,
      annotations: annotations ?? {},
    },
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image }] } },
      strategy: { type: 'RollingUpdate' },
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 1,
      ...spec,
    },
    ...(conditions === undefined ? {} : { status: { conditions } }),
  };
}

/** What the API would hold after the plan's creation, with its Pods there. */
function made(
  write: Write | undefined,
  changes: { available?: number; uid?: string; at?: number } = {},
): Stored<ReplicaSet> {
  if (write?.verb !== 'create' || write.resource !== 'replicaSets') throw new Error('no ReplicaSet created');
  const { object } = write;
  const size = object.spec?.replicas ?? 0;
  const { uid = 'rs', at = 0 } = changes;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      name: object.metadata?.name ?? '',
      uid,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: formatTime(now + at),
    },
    status: {
      replicas: size,
      readyReplicas: changes.available ?? size,
      availableReplicas: changes.available ?? size,
      observedGeneration: 1,
    },
  };
}
const plan = (d: Stored<Deployment>, ...replicaSets: Stored<ReplicaSet>[]) =>
  planDeployment({ deployment: d, replicaSets, podsOf: () => [], now });
const conditionOf = (p: ReturnType<typeof plan>, type: string) => p.status.conditions?.find((c) => c.type === type);

describe('planDeployment', () => {
  test('planDeployment makes a ReplicaSet whose Pods can be told from those of others', () => {
    const first = plan(deployment());
    const replicaSet = made(first.writes[0]);
    const hash = replicaSet.metadata.labels?.['pod-template-hash'];
    expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]+$/);
    expect(replicaSet).toMatchObject({
      metadata: {
        name: `d-${hash}`,
        labels: { app: 'x' },
        annotations: {
          'deployment.kubernetes.io/revision': '1',
          'deployment.kubernetes.io/desired-replicas': '3',
          'deployment.kubernetes.io/max-replicas': '4',
        },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            name: 'd',
            uid: 'd-uid',
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'x', 'pod-template-hash': hash } },
        template: { metadata: { labels: { app: 'x', 'pod-template-hash': hash } } },
      },
    });
    expect(first).toMatchObject({ revision: 1n, messages: [`Scaled up replica set d-${hash} from 0 to 3`] });
    expect(conditionOf(first, 'Progressing')).toMatchObject({ status: 'True', reason: 'NewReplicaSetCreated' });
    expect(conditionOf(first, 'Available')).toMatchObject({ status: 'False', reason: 'MinimumReplicasUnavailable' });
  });

  test('planDeployment is at rest with the ReplicaSet it made', () => {
    const replicaSet = made(plan(deployment()).writes[0]);
    const { writes, status, requeueAfterMs } = plan(deployment({ conditions: [] }), replicaSet);
    expect(writes).toEqual([]);
    expect(status).toMatchObject({
      observedGeneration: 2,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
    });
    expect(status).not.toHaveProperty('unavailableReplicas');
    expect(requeueAfterMs).toBeGreaterThan(600_000);
  });

  test('planDeployment names the ReplicaSet by the template alone, not by the order of its fields', () => {
    const d = deployment();
    const reordered = {
      ...d,
      spec: { ...deployment().spec, template: { spec: d.spec?.template.spec, metadata: d.spec?.template.metadata } },
    } as Stored<Deployment>;
    expect(made(plan(reordered).writes[0]).metadata.name).toBe(made(plan(d).writes[0]).metadata.name);
    expect(made(plan(deployment({ image: 'i:2' })).writes[0]).metadata.name).not.toBe(
      made(plan(d).writes[0]).metadata.name,
    );
    const collided = { ...d, status: { collisionCount: 1 } };
    expect(made(plan(collided).writes[0]).metadata.name).not.toBe(made(plan(d).writes[0]).metadata.name);
  });

  test('planDeployment gives a rollback the next number and keeps the earlier one in the history', () => {
    const one = made(plan(deployment()).writes[0], { uid: 'one' });
    const two = made(
      plan(deployment({ image: 'i:2' }), { ...one, spec: { ...one.spec, selector: {}, replicas: 3 } }).writes[0],
      { uid: 'two', at: 5000 },
    );
    expect(two.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('2');
    const back = plan(
      deployment(),
      { ...one, spec: { ...one.spec, selector: {}, replicas: 0 } },
      { ...two, spec: { ...two.spec, selector: {}, replicas: 3 } },
    );
    expect(back.revision).toBe(3n);
    const update = back.writes.find((w) => w.verb === 'update' && w.object.metadata?.name === one.metadata.name);
    expect(update?.verb === 'update' && update.object.metadata?.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
  });

  test('planDeployment counts on from whatever number a ReplicaSet has that it takes over', () => {
    const one = made(plan(deployment()).writes[0]);
    const revision = (text: string) => {
      const annotations = { ...one.metadata.annotations, 'deployment.kubernetes.io/revision': text };
      return plan(deployment({ image: 'i:2' }), { ...one, metadata: { ...one.metadata, annotations } }).revision;
    };
    expect(revision('3546343826724305832')).toBe(3546343826724305833n);
    for (const none of ['', '-1', '1e3', '99999999999999999999', 'x']) expect(revision(none)).toBe(1n);
  });

  test('planDeployment passes its own annotations on, but not what is about itself', () => {
    const annotations = {
      'kubernetes.io/change-cause': 'because',
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
    };
    const created = made(plan(deployment({ annotations })).writes[0]);
    expect(created.metadata.annotations).toHaveProperty(['kubernetes.io/change-cause'], 'because');
    expect(created.metadata.annotations).not.toHaveProperty(['kubectl.kubernetes.io/last-applied-configuration']);
  });

  test('planDeployment makes nothing new and rolls nothing out while it is paused, but scales', () => {
    expect(plan(deployment({ paused: true })).writes).toEqual([]);
    const replicaSet = made(plan(deployment()).writes[0]);
    const resized = plan(deployment({ paused: true, replicas: 5 }), replicaSet);
    expect(resized.writes).toMatchObject([{ verb: 'update', object: { spec: { replicas: 5 } } }]);
    expect(plan(deployment({ paused: true, image: 'i:2' }), replicaSet).writes).toEqual([]);
    expect(conditionOf(resized, 'Progressing')).toMatchObject({ status: 'Unknown', reason: 'DeploymentPaused' });
  });

  test('planDeployment deletes the oldest of those past the history limit when the rollout is done', () => {
    const current = made(plan(deployment()).writes[0]);
    const old = (n: number): Stored<ReplicaSet> => ({
      ...current,
      metadata: {
        ...current.metadata,
        name: `old${n}`,
        uid: `old${n}`,
        annotations: { 'deployment.kubernetes.io/revision': String(n) },
      },
      spec: {
        ...current.spec,
        selector: {},
        replicas: 0,
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: `old:${n}` }] } },
      },
      status: { replicas: 0, observedGeneration: n === 2 ? 0 : 1 },
    });
    const { writes } = plan(deployment({ annotations: {} }), old(1), current, old(3), old(2));
    // Of three, one may stay. What number 2 says of its Pods is old.
    expect(writes.filter(({ verb }) => verb === 'delete').map((w) => w.verb === 'delete' && w.place.name)).toEqual([
      'old1',
    ]);
  });

  test('planDeployment says that it is done, and that it got stuck', () => {
    const since = (seconds: number, reason: string) => [
      {
        type: 'Progressing',
        status: 'True',
        reason,
        lastUpdateTime: formatTime(now - seconds * 1000),
        lastTransitionTime: formatTime(0),
      },
    ];
    const full = made(plan(deployment()).writes[0]);
    const done = plan(deployment({ conditions: since(5, 'ReplicaSetUpdated') }), full);
    expect(conditionOf(done, 'Progressing')).toMatchObject({
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      lastTransitionTime: formatTime(0),
    });
    expect(conditionOf(done, 'Available')).toMatchObject({ status: 'True', reason: 'MinimumReplicasAvailable' });
    expect(done.requeueAfterMs).toBeUndefined();

    const short = made(plan(deployment()).writes[0], { available: 1 });
    const stuck = (conditions: DeploymentCondition[]) => ({
      ...deployment(),
      status: { replicas: 3, updatedReplicas: 3, readyReplicas: 1, availableReplicas: 1, conditions },
    });
    const waiting = plan(stuck(since(5, 'ReplicaSetUpdated')), short);
    expect(waiting.requeueAfterMs).toBe(596_000);
    const late = plan(stuck(since(700, 'ReplicaSetUpdated')), short);
    expect(conditionOf(late, 'Progressing')).toMatchObject({ status: 'False', reason: 'ProgressDeadlineExceeded' });
    expect(late.requeueAfterMs).toBeUndefined();
  });

  test('planDeployment leaves the conditions of others', () => {
    const foreign = { type: 'Checked', status: 'True' };
    const { conditions = [] } = plan(deployment({ conditions: [foreign] })).status;
    expect(conditions.map(({ type }) => type)).toEqual(['Available', 'Progressing', 'Checked']);
  });

  test('planDeployment tells what keeps its ReplicaSet from making Pods', () => {
    const replicaSet = made(plan(deployment()).writes[0], { available: 0 });
    const failed = {
      ...replicaSet,
      status: {
        replicas: 0,
        conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' }],
      },
    };
    expect(conditionOf(plan(deployment(), failed), 'ReplicaFailure')).toMatchObject({
      status: 'True',
      reason: 'FailedCreate',
      message: 'quota',
    });
  });
});
