import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { Accumulator } from '../tracker/accumulator.ts';
import type { ServiceFacts } from '../tracker/service-facts.ts';
import type { SliceFacts } from '../tracker/slice-facts.ts';
import { type ModelChange, ServiceModel } from './service-model.ts';
import type { HealthCheck, NodeFacts, ServicePort } from './types.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [parseIp('192.168.101.3'), parseIp('fd00:101::3')],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const policy = { masqueradeAll: false };

function service(rest: Partial<ServiceFacts> = {}): ServiceFacts {
  return {
    key: 'default/hello',
    created: 1,
    clusterIps: [parseIp('10.96.0.7')],
    externalIps: [],
    loadBalancerIps: [],
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    ports: [{ name: '', protocol: 'TCP', port: 80 }],
    ...rest,
  };
}

function slice(rest: Partial<SliceFacts> = {}): SliceFacts {
  return {
    key: 'default/hello-x',
    service: 'default/hello',
    family: 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    endpoints: [
      { ip: parseIp('10.244.1.2'), node: 'node-1', draining: false },
      { ip: parseIp('10.244.2.2'), node: 'node-2', draining: false },
    ],
    ...rest,
  };
}

/** A model with what feeds it. */
class Scenario {
  readonly services = new Accumulator<ServiceFacts>();
  readonly slices = new Accumulator<SliceFacts>();
  readonly model = new ServiceModel(node, policy);

  set(...facts: readonly (ServiceFacts | SliceFacts)[]): this {
    for (const fact of facts) {
      if ('clusterIps' in fact) this.services.record(fact.key, fact, 0);
      else this.slices.record(fact.key, fact, 0);
    }
    return this;
  }

  step() {
    return this.model.apply({ services: this.services.take(), slices: this.slices.take() });
  }

  frontends(name: string) {
    return this.model.servicePorts
      .get(name)
      ?.frontends.map(({ kind, ip, port, endpoints }) => `${kind} ${ip}:${port} → ${endpoints.map((e) => e.ip)}`);
  }
}

/** A reader of nothing but the changes. */
class Follower {
  readonly servicePorts = new Map<string, ServicePort>();
  readonly healthChecks = new Map<string, HealthCheck>();

  follow(change: ModelChange): void {
    for (const { service, previous, current } of change.healthChecks) {
      expect(previous).toEqual(this.healthChecks.get(service));
      expect(current).not.toEqual(previous);
      if (current === undefined) this.healthChecks.delete(service);
      else this.healthChecks.set(service, current);
    }
    for (const { name, previous, current } of change.servicePorts) {
      expect(previous).toEqual(this.servicePorts.get(name));
      expect(current).not.toEqual(previous);
      if (current === undefined) this.servicePorts.delete(name);
      else this.servicePorts.set(name, current);
    }
  }
}

describe('ServiceModel', () => {
  it('leads a cluster IP to the endpoints of the port of the same name', () => {
    const scenario = new Scenario().set(service(), slice());
    const { servicePorts } = scenario.step();
    expect(servicePorts).toEqual([
      {
        name: 'default/hello',
        previous: undefined,
        current: {
          name: 'default/hello',
          protocol: 'TCP',
          frontends: [
            {
              kind: 'cluster-ip',
              ip: '10.96.0.7',
              port: 80,
              endpoints: [
                { ip: '10.244.1.2', port: 8080, local: true },
                { ip: '10.244.2.2', port: 8080, local: false },
              ],
              whenEmpty: 'reject',
              masquerade: 'off-cluster',
            },
          ],
        },
      },
    ]);
  });

  it('has frontends for every address of the families the Service has', () => {
    const scenario = new Scenario().set(
      service({
        externalIps: [parseIp('192.0.2.1'), parseIp('2001:db8::1')],
        loadBalancerIps: [parseIp('192.0.2.2')],
        ports: [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }],
      }),
      slice(),
    );
    scenario.step();
    expect(scenario.frontends('default/hello')).toEqual([
      'cluster-ip 10.96.0.7:80 → 10.244.1.2,10.244.2.2',
      'load-balancer-ip 192.0.2.2:80 → 10.244.1.2,10.244.2.2',
      'external-ip 192.0.2.1:80 → 10.244.1.2,10.244.2.2',
      'node-port 192.168.101.3:30080 → 10.244.1.2,10.244.2.2',
    ]);
  });

  it('gives each family its own endpoints', () => {
    const clusterIps = [parseIp('10.96.0.7'), parseIp('fd00:10:96::7')];
    const endpoints = [{ ip: parseIp('fd00:244::2'), node: '', draining: false }];
    const scenario = new Scenario().set(
      service({ clusterIps }),
      slice(),
      slice({ key: 'default/hello-6', family: 'IPv6', endpoints }),
    );
    scenario.step();
    expect(scenario.frontends('default/hello')).toEqual([
      'cluster-ip 10.96.0.7:80 → 10.244.1.2,10.244.2.2',
      'cluster-ip fd00:10:96::7:80 → fd00:244::2',
    ]);
  });

  it('keeps Local traffic on the node: endpoints, client address and silence', () => {
    const scenario = new Scenario().set(
      service({
        externalIps: [parseIp('192.0.2.1')],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        ports: [{ name: '', protocol: 'UDP', port: 53 }],
      }),
      slice({
        ports: [{ name: '', protocol: 'UDP', port: 53 }],
        endpoints: [{ ip: parseIp('10.244.2.2'), node: 'node-2', draining: false }],
      }),
    );
    scenario.step();
    expect(scenario.model.servicePorts.get('default/hello')?.frontends).toMatchObject([
      { kind: 'cluster-ip', endpoints: [], whenEmpty: 'drop', masquerade: 'off-cluster' },
      {
        kind: 'external-ip',
        endpoints: [],
        whenEmpty: 'drop',
        masquerade: 'never',
        inside: { endpoints: [{ ip: '10.244.2.2' }], whenEmpty: 'reject', masquerade: 'off-cluster' },
      },
    ]);
    expect(scenario.model.servicePorts.get('default/hello')?.frontends[0]).not.toHaveProperty('inside');
  });

  it('says of a UDP port who serves, whoever is led there, and nothing of the kind of others', () => {
    const ports = [
      { name: 'dns', protocol: 'UDP', port: 53 },
      { name: 'dns-tcp', protocol: 'TCP', port: 53 },
    ] as const;
    const scenario = new Scenario().set(
      service({ internalTrafficPolicy: 'Local', ports }),
      slice({
        ports,
        endpoints: [
          { ip: parseIp('10.244.1.2'), node: 'node-1', draining: false },
          { ip: parseIp('10.244.1.3'), node: 'node-1', draining: true },
          { ip: parseIp('10.244.2.2'), node: 'node-2', draining: false },
        ],
      }),
    );
    scenario.step();
    const port = scenario.model.servicePorts.get('default/hello:dns');
    expect(port?.frontends[0]?.endpoints.map(({ ip }) => ip)).toEqual(['10.244.1.2']);
    expect(port?.serving?.map(({ ip }) => ip)).toEqual(['10.244.1.2', '10.244.1.3', '10.244.2.2']);
    expect(scenario.model.servicePorts.get('default/hello:dns-tcp')).not.toHaveProperty('serving');
  });

  it('refuses everybody at a Local Service that nobody in the cluster serves', () => {
    const scenario = new Scenario().set(
      service({ externalTrafficPolicy: 'Local', loadBalancerIps: [parseIp('192.0.2.2')] }),
    );
    scenario.step();
    expect(scenario.model.servicePorts.get('default/hello')?.frontends[1]).toMatchObject({
      whenEmpty: 'reject',
      inside: { endpoints: [], whenEmpty: 'reject' },
    });
  });

  it('leads to the endpoints meant for the zone, and to all again when the node leaves it', () => {
    const scenario = new Scenario();
    const endpoints = [
      { ip: parseIp('10.244.1.2'), node: 'node-1', draining: false, forZones: ['a'] },
      { ip: parseIp('10.244.2.2'), node: 'node-2', draining: false, forZones: ['b'] },
    ];
    scenario.model.setNode({ ...node, zone: 'b' });
    scenario.set(service(), slice({ endpoints })).step();
    expect(scenario.frontends('default/hello')).toEqual(['cluster-ip 10.96.0.7:80 → 10.244.2.2']);
    scenario.model.setNode(node);
    expect(scenario.frontends('default/hello')).toEqual(['cluster-ip 10.96.0.7:80 → 10.244.1.2,10.244.2.2']);
  });

  it('keeps what balancers may ask: the ready endpoints of this node, each once', () => {
    const scenario = new Scenario();
    const here = { node: 'node-1', draining: false };
    const four = [
      { ...here, ip: parseIp('10.244.1.2') },
      { ...here, ip: parseIp('10.244.1.3') },
      { ...here, ip: parseIp('10.244.1.4'), draining: true },
      { ip: parseIp('10.244.2.2'), node: 'node-2', draining: false },
    ];
    scenario.set(service({ externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 }), slice({ endpoints: four }));
    scenario.set(slice({ key: 'default/hello-y', endpoints: four.slice(0, 1) }));
    const current = { namespace: 'default', name: 'hello', port: 32_000, localEndpoints: 2 };
    expect(scenario.step().healthChecks).toEqual([{ service: 'default/hello', previous: undefined, current }]);
    expect(scenario.model.healthChecks).toEqual(new Map([['default/hello', current]]));

    const { healthChecks } = scenario.set(slice({ endpoints: [] })).step();
    expect(healthChecks).toEqual([
      { service: 'default/hello', previous: current, current: { ...current, localEndpoints: 1 } },
    ]);
    expect(scenario.set(slice({ endpoints: four.slice(0, 1) })).step().healthChecks).toEqual([]);
    scenario.set(service());
    expect(scenario.step().healthChecks).toMatchObject([{ service: 'default/hello', current: undefined }]);
    expect(scenario.model.healthChecks.size).toBe(0);
  });

  it('confines load-balancer addresses to the source ranges, family by family', () => {
    const scenario = new Scenario().set(
      service({
        loadBalancerIps: [parseIp('192.0.2.2')],
        sourceRanges: [parseCidr('10.0.0.0/8'), parseCidr('fd00::/8')],
      }),
    );
    scenario.step();
    expect(scenario.model.servicePorts.get('default/hello')?.frontends).toMatchObject([
      { kind: 'cluster-ip' },
      { kind: 'load-balancer-ip', sourceRanges: [parseCidr('10.0.0.0/8')] },
    ]);
    expect(scenario.model.servicePorts.get('default/hello')?.frontends[0]).not.toHaveProperty('sourceRanges');
  });

  it('touches only the Service a slice belongs to', () => {
    const scenario = new Scenario().set(
      service(),
      service({ key: 'default/other', clusterIps: [parseIp('10.96.0.8')] }),
    );
    scenario.step();
    const untouched = scenario.model.servicePorts.get('default/other');
    const { servicePorts } = scenario.set(slice()).step();
    expect(servicePorts.map(({ name }) => name)).toEqual(['default/hello']);
    expect(scenario.model.servicePorts.get('default/other')).toBe(untouched);
  });

  it('follows a slice that goes over to another Service', () => {
    const scenario = new Scenario().set(
      service(),
      service({ key: 'default/other', clusterIps: [parseIp('10.96.0.8')] }),
      slice(),
    );
    scenario.step();
    scenario.set(slice({ service: 'default/other' })).step();
    expect(scenario.frontends('default/hello')).toEqual(['cluster-ip 10.96.0.7:80 → ']);
    expect(scenario.frontends('default/other')).toEqual(['cluster-ip 10.96.0.8:80 → 10.244.1.2,10.244.2.2']);
  });

  it('says nothing when a change does not matter here', () => {
    const scenario = new Scenario().set(service({ ports: [] }), slice());
    expect(scenario.step().servicePorts).toEqual([]);
    expect(scenario.set(slice({ service: 'default/unknown', key: 'default/y' })).step().servicePorts).toEqual([]);
    expect(scenario.model.setNode(structuredClone(node))).toEqual({ servicePorts: [], contests: [], healthChecks: [] });
  });

  it('moves node ports when the addresses of the node change', () => {
    const ports = [{ name: '', protocol: 'TCP', port: 80, nodePort: 30080 }] as const;
    const scenario = new Scenario().set(service({ ports }));
    scenario.step();
    const { servicePorts } = scenario.model.setNode({ ...node, nodePortAddresses: [parseIp('192.168.101.9')] });
    expect(servicePorts.map(({ name }) => name)).toEqual(['default/hello']);
    expect(scenario.frontends('default/hello')?.[1]).toBe('node-port 192.168.101.9:30080 → ');
  });

  it('gives a frontend that two Services claim to the older one, and hands it over when that goes', () => {
    const externalIps = [parseIp('192.0.2.1')];
    const older = service({ key: 'b/older', clusterIps: [parseIp('10.96.0.8')], externalIps, created: 1 });
    const newer = service({ externalIps, created: 2 });
    const scenario = new Scenario().set(newer);
    scenario.step();
    const taken = scenario.set(older).step();
    expect(taken.servicePorts.map(({ name }) => name).sort()).toEqual(['b/older', 'default/hello']);
    expect(taken.contests).toEqual([
      { frontend: 'TCP 192.0.2.1 80', previousOwner: 'default/hello', owner: 'b/older', waiting: ['default/hello'] },
    ]);
    expect(scenario.frontends('default/hello')).toEqual(['cluster-ip 10.96.0.7:80 → ']);

    scenario.services.record('b/older', undefined, 0);
    const handedOver = scenario.step();
    expect(handedOver.contests).toEqual([
      { frontend: 'TCP 192.0.2.1 80', previousOwner: 'b/older', owner: 'default/hello', waiting: [] },
    ]);
    expect(scenario.frontends('default/hello')).toHaveLength(2);
  });
});

describe('ServiceModel, over random histories', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const port = fc.constantFrom(1, 2);
  const v4 = fc.nat(3).map((n) => parseIp(`10.0.0.${n}`));
  const v6 = fc.nat(3).map((n) => parseIp(`fd00::${n}`));
  const protocol = fc.constantFrom('TCP', 'UDP' as const);
  const trafficPolicy = fc.constantFrom('Cluster', 'Local' as const);
  const clusterIps: fc.Arbitrary<Ip[]> = fc.oneof(fc.tuple(v4), fc.tuple(v6), fc.tuple(v4, v6));

  const aService: fc.Arbitrary<ServiceFacts> = fc.record({
    key: name.map((n) => `ns/${n}`),
    created: fc.nat(2),
    clusterIps,
    externalIps: fc.array(fc.oneof(v4, v6), { maxLength: 2 }),
    loadBalancerIps: fc.array(v4, { maxLength: 1 }),
    internalTrafficPolicy: trafficPolicy,
    externalTrafficPolicy: trafficPolicy,
    ports: fc.uniqueArray(fc.record({ name: fc.constantFrom('', 'p', 'q'), protocol, port, nodePort: port }), {
      maxLength: 2,
      selector: (p) => p.name,
    }),
  });
  const aBalancedService = fc
    .record({ facts: aService, affinitySeconds: fc.constantFrom(1, 60), healthCheckNodePort: port })
    .map(({ facts, ...rest }): ServiceFacts => ({ ...facts, ...rest, sourceRanges: [parseCidr('10.0.0.0/31')] }));
  const aSlice: fc.Arbitrary<SliceFacts> = fc
    .record({
      key: name.map((n) => `ns/${n}-x`),
      service: name.map((n) => `ns/${n}`),
      ports: fc.array(fc.record({ name: fc.constantFrom('', 'p'), protocol, port }), { maxLength: 2 }),
      members: fc.array(
        fc.record(
          {
            n: fc.nat(3),
            node: fc.constantFrom('node-1', 'node-2'),
            draining: fc.boolean(),
            forNodes: fc.constantFrom(['node-1'], ['node-2']),
            forZones: fc.constantFrom(['a'], ['b'], ['a', 'b']),
          },
          { requiredKeys: ['n', 'node', 'draining'] },
        ),
      ),
      family: fc.constantFrom('IPv4', 'IPv6' as const),
    })
    .map(({ members, ...rest }) => ({
      ...rest,
      endpoints: members.map(({ n, ...facts }) => ({
        ...facts,
        ip: parseIp(rest.family === 'IPv4' ? `10.1.0.${n}` : `fd01::${n}`),
      })),
    }));
  const aNode: fc.Arbitrary<NodeFacts> = fc.record({
    name: fc.constant('node-1'),
    zone: fc.constantFrom(undefined, 'a', 'b'),
    nodePortAddresses: fc.uniqueArray(fc.oneof(v4, v6), { maxLength: 2 }),
    addresses: fc.array(v4, { maxLength: 1 }),
    nodePortsEverywhere: fc.constant([]),
    localTraffic: fc.constantFrom([], [parseCidr('10.1.0.0/16')]).map((blocks) => ({ by: 'source' as const, blocks })),
  });
  const event = fc.oneof(
    fc.record({ kind: fc.constant('service' as const), service: fc.oneof(aService, aBalancedService) }),
    fc.record({ kind: fc.constant('slice' as const), slice: aSlice }),
    fc.record({ kind: fc.constant('gone' as const), key: name }),
    fc.record({ kind: fc.constant('node' as const), node: aNode }),
    fc.constant({ kind: 'take' as const }),
  );

  type Event = typeof event extends fc.Arbitrary<infer E> ? E : never;

  function play(e: Event, scenario: Scenario, follower: Follower): void {
    if (e.kind === 'service') scenario.set(e.service);
    else if (e.kind === 'slice') scenario.set(e.slice);
    else if (e.kind === 'node') follower.follow(scenario.model.setNode(e.node));
    else if (e.kind === 'take') follower.follow(scenario.step());
    else {
      scenario.services.record(`ns/${e.key}`, undefined, 0);
      scenario.slices.record(`ns/${e.key}-x`, undefined, 0);
    }
  }

  it('equals the model from scratch, and its changes lead from each state to the next', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const scenario = new Scenario();
        const follower = new Follower();
        for (const e of events) play(e, scenario, follower);
        follower.follow(scenario.step());

        const scratch = new Scenario();
        const facts = [...scenario.slices.latest.values(), ...scenario.services.latest.values()].reverse();
        scratch.model.setNode(scenario.model.node);
        scratch.set(...facts).step();
        expect(new Map(scenario.model.servicePorts)).toEqual(new Map(scratch.model.servicePorts));
        expect(follower.servicePorts).toEqual(new Map(scenario.model.servicePorts));
        expect(new Map(scenario.model.healthChecks)).toEqual(new Map(scratch.model.healthChecks));
        expect(follower.healthChecks).toEqual(new Map(scenario.model.healthChecks));

        for (const key of scenario.services.latest.keys()) scenario.services.record(key, undefined, 0);
        for (const key of scenario.slices.latest.keys()) scenario.slices.record(key, undefined, 0);
        follower.follow(scenario.step());
        expect([follower.servicePorts.size, follower.healthChecks.size]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });

  it('never lets two Service ports have one frontend', () => {
    fc.assert(
      fc.property(fc.array(aService, { maxLength: 6 }), (services) => {
        const scenario = new Scenario().set(...services);
        scenario.step();
        const all = [...scenario.model.servicePorts.values()].flatMap(({ protocol, frontends }) =>
          frontends.map(({ ip, port }) => `${protocol} ${ip} ${port}`),
        );
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });
});
