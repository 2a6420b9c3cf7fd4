import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Deployment, Pod } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import { type ControlPlane, type SimulatedAgents, simulateAgents, startControlPlane } from './control-plane.ts';

let plane: ControlPlane;
let agents: SimulatedAgents;
beforeEach(async () => {
  plane = await startControlPlane();
  agents = await simulateAgents(plane.client, ['node-1', 'node-2', 'node-3']);
});
afterEach(async () => {
  agents.stop();
  await plane.close();
});

const place = { namespace: 'default', name: 'hello' };

function hello(replicas: number, image = 'hello:1'): Deployment {
  return {
    metadata: { ...place, labels: { app: 'hello' } },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'hello' } },
      template: {
        metadata: { labels: { app: 'hello' } },
        spec: { containers: [{ name: 'hello', image, ports: [{ containerPort: 8080 }] }] },
      },
    },
  };
}

const pods = async (): Promise<Stored<Pod>[]> => (await plane.client.list('pods', { namespace: 'default' })).items;
const images = async () => (await pods()).map(({ spec }) => spec?.containers[0]?.image).sort();
const condition = async (type: string) =>
  (await plane.client.get('deployments', place)).status?.conditions?.find((each) => each.type === type);
const setImage = (image: string) =>
  plane.client.patch('deployments', place, {
    type: 'strategic',
    body: { spec: { template: { spec: { containers: [{ name: 'hello', image }] } } } },
  });
const rolledOut = () =>
  expect.poll(async () => (await condition('Progressing'))?.reason).toBe('NewReplicaSetAvailable');

describe('deploymentController', () => {
  test('deploymentController makes a ReplicaSet, its Pods spread over the nodes, and says that it is available', async () => {
    await plane.client.create('deployments', hello(6));
    await rolledOut();
    const [replicaSet] = (await plane.client.list('replicaSets', { namespace: 'default' })).items;
    expect(replicaSet?.metadata.name).toMatch(/^hello-[a-z0-9]+$/);
    expect(replicaSet?.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('1');
    const perNode = new Map<string, number>();
    for (const { spec } of await pods())
      perNode.set(spec?.nodeName ?? '', (perNode.get(spec?.nodeName ?? '') ?? 0) + 1);
    expect(Object.fromEntries(perNode)).toEqual({ 'node-1': 2, 'node-2': 2, 'node-3': 2 });
    const deployment = await plane.client.get('deployments', place);
    expect(deployment.metadata.generation).toBe(1);
    expect(deployment.status).toMatchObject({
      observedGeneration: 1,
      replicas: 6,
      updatedReplicas: 6,
      readyReplicas: 6,
      availableReplicas: 6,
    });
    expect(await condition('Available')).toMatchObject({ status: 'True', reason: 'MinimumReplicasAvailable' });
    expect(deployment.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('1');
  });

  test('deploymentController keeps its bounds in a rolling update, and rolls back by the earlier template', async () => {
    await plane.client.create('deployments', hello(4));
    await rolledOut();
    let fewest = Number.POSITIVE_INFINITY;
    let most = 0;
    const watching = setInterval(async () => {
      const all = await pods().catch(() => undefined);
      if (all === undefined) return;
      const active = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const ready = active.filter(({ status }) =>
        status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
      );
      fewest = Math.min(fewest, ready.length);
      most = Math.max(most, active.length);
    }, 5);
    await setImage('hello:2');
    await rolledOut();
    await expect.poll(images).toEqual(Array(4).fill('hello:2'));
    clearInterval(watching);
    // 25 % of 4: one more, one less.
    expect(most).toBeLessThanOrEqual(5);
    expect(fewest).toBeGreaterThanOrEqual(3);

    const before = await plane.client.list('replicaSets', { namespace: 'default' });
    expect(before.items).toHaveLength(2);
    await setImage('hello:1');
    await expect.poll(images).toEqual(Array(4).fill('hello:1'));
    await rolledOut();
    const after = await plane.client.list('replicaSets', { namespace: 'default' });
    const revisions = after.items.map(({ metadata, spec }) => [
      spec?.replicas,
      metadata.annotations?.['deployment.kubernetes.io/revision'],
    ]);
    expect(revisions.sort()).toEqual([
      [0, '2'],
      [4, '3'],
    ]);
  });

  test('deploymentController with Recreate has no Pod of the new template before the last old one is gone', async () => {
    await plane.client.create('deployments', {
      ...hello(3),
      spec: { ...hello(3).spec, strategy: { type: 'Recreate' } } as never,
    });
    await rolledOut();
    const mixed: unknown[] = [];
    const watching = setInterval(async () => {
      const seen = new Set(await images().catch(() => []));
      if (seen.size > 1) mixed.push([...seen]);
    }, 3);
    await setImage('hello:2');
    await expect.poll(images).toEqual(Array(3).fill('hello:2'));
    clearInterval(watching);
    expect(mixed).toEqual([]);
    await rolledOut();
  });

  test('deploymentController scales, keeps old ReplicaSets to the history limit, and shows no progress without readiness', async () => {
    const limited = hello(2);
    await plane.client.create('deployments', {
      ...limited,
      spec: { ...limited.spec, revisionHistoryLimit: 1 } as never,
    });
    await rolledOut();
    for (const image of ['hello:2', 'hello:3', 'hello:4']) {
      await setImage(image);
      await expect.poll(images).toEqual(Array(2).fill(image));
      await rolledOut();
    }
    await expect.poll(async () => (await plane.client.list('replicaSets')).items.length).toBe(2);
    await plane.client.patch(
      'deployments',
      { ...place, subresource: 'scale' },
      { type: 'merge', body: { spec: { replicas: 5 } } },
    );
    // A change of scale is no rollout: what the condition says of the last one stays true.
    await expect.poll(async () => (await plane.client.get('deployments', place)).status?.availableReplicas).toBe(5);
    expect(await pods()).toHaveLength(5);
    agents.autoReady = false;
    await setImage('hello:bad');
    // 25 % of 5: two more than desired at a time, one fewer available.
    await expect.poll(images).toEqual([...Array(4).fill('hello:4'), ...Array(3).fill('hello:bad')]);
    expect(await condition('Available')).toMatchObject({ status: 'True' });
    await expect.poll(async () => (await condition('Progressing'))?.reason).toBe('ReplicaSetUpdated');
  });
});

describe('replicaSetController', () => {
  const replicaSet = (replicas: number) => ({
    metadata: { ...place },
    spec: { replicas, selector: { matchLabels: { app: 'hello' } }, template: hello(1).spec?.template ?? {} },
  });

  test('replicaSetController replaces a deleted Pod, never has too many, and scales to nothing and back', async () => {
    await plane.client.create('replicaSets', replicaSet(3));
    await expect.poll(async () => (await plane.client.get('replicaSets', place)).status?.readyReplicas).toBe(3);
    const [victim] = await pods();
    await plane.client.delete('pods', { namespace: 'default', name: victim?.metadata.name ?? '' });
    await expect
      .poll(async () => (await pods()).map(({ metadata }) => metadata.name))
      .not.toContain(victim?.metadata.name);
    await expect.poll(async () => (await plane.client.get('replicaSets', place)).status?.readyReplicas).toBe(3);
    expect(await pods()).toHaveLength(3);
    for (const replicas of [0, 40]) {
      await plane.client.patch('replicaSets', place, { type: 'merge', body: { spec: { replicas } } });
      await expect.poll(async () => (await pods()).length).toBe(replicas);
    }
    await expect.poll(async () => (await plane.client.get('replicaSets', place)).status?.availableReplicas).toBe(40);
    expect(await pods()).toHaveLength(40);
    await plane.controllers.stop();
    const events = (await plane.client.list('events', { namespace: 'default' })).items;
    expect(
      events.some(({ reason, message }) => reason === 'SuccessfulCreate' && message?.startsWith('Created pod: hello-')),
    ).toBe(true);
    expect(events.find(({ reason }) => reason === 'Scheduled')?.source?.component).toBe('default-scheduler');
  });

  test('replicaSetController adopts Pods it selects and lets go of Pods it no longer selects', async () => {
    const orphan = {
      metadata: { namespace: 'default', name: 'orphan', labels: { app: 'hello' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    };
    await plane.client.create('pods', orphan);
    await plane.client.create('replicaSets', replicaSet(2));
    await expect.poll(async () => (await pods()).length).toBe(2);
    const adopted = await plane.client.get('pods', { namespace: 'default', name: 'orphan' });
    expect(adopted.metadata.ownerReferences).toMatchObject([{ kind: 'ReplicaSet', name: 'hello', controller: true }]);
    await plane.client.patch(
      'pods',
      { namespace: 'default', name: 'orphan' },
      { type: 'merge', body: { metadata: { labels: { app: 'free' } } } },
    );
    await expect.poll(async () => (await pods()).length).toBe(3);
    await expect
      .poll(
        async () =>
          (await plane.client.get('pods', { namespace: 'default', name: 'orphan' })).metadata.ownerReferences ?? [],
      )
      .toEqual([]);
  });
});
