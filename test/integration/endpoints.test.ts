import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { EndpointSlice, Pod, Service } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import type { ResourceKey, ResourceTypes } from '../../src/api/resources.ts';
import { createInformer } from '../../src/client/informer.ts';
import type { Informer } from '../../src/client/types.ts';
import { type ControlPlane, type SimulatedAgents, simulateAgents, startControlPlane } from './control-plane.ts';

let plane: ControlPlane;
let agents: SimulatedAgents;
beforeEach(async () => {
  plane = await startControlPlane();
  agents = await simulateAgents(plane.client, ['node-1', 'node-2']);
});
afterEach(async () => {
  agents.stop();
  await plane.close();
});

const namespace = 'default';

function pod(name: string, port = 8080, labels: Record<string, string> = { app: 'hello' }): Pod {
  return {
    metadata: { namespace, name, labels },
    spec: { containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: port }] }] },
  };
}

function service(name: string, spec: Service['spec'] = {}): Service {
  return {
    metadata: { namespace, name },
    spec: { selector: { app: 'hello' }, ports: [{ name: 'web', port: 80, targetPort: 'http' }], ...spec },
  };
}

async function slices(name: string): Promise<Stored<EndpointSlice>[]> {
  const labelSelector = `kubernetes.io/service-name=${name}`;
  return (await plane.client.list('endpointSlices', { namespace, labelSelector })).items;
}
const endpointsOf = async (name: string) => (await slices(name)).flatMap(({ endpoints }) => endpoints ?? []);
const targets = async (name: string) => (await endpointsOf(name)).map(({ targetRef }) => targetRef?.name).sort();
const isReady = ({ status }: Pod) =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True');
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** When an informer next shows an object that is as it should be, by `performance.now()`. */
function seenBy<R extends ResourceKey>(
  informer: Informer<R>,
  isWanted: (object: Stored<ResourceTypes[R]>) => boolean,
): Promise<number> {
  return new Promise((resolve) => {
    const remove = informer.onChange(({ previous, current }) => {
      if (previous === undefined || current === undefined || !isWanted(current)) return;
      remove();
      resolve(performance.now());
    });
  });
}

const started = async (name: string) => {
  await expect.poll(async () => (await plane.client.get('pods', { namespace, name })).status?.podIP).toBeDefined();
  return plane.client.get('pods', { namespace, name });
};

describe('endpointSliceController', () => {
  test('endpointSliceController follows the wish of a Service for endpoints nearby, and its end', async () => {
    await plane.client.create('services', service('hello'));
    await plane.client.create('pods', pod('a'));
    const nodeName = (await started('a')).spec?.nodeName;
    const hints = async () => (await endpointsOf('hello')).map((endpoint) => endpoint.hints);
    await expect.poll(hints).toEqual([undefined]);
    const wish = (trafficDistribution: string | null) =>
      plane.client.patch(
        'services',
        { namespace, name: 'hello' },
        { type: 'merge', body: { spec: { trafficDistribution } } },
      );
    await wish('PreferSameNode');
    const forZones = [{ name: nodeName === 'node-1' ? 'zone-0' : 'zone-1' }];
    await expect.poll(hints).toEqual([{ forNodes: [{ name: nodeName }], forZones }]);
    await wish('PreferSameZone');
    await expect.poll(hints).toEqual([{ forZones }]);
    await wish(null);
    await expect.poll(hints).toEqual([undefined]);
  });

  test('endpointSliceController follows the Pods of a Service: new, ready, no longer selected, gone', async () => {
    await plane.client.create('services', service('hello'));
    await expect.poll(async () => (await slices('hello')).length).toBe(1);
    for (const name of ['a', 'b']) await plane.client.create('pods', pod(name));
    await expect.poll(() => targets('hello')).toEqual(['a', 'b']);
    const [slice, ...others] = await slices('hello');
    expect(others).toEqual([]);
    const { podIP } = (await started('a')).status ?? {};
    const nodeName = (await started('a')).spec?.nodeName;
    expect(slice).toMatchObject({
      addressType: 'IPv4',
      ports: [{ name: 'web', port: 8080, protocol: 'TCP' }],
      metadata: {
        labels: {
          'kubernetes.io/service-name': 'hello',
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
        ownerReferences: [{ kind: 'Service', name: 'hello', controller: true }],
      },
    });
    expect(slice?.endpoints?.find(({ targetRef }) => targetRef?.name === 'a')).toEqual({
      addresses: [podIP],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName,
      zone: nodeName === 'node-1' ? 'zone-0' : 'zone-1',
      targetRef: { kind: 'Pod', namespace, name: 'a', uid: (await started('a')).metadata.uid },
    });

    await agents.setReady(await started('a'), false);
    await expect
      .poll(async () => (await endpointsOf('hello')).find(({ targetRef }) => targetRef?.name === 'a')?.conditions)
      .toEqual({ ready: false, serving: false, terminating: false });
    await plane.client.patch(
      'pods',
      { namespace, name: 'a' },
      { type: 'merge', body: { metadata: { labels: { app: 'x' } } } },
    );
    await expect.poll(() => targets('hello')).toEqual(['b']);
    await plane.client.delete('pods', { namespace, name: 'b' });
    await expect.poll(() => targets('hello')).toEqual([]);
    expect(await slices('hello')).toHaveLength(1);
    await plane.client.delete('services', { namespace, name: 'hello' });
    await expect.poll(() => slices('hello')).toEqual([]);
  });

  test('endpointSliceController resolves a named port on each Pod, and keeps different numbers in slices of their own', async () => {
    await plane.client.create('services', service('hello', { clusterIP: 'None' }));
    await plane.client.create('pods', pod('a', 8080));
    await plane.client.create('pods', pod('b', 9090));
    await expect
      .poll(async () =>
        (await slices('hello'))
          .map(({ ports, endpoints }) => [ports?.[0]?.port, endpoints?.[0]?.targetRef?.name])
          .sort(),
      )
      .toEqual([
        [8080, 'a'],
        [9090, 'b'],
      ]);
    for (const { metadata } of await slices('hello'))
      expect(metadata.labels).toHaveProperty(['service.kubernetes.io/headless'], '');
  });

  test('endpointSliceController writes a change of readiness without waiting for others', async () => {
    agents.autoReady = false;
    await plane.client.create('services', service('hello'));
    await plane.client.create('pods', pod('a'));
    await expect.poll(() => targets('hello')).toEqual(['a']);
    const watched = [createInformer(plane.client, 'pods'), createInformer(plane.client, 'endpointSlices')] as const;
    await Promise.all(watched.map(({ synced }) => synced));
    const sinceWrite = { pod: [] as number[], slice: [] as number[] };
    for (let i = 0; i < 20; i++) {
      // As apart as the changes of a person or a probe.
      await new Promise((resolve) => setTimeout(resolve, 60));
      const ready = i % 2 === 0;
      const current = await plane.client.get('pods', { namespace, name: 'a' });
      const seen = [
        seenBy(watched[0], (pod) => isReady(pod) === ready),
        seenBy(watched[1], ({ endpoints }) => endpoints?.[0]?.conditions?.ready === ready),
      ];
      const start = performance.now();
      await agents.setReady(current, ready);
      const [pod = 0, slice = 0] = await Promise.all(seen);
      sinceWrite.pod.push(pod - start);
      sinceWrite.slice.push(slice - start);
    }
    for (const informer of watched) informer.stop();
    // From the status write to another client: the slice is one write and one watch more than the Pod, however busy the
    // machine is. Gathering changes as Kubernetes does, for half a second or more, would be a hundred times that.
    expect(median(sinceWrite.slice)).toBeLessThan(10 * median(sinceWrite.pod));
  });

  test('endpointSliceController keeps 250 Pods in three slices, and one more Pod is one write', async () => {
    await plane.client.create('services', service('hello'));
    const many = Array.from({ length: 250 }, (_, i) => plane.client.create('pods', pod(`p${i}`)));
    await Promise.all(many);
    const readyCount = async () => (await endpointsOf('hello')).filter(({ conditions }) => conditions?.ready).length;
    await expect.poll(readyCount, { timeout: 20_000 }).toBe(250);
    await plane.controllers.drain();
    await expect.poll(async () => (await slices('hello')).length).toBe(3);
    const before = new Map((await slices('hello')).map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
    for (const { endpoints } of await slices('hello')) expect(endpoints?.length).toBeLessThanOrEqual(100);
    await plane.client.delete('pods', { namespace, name: 'p7' });
    await expect.poll(async () => (await endpointsOf('hello')).length).toBe(249);
    const changed = (await slices('hello')).filter(
      ({ metadata }) => before.get(metadata.name) !== metadata.resourceVersion,
    );
    expect(changed).toHaveLength(1);
  });
});

describe('endpointsController', () => {
  test('endpointsController keeps Endpoints of the same name, and takes them away with the Service', async () => {
    await plane.client.create('services', service('hello'));
    await plane.client.create('pods', pod('a'));
    const subsets = async () => (await plane.client.get('endpoints', { namespace, name: 'hello' })).subsets;
    await expect.poll(async () => (await subsets())?.[0]?.addresses?.[0]?.targetRef?.name).toBe('a');
    expect(await subsets()).toMatchObject([{ ports: [{ name: 'web', port: 8080, protocol: 'TCP' }] }]);
    await agents.setReady(await started('a'), false);
    await expect.poll(async () => (await subsets())?.[0]?.notReadyAddresses?.length).toBe(1);
    expect((await subsets())?.[0]?.addresses).toBeUndefined();
    // They are not somebody's own: nothing mirrors them.
    expect(await slices('hello')).toHaveLength(1);
    await plane.client.delete('services', { namespace, name: 'hello' });
    await expect
      .poll(async () => (await plane.client.list('endpoints', { namespace })).items.map((e) => e.metadata.name))
      .not.toContain('hello');
  });
});

describe('mirroringController', () => {
  const byHand = {
    metadata: { namespace, name: 'outside' },
    subsets: [{ addresses: [{ ip: '10.244.1.3' }, { ip: 'fd00::1' }], ports: [{ port: 8080 }] }],
  };

  test('mirroringController mirrors Endpoints made by hand, one slice for each family, and follows them', async () => {
    await plane.client.create(
      'services',
      service('outside', { selector: undefined as never, ports: [{ port: 80, targetPort: 8080 }] }),
    );
    await plane.client.create('endpoints', byHand);
    await expect
      .poll(async () =>
        (await slices('outside')).map(({ addressType, endpoints }) => [addressType, endpoints?.[0]?.addresses]).sort(),
      )
      .toEqual([
        ['IPv4', ['10.244.1.3']],
        ['IPv6', ['fd00::1']],
      ]);
    const [first] = await slices('outside');
    expect(first?.metadata.labels?.['endpointslice.kubernetes.io/managed-by']).toBe(
      'endpointslicemirroring-controller.k8s.io',
    );
    expect(first?.ports).toMatchObject([{ name: '', port: 8080, protocol: 'TCP' }]);
    await plane.client.patch(
      'endpoints',
      { namespace, name: 'outside' },
      { type: 'merge', body: { subsets: [{ addresses: [{ ip: '192.0.2.9' }], ports: [{ port: 1 }] }] } },
    );
    await expect
      .poll(async () =>
        (await slices('outside')).map(({ ports, endpoints }) => [ports?.[0]?.port, endpoints?.[0]?.addresses]),
      )
      .toEqual([[1, ['192.0.2.9']]]);
    await plane.client.delete('endpoints', { namespace, name: 'outside' });
    await expect.poll(() => slices('outside')).toEqual([]);
  });

  test('mirroringController says when there are more addresses than it mirrors', async () => {
    await plane.client.create('services', service('outside', { selector: undefined as never, ports: [{ port: 80 }] }));
    const addresses = Array.from({ length: 1002 }, (_, i) => ({ ip: `10.9.${i >> 8}.${i & 255}` }));
    await plane.client.create('endpoints', { ...byHand, subsets: [{ addresses, ports: [{ port: 80 }] }] });
    const told = async () =>
      (await plane.client.list('events', { namespace })).items.map(({ reason, message }) => `${reason} ${message}`);
    await expect.poll(told).toContainEqual(expect.stringMatching(/^TooManyAddressesToMirror 2 addresses are in no /));
  });

  test('mirroringController lets Endpoints be that ask for it or that have no Service', async () => {
    await plane.client.create('services', service('outside', { selector: undefined as never, ports: [{ port: 80 }] }));
    const labels = { 'endpointslice.kubernetes.io/skip-mirror': 'true' };
    await plane.client.create('endpoints', { ...byHand, metadata: { ...byHand.metadata, labels } });
    await plane.client.create('endpoints', { ...byHand, metadata: { namespace, name: 'alone' } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await plane.controllers.drain();
    expect([...(await slices('outside')), ...(await slices('alone'))]).toEqual([]);
    expect(await plane.client.get('endpoints', { namespace, name: 'alone' })).toBeDefined();
  });
});
