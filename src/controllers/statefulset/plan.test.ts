import { describe, expect, test } from 'vitest';
import type { ControllerRevision, Pod, StatefulSet, StatefulSetSpec } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import { planStatefulSet } from './plan.ts';

const now = Date.UTC(2026, 0, 1);
const labels = { app: 'x' };

function set(
  spec: Partial<StatefulSetSpec> & { image?: string } = {},
  status?: StatefulSet['status'],
): Stored<StatefulSet> {
  const { image = 'i:1', ...rest } = spec;
  return {
    metadata: { name: 's', namespace: 'default', uid: 's-uid', resourceVersion: '1', generation: 2 },
    spec: {
      replicas: 3,
      serviceName: 'svc',
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image }] } },
      updateStrategy: { type: 'RollingUpdate' },
      ...rest,
    },
    ...(status === undefined ? {} : { status }),
  };
}

/** The API's state, which plans are carried out on; all Pods become ready at once unless told otherwise. */
class World {
  pods: Stored<Pod>[] = [];
  revisions: Stored<ControllerRevision>[] = [];
  status: StatefulSet['status'];
  order: string[] = [];

  step(spec: Parameters<typeof set>[0], ready = true) {
    const plan = planStatefulSet({ set: set(spec, this.status), pods: this.pods, revisions: this.revisions, now });
    for (const write of plan.writes) {
      if (write.verb === 'delete' && write.resource === 'pods') {
        this.order.push(`-${write.place.name}`);
        this.pods = this.pods.filter((pod) => pod.metadata.name !== write.place.name);
      }
      if (write.verb !== 'create') continue;
      const metadata = {
        ...write.object.metadata,
        name: write.object.metadata?.name ?? '',
        uid: 'u',
        resourceVersion: '1',
      };
      if (write.resource === 'controllerRevisions') this.revisions.push({ ...write.object, metadata });
      if (write.resource !== 'pods') continue;
      this.order.push(`+${metadata.name}`);
      const since = formatTime(now - 1000);
      const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: since }];
      this.pods.push({ ...write.object, metadata, status: { phase: 'Running', conditions } });
    }
    this.status = plan.status;
    return plan;
  }

  settle(spec: Parameters<typeof set>[0], steps = 20) {
    this.order = [];
    for (let i = 0; i < steps; i++) this.step(spec);
    return this.order;
  }
}

describe('planStatefulSet', () => {
  test('planStatefulSet makes Pods in order, each when the one before is ready', () => {
    const world = new World();
    world.step({}, false);
    world.step({}, false);
    expect(world.order).toEqual(['+s-0']);
    expect(world.pods[0]?.spec).toMatchObject({ hostname: 's-0', subdomain: 'svc' });
    const other = new World();
    expect(other.settle({})).toEqual(['+s-0', '+s-1', '+s-2']);
    expect(other.status).toMatchObject({ replicas: 3, readyReplicas: 3, updatedReplicas: 3, currentReplicas: 3 });
  });

  test('planStatefulSet makes all at once when they are to be parallel', () => {
    const world = new World();
    world.step({ podManagementPolicy: 'Parallel' }, false);
    expect(world.order).toEqual(['+s-0', '+s-1', '+s-2']);
  });

  test('planStatefulSet updates from the last to the first, as far as the partition', () => {
    const world = new World();
    world.settle({});
    const partition = { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } };
    expect(world.settle({ image: 'i:2', ...partition })).toEqual(['-s-2', '+s-2']);
    expect(world.status?.currentRevision).not.toBe(world.status?.updateRevision);
    expect(world.settle({ image: 'i:2' })).toEqual(['-s-1', '+s-1', '-s-0', '+s-0']);
    expect(world.status?.currentRevision).toBe(world.status?.updateRevision);
    expect(world.revisions.map(({ revision }) => revision)).toEqual([1, 2]);
  });

  test('planStatefulSet updates nothing by itself when that is left to the user', () => {
    const world = new World();
    world.settle({});
    expect(world.settle({ image: 'i:2', updateStrategy: { type: 'OnDelete' } })).toEqual([]);
  });

  test('planStatefulSet removes the last first, and starts where it is told to', () => {
    const world = new World();
    world.settle({});
    expect(world.settle({ replicas: 1 })).toEqual(['-s-2', '-s-1']);
    expect(new World().settle({ replicas: 2, ordinals: { start: 5 } })).toEqual(['+s-5', '+s-6']);
  });

  test('planStatefulSet removes in order no Pod that does not serve, unless those before it do', () => {
    const world = new World();
    const fail = (...names: string[]) => {
      for (const { metadata, status } of world.pods)
        for (const condition of status?.conditions ?? [])
          condition.status = names.includes(metadata.name) ? 'False' : 'True';
    };
    world.settle({});
    fail('s-0', 's-1', 's-2');
    expect(world.settle({ replicas: 0, podManagementPolicy: 'OrderedReady' })).toEqual([]);
    expect(world.settle({ replicas: 1 })).toEqual([]);
    fail('s-2');
    expect(world.settle({ replicas: 0 })).toEqual(['-s-2', '-s-1', '-s-0']);
    world.settle({ podManagementPolicy: 'Parallel' });
    fail('s-0', 's-2');
    expect(world.settle({ replicas: 0, podManagementPolicy: 'Parallel' })).toEqual(['-s-2', '-s-1', '-s-0']);
  });

  test('planStatefulSet leaves the conditions of others', () => {
    const world = new World();
    const conditions = [{ type: 'Checked', status: 'True' }];
    world.status = { replicas: 0, conditions };
    expect(world.step({}).status.conditions).toEqual(conditions);
  });

  test('planStatefulSet makes nothing with volume claims, and says why', () => {
    const { writes, refusal } = new World().step({ volumeClaimTemplates: [{ metadata: { name: 'v' } }] });
    expect(writes.filter((write) => write.verb === 'create' && write.resource === 'pods')).toEqual([]);
    expect(refusal).toContain('volumeClaimTemplates');
  });
});
