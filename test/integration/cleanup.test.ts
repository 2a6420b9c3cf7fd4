import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createInformer } from '../../src/client/informer.ts';
import { ApiError } from '../../src/client/types.ts';
import { type ControlPlane, type SimulatedAgents, simulateAgents, startControlPlane } from './control-plane.ts';

let plane: ControlPlane;
let agents: SimulatedAgents | undefined;
beforeEach(async () => {
  plane = await startControlPlane({ nodeGraceSeconds: 1 });
  agents = undefined;
});
afterEach(async () => {
  agents?.stop();
  await plane.close();
});

const containers = [{ name: 'c', image: 'i' }];
const template = { metadata: { labels: { app: 'x' } }, spec: { containers } };
const selector = { matchLabels: { app: 'x' } };
const isGone = (request: Promise<unknown>) =>
  request.then(
    () => false,
    (error: unknown) => error instanceof ApiError && error.code === 404,
  );

describe('defaultObjectsController', () => {
  test('defaultObjectsController gives each namespace its service account and the certificate, again when they are deleted', async () => {
    await plane.client.create('namespaces', { metadata: { name: 'team' } });
    const account = { namespace: 'team', name: 'default' };
    const map = { namespace: 'team', name: 'kube-root-ca.crt' };
    await expect.poll(() => isGone(plane.client.get('serviceAccounts', account))).toBe(false);
    await expect.poll(() => isGone(plane.client.get('configMaps', map))).toBe(false);
    expect((await plane.client.get('configMaps', map)).data?.['ca.crt']).toBe(plane.server.admin.certificateAuthority);
    const { uid } = (await plane.client.get('serviceAccounts', account)).metadata;
    await plane.client.delete('serviceAccounts', account);
    await plane.client.patch('configMaps', map, { type: 'merge', body: { data: { 'ca.crt': 'forged' } } });
    await expect
      .poll(
        async () => (await plane.client.get('serviceAccounts', account).catch(() => undefined))?.metadata.uid ?? uid,
      )
      .not.toBe(uid);
    await expect
      .poll(async () => (await plane.client.get('configMaps', map)).data?.['ca.crt'])
      .toBe(plane.server.admin.certificateAuthority);
  });
});

describe('namespaceController', () => {
  test('namespaceController empties a namespace that is deleted and lets it go', async () => {
    agents = await simulateAgents(plane.client, ['node-1']);
    await plane.client.create('namespaces', { metadata: { name: 'team' } });
    await plane.client.create('deployments', {
      metadata: { namespace: 'team', name: 'd' },
      spec: { replicas: 3, selector, template },
    });
    await plane.client.create('services', {
      metadata: { namespace: 'team', name: 's' },
      spec: { selector: { app: 'x' }, ports: [{ port: 80 }] },
    });
    await plane.client.create('configMaps', { metadata: { namespace: 'team', name: 'c' } });
    await expect.poll(async () => (await plane.client.list('pods', { namespace: 'team' })).items.length).toBe(3);
    await plane.client.delete('namespaces', { name: 'team' });
    await expect.poll(() => isGone(plane.client.get('namespaces', { name: 'team' }))).toBe(true);
    for (const resource of ['pods', 'services', 'endpointSlices', 'configMaps', 'replicaSets', 'events'] as const)
      expect((await plane.client.list(resource, { namespace: 'team' })).items).toEqual([]);
  });
});

describe('garbageController', () => {
  const place = { namespace: 'default', name: 'd' };
  const counts = async () => [
    (await plane.client.list('replicaSets')).items.length,
    (await plane.client.list('pods')).items.length,
  ];
  beforeEach(async () => {
    agents = await simulateAgents(plane.client, ['node-1']);
    await plane.client.create('deployments', { metadata: place, spec: { replicas: 2, selector, template } });
    await expect.poll(counts).toEqual([1, 2]);
    await expect.poll(async () => (await plane.client.get('deployments', place)).status?.readyReplicas).toBe(2);
  });

  test('garbageController deletes what a deleted object owned, down to the Pods', async () => {
    await plane.client.delete('deployments', place);
    await expect.poll(counts).toEqual([0, 0]);
  });

  test('garbageController deletes dependents before their owner when asked to', async () => {
    const order: string[] = [];
    const informers = (['deployments', 'replicaSets', 'pods'] as const).map((resource) => {
      const informer = createInformer(plane.client, resource);
      informer.onChange(({ current }) => {
        if (current === undefined) order.push(resource);
      });
      return informer;
    });
    await Promise.all(informers.map(({ synced }) => synced));
    await plane.client.delete('deployments', place, { propagationPolicy: 'Foreground' });
    await expect.poll(() => isGone(plane.client.get('deployments', place))).toBe(true);
    await expect.poll(() => [...order]).toHaveLength(4);
    for (const informer of informers) informer.stop();
    expect(await counts()).toEqual([0, 0]);
    expect(order.indexOf('replicaSets')).toBeLessThan(order.indexOf('deployments'));
  });

  test('garbageController leaves the dependents alone when asked to', async () => {
    await plane.client.delete('deployments', place, { propagationPolicy: 'Orphan' });
    await expect.poll(() => isGone(plane.client.get('deployments', place))).toBe(true);
    await plane.controllers.drain();
    expect(await counts()).toEqual([1, 2]);
    const [replicaSet] = (await plane.client.list('replicaSets')).items;
    expect(replicaSet?.metadata.ownerReferences ?? []).toEqual([]);
  });

  test('garbageController deletes an object whose owner is in another namespace, and says so', async () => {
    await plane.client.create('namespaces', { metadata: { name: 'team' } });
    const { uid } = (await plane.client.get('deployments', place)).metadata;
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: place.name, uid };
    const stray = { namespace: 'team', name: 'stray' };
    await plane.client.create('configMaps', { metadata: { ...stray, ownerReferences: [owner] } });
    await expect.poll(() => isGone(plane.client.get('configMaps', stray))).toBe(true);
    await expect
      .poll(async () => (await plane.client.list('events', { namespace: 'team' })).items.map(({ message }) => message))
      .toContain(
        `ownerRef [apps/v1/Deployment, namespace: team, name: d, uid: ${uid}] does not exist in namespace "team"`,
      );
    expect(await counts()).toEqual([1, 2]);
  });

  test('garbageController deletes an object that comes after its owner has gone', async () => {
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'never', uid: '00000000-0000-0000-0000-000000000001' };
    await plane.client.create('configMaps', {
      metadata: { namespace: 'default', name: 'late', ownerReferences: [owner] },
    });
    await expect.poll(() => isGone(plane.client.get('configMaps', { namespace: 'default', name: 'late' }))).toBe(true);
  });
});

describe('nodeLifecycleController', () => {
  test('nodeLifecycleController gives up a silent node: tainted, its Pods not ready, evicted when their time is up', async () => {
    agents = await simulateAgents(plane.client, ['node-1']);
    const tolerations = ['not-ready', 'unreachable'].map((key) => ({
      key: `node.kubernetes.io/${key}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 1,
    }));
    await plane.client.create('replicaSets', {
      metadata: { namespace: 'default', name: 'x' },
      spec: { replicas: 1, selector, template: { ...template, spec: { containers, tolerations } } },
    });
    await plane.client.create('services', {
      metadata: { namespace: 'default', name: 's' },
      spec: { selector: { app: 'x' }, ports: [{ port: 80 }] },
    });
    const slice = async () =>
      (await plane.client.list('endpointSlices', { labelSelector: 'kubernetes.io/service-name=s' })).items[0]
        ?.endpoints ?? [];
    const ready = async () => (await slice()).filter(({ conditions }) => conditions?.ready);
    await expect.poll(async () => (await ready()).length).toBe(1);
    const first = (await ready())[0]?.targetRef?.name;
    // The agent says nothing more: no lease, no status.
    agents.stop();
    const node = async () => plane.client.get('nodes', { name: 'node-1' });
    await expect.poll(async () => (await node()).status?.conditions?.[0]?.status).toBe('Unknown');
    await expect
      .poll(async () => (await node()).spec?.taints?.map(({ key, effect }) => `${key} ${effect}`))
      .toEqual(['node.kubernetes.io/unreachable NoSchedule', 'node.kubernetes.io/unreachable NoExecute']);
    await expect.poll(async () => (await ready()).length).toBe(0);
    await expect
      .poll(
        async () =>
          (await plane.client.get('pods', { namespace: 'default', name: first ?? '' })).metadata.deletionTimestamp,
      )
      .toBeDefined();
    // It has a successor, which waits for a node that takes it.
    await expect
      .poll(
        async () =>
          (await plane.client.list('pods')).items
            .find(({ metadata }) => metadata.name !== first)
            ?.status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message,
      )
      .toMatch(/^0\/1 nodes are available: 1 node\(s\) were not ready/);
    // It is back: the taints go and the successor is placed.
    const lease = {
      metadata: { namespace: 'kube-node-lease', name: 'node-1' },
      spec: { holderIdentity: 'node-1', renewTime: '2026-01-01T00:00:00.000000Z' },
    };
    const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    const body = {
      status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: now, lastTransitionTime: now }] },
    };
    await plane.client.create('leases', lease);
    await plane.client.patch('nodes', { name: 'node-1', subresource: 'status' }, { type: 'merge', body });
    await expect
      .poll(async () =>
        (await plane.client.list('pods')).items.some(
          ({ metadata, spec }) => metadata.name !== first && spec?.nodeName === 'node-1',
        ),
      )
      .toBe(true);
    expect((await node()).spec?.taints ?? []).toEqual([]);
  });
});

describe('podCidrController', () => {
  test('podCidrController gives nodes that come at the same time the parts of their numbers', async () => {
    agents = await simulateAgents(plane.client, ['node-3', 'node-1', 'node-12', 'node-2']);
    const cidrs = async () =>
      Object.fromEntries(
        (await plane.client.list('nodes')).items.map(({ metadata, spec }) => [metadata.name, spec?.podCIDRs]),
      );
    await expect.poll(async () => Object.values(await cidrs()).every((each) => each !== undefined)).toBe(true);
    expect(await cidrs()).toEqual({
      'node-1': ['10.244.1.0/24'],
      'node-2': ['10.244.2.0/24'],
      'node-3': ['10.244.3.0/24'],
      'node-12': ['10.244.12.0/24'],
    });
  });
});

describe('podGarbageController', () => {
  test('podGarbageController deletes Pods whose node is gone', async () => {
    agents = await simulateAgents(plane.client, ['node-1']);
    await plane.client.create('pods', { metadata: { namespace: 'default', name: 'p' }, spec: { containers } });
    const pod = { namespace: 'default', name: 'p' };
    await expect.poll(async () => (await plane.client.get('pods', pod)).status?.phase).toBe('Running');
    agents.stop();
    await plane.client.delete('nodes', { name: 'node-1' });
    await expect.poll(() => isGone(plane.client.get('pods', pod))).toBe(true);
  });
});
