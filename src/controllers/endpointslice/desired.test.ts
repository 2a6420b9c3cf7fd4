import { describe, expect, test } from 'vitest';
import type { Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { desiredGroups } from './desired.ts';

const stored = { uid: 'u', resourceVersion: '1', namespace: 'default' };
const service = (spec: Service['spec'] = {}): Stored<Service> => ({
  metadata: { ...stored, name: 'web' },
  spec: {
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
    clusterIP: '10.96.0.9',
    ipFamilies: ['IPv4'],
    ...spec,
  },
});
function pod(
  name: string,
  changes: { ready?: boolean; leaving?: boolean; spec?: Partial<Pod['spec']>; status?: Pod['status'] } = {},
): Stored<Pod> {
  return {
    metadata: {
      ...stored,
      name,
      uid: `uid-${name}`,
      ...(changes.leaving === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: {
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }],
      nodeName: 'n1',
      ...changes.spec,
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: '10.244.1.2' }, { ip: 'fd00::2' }],
      conditions: [{ type: 'Ready', status: changes.ready === false ? 'False' : 'True' }],
      ...changes.status,
    },
  };
}
const zoneOf = (node: string) => (node === 'n1' ? 'zone-a' : undefined);
const groups = (spec: Service['spec'], ...pods: Stored<Pod>[]) =>
  desiredGroups({ service: service(spec), pods, zoneOf });
const only = (spec: Service['spec'], p: Stored<Pod>) => groups(spec, p)[0]?.endpoints[0];

describe('desiredGroups', () => {
  test.each([
    ['serving', {}, {}, { ready: true, serving: true, terminating: false }],
    ['not ready', {}, { ready: false }, { ready: false, serving: false, terminating: false }],
    ['terminating and still ready', {}, { leaving: true }, { ready: false, serving: true, terminating: true }],
    [
      'terminating, no longer ready',
      {},
      { leaving: true, ready: false },
      { ready: false, serving: false, terminating: true },
    ],
    [
      'published unready',
      { publishNotReadyAddresses: true },
      { ready: false },
      { ready: true, serving: false, terminating: false },
    ],
    [
      'published terminating',
      { publishNotReadyAddresses: true },
      { leaving: true },
      { ready: true, serving: true, terminating: true },
    ],
  ])('desiredGroups says of a Pod that is %s', (_what, spec, changes, conditions) => {
    expect(only(spec, pod('a', changes))?.conditions).toEqual(conditions);
  });

  test('desiredGroups says for whom a ready endpoint is meant, as its Service wishes', () => {
    const spec = { trafficDistribution: 'PreferSameNode' };
    const hints = { forNodes: [{ name: 'n1' }], forZones: [{ name: 'zone-a' }] };
    expect(only(spec, pod('a'))?.hints).toEqual(hints);
    expect(only(spec, pod('a', { leaving: true }))).not.toHaveProperty('hints');
    expect(only({}, pod('a'))).not.toHaveProperty('hints');
  });

  test('desiredGroups leaves Pods out that have ended or have no address, and says so with an empty group', () => {
    const none = [{ addressType: 'IPv4', ports: [], endpoints: [] }];
    expect(groups({}, pod('a', { status: { phase: 'Succeeded', podIP: '10.0.0.1' } }))).toEqual(none);
    expect(groups({}, pod('a', { status: { phase: 'Pending', podIPs: [] } }))).toEqual(none);
    expect(groups({})).toEqual(none);
  });

  test('desiredGroups gives each family of the Service its own addresses', () => {
    const dual = groups({ ipFamilies: ['IPv6', 'IPv4'] }, pod('a'));
    expect(dual.map(({ addressType, endpoints }) => [addressType, endpoints[0]?.addresses])).toEqual([
      ['IPv6', ['fd00::2']],
      ['IPv4', ['10.244.1.2']],
    ]);
  });

  test('desiredGroups resolves port names by protocol, sidecars included, and leaves names out that nobody has', () => {
    const spec = {
      ports: [
        { name: 'a', port: 1, targetPort: 'http' },
        { name: 'b', port: 2, targetPort: 'side', protocol: 'UDP', appProtocol: 'x' },
        { name: 'c', port: 3, targetPort: 'nobody' },
        { name: 'd', port: 4, targetPort: 'side' },
        { name: 'e', port: 5 },
      ],
    };
    const side = { name: 's', restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 99, protocol: 'UDP' }] };
    const [group] = groups(spec, pod('a', { spec: { initContainers: [side] } }));
    expect(group?.ports).toEqual([
      { name: 'a', port: 8080, protocol: 'TCP' },
      { name: 'b', port: 99, protocol: 'UDP', appProtocol: 'x' },
      { name: 'e', port: 5, protocol: 'TCP' },
    ]);
  });

  test('desiredGroups puts Pods with other numbers for a name into a group of their own', () => {
    const other = pod('b', { spec: { containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 9090 }] }] } });
    const found = groups({ ports: [{ port: 80, targetPort: 'http' }] }, pod('a'), other);
    expect(found.map(({ ports, endpoints }) => [ports[0]?.port, endpoints.length])).toEqual([
      [8080, 1],
      [9090, 1],
    ]);
  });

  test('desiredGroups gives a host name only to a Pod that asks for this Service as its subdomain', () => {
    expect(only({}, pod('a', { spec: { hostname: 'db-0', subdomain: 'web' } }))?.hostname).toBe('db-0');
    expect(only({}, pod('a', { spec: { hostname: 'db-0', subdomain: 'other' } }))).not.toHaveProperty('hostname');
    expect(only({}, pod('a', { spec: { subdomain: 'web' } }))).not.toHaveProperty('hostname');
  });

  test('desiredGroups tells node, zone and Pod', () => {
    expect(only({}, pod('a'))).toMatchObject({
      nodeName: 'n1',
      zone: 'zone-a',
      targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' },
    });
    expect(only({}, pod('a', { spec: { nodeName: 'n2' } }))).not.toHaveProperty('zone');
  });
});
