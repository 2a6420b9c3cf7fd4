import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { emptyZone, externalName, name, pod, service, slice } from './testing/objects.ts';
import { dump, plainDump, type World, type WorldOptions } from './testing/plain-zone.ts';
import { labelsOf } from './wire/name.ts';
import type { ClusterZone } from './zone.ts';

const namespaces = ['one', 'two', 'kube-system'];
const serviceKeys = ['one/a', 'one/b', 'two/a', 'kube-system/kube-dns'];
const portTexts = ['80', 'http:80', 'http:81', 'dns:53/UDP', 'dns-tcp:53'];
const anyPorts = fc.uniqueArray(fc.constantFrom(...portTexts), { maxLength: 3 });
const anyService = fc.oneof(
  fc.tuple(fc.uniqueArray(fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1'), { minLength: 1 }), anyPorts),
  fc.tuple(fc.constant(['None']), anyPorts),
);
const services = fc.oneof(
  anyService.map(([ips, ports]) => service(ips, ...ports)),
  fc.constantFrom('example.com', 'a.one.svc.cluster.local').map(externalName),
);
const endpoints = fc.uniqueArray(
  fc.constantFrom(
    ...['10.1.0.1', '10.1.0.2@x', '10.1.0.3@x', '!10.1.0.4', '10.1.0.4', 'fd00::2', 'fd00::2@x'],
    ...['10.1.0.5#pod-5', '10.1.0.5@x#pod-5', 'fd00::2#pod-5'],
  ),
);
const slices = fc
  .tuple(fc.constantFrom('a', 'b', 'kube-dns', 'none'), endpoints, anyPorts)
  .map(([owner, list, ports]) => slice(owner, list, ...ports));
const pods = fc
  .tuple(
    fc.uniqueArray(fc.constantFrom('10.1.0.1', '10.1.0.2', 'fd00::2'), { maxLength: 2 }),
    fc.constantFrom('Pending', 'Running', 'Failed'),
  )
  .map(([ips, phase]) => pod(ips, phase));
const sliceKeys = ['one/s1', 'one/s2', 'one/s3', 'two/s1', 'kube-system/s1'];

const anyStep = fc.oneof(
  fc.record({ kind: fc.constant('namespaces' as const), key: fc.constantFrom(...namespaces), exists: fc.boolean() }),
  fc.record({
    kind: fc.constant('services' as const),
    key: fc.constantFrom(...serviceKeys),
    object: fc.option(services),
  }),
  fc.record({ kind: fc.constant('slices' as const), key: fc.constantFrom(...sliceKeys), object: fc.option(slices) }),
  fc.record({ kind: fc.constant('pods' as const), key: fc.constantFrom('one/p', 'one/q'), object: fc.option(pods) }),
);
/** Half the runs are about a cluster as it is by default. */
const reverseZones = ['in-addr.arpa.', 'ip6.arpa.'];
const usual = {
  zones: ['cluster.local.', ...reverseZones],
  pods: 'insecure' as const,
  endpointPodNames: false,
  namespaces: [],
  ignoreEmptyService: false,
};
const anyOptions: fc.Arbitrary<WorldOptions> = fc.oneof(
  fc.constant(usual),
  fc.record({
    zones: fc.constantFrom(
      ['cluster.local.', ...reverseZones],
      ['cluster.local.', 'example.test.', 'k8s.example.test.', '0.1.10.in-addr.arpa.'],
      ['cluster.local.', 'in-addr.arpa.', '10.in-addr.arpa.', '0.0.0.0.d.f.ip6.arpa.'],
    ),
    pods: fc.constantFrom('disabled', 'insecure', 'verified'),
    endpointPodNames: fc.boolean(),
    namespaces: fc.constantFrom([], ['one', 'kube-system'], ['two', 'gone']),
    ignoreEmptyService: fc.boolean(),
  }),
);
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

/** Makes one change to both. */
function apply(step: Step, zone: ClusterZone, world: World): void {
  if (step.kind === 'namespaces') {
    zone.setNamespace(step.key, step.exists);
    if (step.exists) world.namespaces.add(step.key);
    else world.namespaces.delete(step.key);
  } else if (step.kind === 'services') {
    zone.setService(step.key, step.object ?? undefined);
    put(world.services, step.key, step.object);
  } else if (step.kind === 'pods') {
    zone.setPod(step.key, step.object ?? undefined);
    put(world.pods, step.key, step.object);
  } else {
    zone.setEndpointSlice(step.key, step.object ?? undefined);
    put(world.slices, step.key, step.object);
  }
}

function put<T>(map: Map<string, T>, key: string, object: T | null): void {
  if (object === null) map.delete(key);
  else map.set(key, object);
}

describe('ClusterZone', () => {
  test('has addresses of its own for the name server as long as no Service has some', () => {
    const zone = emptyZone({ ownIps: [parseIp('192.0.2.53')] });
    const addresses = () => {
      const names = dump(zone);
      return ['cluster.local', 'in-addr.arpa', 'ip6.arpa'].map((apex) => names.get(`ns.dns.${apex}.`)?.join());
    };
    const all = (ip: string) => Array.from({ length: 3 }, () => `1 ${ip}`);
    expect(addresses()).toEqual(all('192.0.2.53'));
    zone.setNamespace('kube-system', true);
    zone.setService('kube-system/kube-dns', service([], 'dns:53/UDP'));
    expect(addresses()).toEqual(all('192.0.2.53'));
    zone.setService('kube-system/kube-dns', service(['10.96.0.10'], 'dns:53/UDP'));
    expect(addresses()).toEqual(all('10.96.0.10'));
    zone.setNamespace('kube-system', false);
    zone.setService('kube-system/kube-dns', undefined);
    expect(addresses()).toEqual(all('192.0.2.53'));
  });

  test('has what a plain reading of the objects has, after any series of changes', () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anyStep, { maxLength: 40 }), (options, changes) => {
        const zone = emptyZone({ ...options, zones: options.zones.map(name) });
        const world: World = { namespaces: new Set(), services: new Map(), slices: new Map(), pods: new Map() };
        for (const step of changes) {
          // Pods are followed only where they are asked for.
          if (step.kind === 'pods' && options.pods !== 'verified') continue;
          apply(step, zone, world);
        }
        expect(sorted(dump(zone))).toEqual(sorted(plainDump(world, options)));
      }),
      { numRuns: 500 },
    );
  });

  test('is as empty as at first when all objects are gone again', () => {
    const zone = emptyZone();
    const before = dump(zone);
    zone.setNamespace('one', true);
    zone.setService('one/a', service(['None'], 'http:80'));
    zone.setEndpointSlice('one/s1', slice('a', ['10.1.0.1', 'fd00::2@x'], 'http:80'));
    expect(dump(zone).size).toBeGreaterThan(before.size);
    zone.setService('one/a', undefined);
    zone.setNamespace('one', false);
    zone.setEndpointSlice('one/s1', undefined);
    expect(dump(zone)).toEqual(before);
  });

  test('knows endpoints that came before their Service', () => {
    const zone = emptyZone();
    zone.setNamespace('one', true);
    zone.setEndpointSlice('one/s1', slice('a', ['10.1.0.1']));
    expect(zone.find(name('a.one.svc.cluster.local'))).toBeUndefined();
    zone.setService('one/a', service(['None']));
    expect(dump(zone).get('a.one.svc.cluster.local.')).toEqual(['1 10.1.0.1']);
  });

  test('takes endpoints of unknown readiness for ready, and none of slices without a Service', () => {
    const zone = emptyZone();
    zone.setNamespace('one', true);
    zone.setService('one/a', service(['None']));
    zone.setEndpointSlice('one/s1', { ...slice('a', []), endpoints: [{ addresses: ['10.1.0.1'] }] });
    zone.setEndpointSlice('one/s2', { ...slice('a', ['10.1.0.2']), metadata: {} });
    expect(dump(zone).get('a.one.svc.cluster.local.')).toEqual(['1 10.1.0.1']);
  });

  test('moves a slice to another Service with its label', () => {
    const zone = emptyZone();
    zone.setNamespace('one', true);
    zone.setService('one/a', service(['None']));
    zone.setService('one/b', service(['None']));
    zone.setEndpointSlice('one/s1', slice('a', ['10.1.0.1']));
    zone.setEndpointSlice('one/s1', slice('b', ['10.1.0.1']));
    expect(zone.find(name('a.one.svc.cluster.local'))).toBeUndefined();
    expect(dump(zone).get('b.one.svc.cluster.local.')).toEqual(['1 10.1.0.1']);
    zone.setEndpointSlice('one/s1', { ...slice('b', ['10.1.0.1']), metadata: {} });
    expect(zone.find(name('b.one.svc.cluster.local'))).toBeUndefined();
  });

  test('passes over what is no address, no name and no port', () => {
    const zone = emptyZone();
    zone.setNamespace('one', true);
    zone.setService('one/a', service(['None']));
    zone.setService('one/odd', externalName('a..b'));
    const odd = slice('a', ['host.example.com', '10.1.0.1']);
    zone.setEndpointSlice('one/s1', { ...odd, ports: [{ name: 'any', protocol: 'TCP' }] });
    zone.setEndpointSlice('one/s2', { ...slice('a', ['10.1.0.9']), addressType: 'FQDN' });
    expect(dump(zone).get('a.one.svc.cluster.local.')).toEqual(['1 10.1.0.1']);
    expect(zone.find(name('odd.one.svc.cluster.local'))).toBeUndefined();
  });

  test('has a serial that grows with answers, and only with them', () => {
    const zone = emptyZone({ now: () => 4_000 });
    expect(zone.serial).toBe(4);
    zone.setNamespace('one', true);
    expect(zone.serial).toBe(5);
    zone.setService('one/a', service(['10.0.0.1']));
    expect(zone.serial).toBe(6);
    zone.setService('one/a', service(['10.0.0.1']));
    zone.setEndpointSlice('one/s1', slice('a', ['!10.1.0.1']));
    zone.setNamespace('one', true);
    expect(zone.serial).toBe(6);
    zone.setEndpointSlice('one/s1', slice('a', ['10.1.0.1']));
    expect(zone.serial).toBe(7);
  });

  test('names endpoints after their Pod, where that is asked for and makes a label', () => {
    const zone = emptyZone({ endpointPodNames: true });
    zone.setNamespace('one', true);
    zone.setService('one/a', service(['None']));
    const endpoints = ['10.1.0.1#web-0', '10.1.0.2@x#web-1', '10.1.0.3#web.2', `10.1.0.4#${'x'.repeat(64)}`];
    zone.setEndpointSlice('one/s1', slice('a', endpoints));
    const found = [...dump(zone).keys()].filter((owner) => owner.endsWith('.a.one.svc.cluster.local.'));
    expect(found.map((owner) => owner.split('.')[0])).toEqual(['web-0', 'x', '10-1-0-3', '10-1-0-4']);
  });

  test('needs a cluster domain among its zones', () => {
    expect(() => emptyZone({ zones: [name('in-addr.arpa')] })).toThrow(RangeError);
  });

  test('finds the zone of a name by whole labels', () => {
    const zone = emptyZone();
    const apexOf = (text: string) => {
      const found = zone.zoneOf(name(text));
      return found && labelsOf(found.apex).join('.');
    };
    expect(apexOf('a.b.cluster.local')).toBe('cluster.local');
    expect(apexOf('CLUSTER.local')).toBe('cluster.local');
    expect(apexOf('notcluster.local')).toBeUndefined();
    expect(apexOf('1.in-addr.arpa')).toBe('in-addr.arpa');
    expect(apexOf('1.ip6.arpa')).toBe('ip6.arpa');
    expect(apexOf('arpa')).toBeUndefined();
  });

  test('spells no Pod addresses where that is disabled', () => {
    const zone = emptyZone({ pods: 'disabled' });
    zone.setNamespace('one', true);
    expect(zone.podRecord(name('10-0-0-1.one.pod.cluster.local'))).toBeUndefined();
    expect(zone.find(name('one.pod.cluster.local'))).toBeUndefined();
  });
});

function sorted(map: ReadonlyMap<string, string[]>): [string, string[]][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}
