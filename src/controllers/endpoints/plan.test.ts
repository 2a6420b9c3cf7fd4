import { describe, expect, test } from 'vitest';
import type { Endpoints, Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { planEndpoints } from './plan.ts';

const stored = { uid: 'u', resourceVersion: '1', namespace: 'default' };
const service = (spec: Service['spec'] = {}): Stored<Service> => ({
  metadata: { ...stored, name: 's', labels: { team: 'a' } },
  spec: { clusterIP: '10.96.0.9', ports: [{ port: 80, targetPort: 'http' }], ...spec },
});
function pod(
  name: string,
  ip: string,
  changes: { ready?: boolean; leaving?: boolean; port?: number; portName?: string } = {},
): Stored<Pod> {
  const { ready = true, leaving = false, port = 8080, portName = 'http' } = changes;
  return {
    metadata: { ...stored, name, uid: name, ...(leaving ? { deletionTimestamp: 'now' } : {}) },
    spec: { nodeName: 'n', containers: [{ name: 'c', ports: [{ name: portName, containerPort: port }] }] },
    status: { podIP: ip, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

function plan(pods: readonly Stored<Pod>[], spec: Service['spec'] = {}, existing?: Stored<Endpoints>) {
  return planEndpoints({ service: service(spec), pods, existing, annotations: {} });
}
function written(pods: readonly Stored<Pod>[], spec: Service['spec'] = {}): Endpoints {
  const [write] = plan(pods, spec);
  if (write?.verb !== 'create' || write.resource !== 'endpoints') throw new Error('nothing created');
  return write.object;
}

describe('planEndpoints', () => {
  test('planEndpoints groups addresses by their ports, ready and not, in a stable order', () => {
    const pods = [
      pod('c', '10.0.0.3'),
      pod('a', '10.0.0.1', { ready: false }),
      pod('b', '10.0.0.2'),
      pod('d', '10.0.0.4', { port: 9090 }),
    ];
    const { subsets } = written(pods);
    expect(
      subsets?.map((s) => [s.ports, s.addresses?.map(({ ip }) => ip), s.notReadyAddresses?.map(({ ip }) => ip)]),
    ).toEqual([
      [[{ port: 8080, protocol: 'TCP' }], ['10.0.0.2', '10.0.0.3'], ['10.0.0.1']],
      [[{ port: 9090, protocol: 'TCP' }], ['10.0.0.4'], undefined],
    ]);
    expect(written([...pods].reverse()).subsets).toEqual(subsets);
  });

  test('planEndpoints has no terminating Pod unless what is not ready is published', () => {
    const pods = [pod('a', '10.0.0.1', { leaving: true }), pod('b', '10.0.0.2', { ready: false })];
    expect(written(pods).subsets?.map((s) => [s.addresses, s.notReadyAddresses?.length])).toEqual([[undefined, 1]]);
    expect(written(pods, { publishNotReadyAddresses: true }).subsets?.[0]?.addresses).toHaveLength(2);
  });

  test('planEndpoints leaves a Pod out that has none of the ports, but not where the Service has none', () => {
    const other = pod('a', '10.0.0.1', { portName: 'other' });
    expect(written([other]).subsets).toEqual([]);
    const { subsets, metadata } = written([other], { ports: [], clusterIP: 'None' });
    expect(subsets).toMatchObject([{ addresses: [{ ip: '10.0.0.1', nodeName: 'n', targetRef: { name: 'a' } }] }]);
    expect(metadata?.labels).toEqual({
      team: 'a',
      'service.kubernetes.io/headless': '',
      'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
    });
  });

  test('planEndpoints cuts at 1000 addresses, those not ready first, and says so', () => {
    const pods = Array.from({ length: 1100 }, (_, i) => pod(`p${i}`, `10.1.${i >> 8}.${i & 255}`, { ready: i >= 200 }));
    const { subsets, metadata } = written(pods);
    expect([subsets?.[0]?.addresses?.length, subsets?.[0]?.notReadyAddresses?.length]).toEqual([900, 100]);
    expect(metadata?.annotations).toEqual({ 'endpoints.kubernetes.io/over-capacity': 'truncated' });
  });

  test('planEndpoints writes nothing when nothing changed, and drops the mark of a cut that is over', () => {
    const existing = { ...written([pod('a', '10.0.0.1')]) } as Endpoints;
    const there: Stored<Endpoints> = { ...existing, metadata: { ...existing.metadata, ...stored, name: 's' } };
    expect(plan([pod('a', '10.0.0.1')], {}, there)).toEqual([]);
    expect(plan([pod('a', '10.0.0.9')], {}, there)).toMatchObject([{ verb: 'update' }]);
    const cut = {
      ...there,
      metadata: { ...there.metadata, annotations: { mine: '1', 'endpoints.kubernetes.io/over-capacity': 'truncated' } },
    };
    const [write] = plan([pod('a', '10.0.0.1')], {}, cut);
    expect(write?.verb === 'update' && write.object.metadata?.annotations).toEqual({ mine: '1' });
  });
});
