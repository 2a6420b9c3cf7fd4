import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Destination, Endpoint, Frontend, LocalTraffic, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type Ip, type IpFamily, parseIp } from '../../net/ip.ts';
import { ElementStore, elementTransaction } from '../../rules/nftables/elements.ts';
import { PacketWalker } from '../../rules/nftables/walk.ts';
import type { Packet, WalkResult } from '../../rules/packet.ts';
import { compileBase } from './compile.ts';
import { compileProgram } from './program.ts';
import { beforeOf, compileServicePort } from './service.ts';

const addresses = {
  IPv4: {
    node: '192.168.101.3',
    service: '10.96.0.10',
    external: '192.168.102.4',
    pod: '10.244.1.2',
    otherPod: '10.244.2.2',
    client: '192.168.102.100',
  },
  IPv6: {
    node: 'fd00:101::3',
    service: 'fd00:96::10',
    external: 'fd00:102::4',
    pod: 'fd00:244:1::2',
    otherPod: 'fd00:244:2::2',
    client: 'fd00:102::100',
  },
} as const;

const facts: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [parseIp('192.168.101.3'), parseIp('fd00:101::3')],
  nodePortsEverywhere: [],
  localTraffic: {
    by: 'source',
    blocks: [parseCidr('10.244.0.0/16'), parseCidr('10.244.1.0/24'), parseCidr('fd00:244::/32')],
  },
};

/** Sends packets through what is compiled of some Service ports. */
class Node {
  readonly at: (typeof addresses)[IpFamily];
  readonly #family: IpFamily;
  readonly #servicePorts = new Map<string, ServicePort>();
  readonly #localTraffic: LocalTraffic;
  #walker: PacketWalker | undefined;
  /** Seconds: by this clock clients are remembered. */
  now = 0;
  random = Math.random;

  constructor(family: IpFamily, localTraffic: LocalTraffic = facts.localTraffic) {
    this.#family = family;
    this.#localTraffic = localTraffic;
    this.at = addresses[family];
  }

  serve(port: ServicePort): this {
    this.#servicePorts.set(port.name, port);
    this.#walker = undefined;
    return this;
  }

  endpoint(ip: string, local = false): Endpoint {
    return { ip: parseIp(ip), port: 8080, local };
  }

  port(overrides: Partial<Frontend> = {}, protocol: ServicePort['protocol'] = 'TCP'): ServicePort {
    const frontend: Frontend = {
      kind: 'cluster-ip',
      ip: parseIp(this.at.service),
      port: 80,
      endpoints: [this.endpoint(this.at.pod, true), this.endpoint(this.at.otherPod)],
      whenEmpty: 'reject',
      masquerade: 'off-cluster',
      ...overrides,
    };
    return { name: 'default/web', protocol, frontends: [frontend] };
  }

  send(
    packet: Partial<Omit<Packet, 'source' | 'destination'>> & { source: string; destination: string },
    random = Math.random,
  ): WalkResult {
    this.random = random;
    this.#walker ??= this.#newWalker();
    return this.#walker.walk({
      from: 'network',
      protocol: 'tcp',
      port: 80,
      ...packet,
      source: parseIp(packet.source),
      destination: parseIp(packet.destination),
    });
  }

  #newWalker(): PacketWalker {
    const node = { ...facts, localTraffic: this.#localTraffic };
    return new PacketWalker(compileProgram({ node, servicePorts: this.#servicePorts }, this.#family), {
      isLocal: (ip: Ip) => ip === this.at.node || ip === this.at.external,
      random: (modulus) => Math.floor(this.random() * modulus),
      chance: (probability) => this.random() < probability,
      now: () => this.now,
    });
  }
}

describe.each(['IPv4', 'IPv6'] as const)('the compiled table, %s:', (family) => {
  const { node, service, external, pod, otherPod, client } = addresses[family];
  const served = () => new Node(family).serve(new Node(family).port());

  test('a Pod reaches each endpoint of a cluster IP, by its own address', () => {
    const results = [0, 0.6].map((random) => served().send({ ...sourcePod(), destination: service }, () => random));
    expect(results.map((result) => result.destination)).toEqual([pod, otherPod]);
    for (const result of results) {
      expect(result).toMatchObject({ verdict: 'accept', port: 8080, translated: true, masqueraded: false });
    }
  });

  function sourcePod(): { source: string } {
    return { source: family === 'IPv4' ? '10.244.9.9' : 'fd00:244:9::9' };
  }

  test('a process of the node reaches a cluster IP', () => {
    const result = served().send({ from: 'node', source: node, destination: service });
    expect(result).toMatchObject({ verdict: 'accept', translated: true });
    expect([pod, otherPod]).toContain(result.destination);
  });

  test('a client outside is masqueraded on the way to a cluster IP', () => {
    expect(served().send({ source: client, destination: service })).toMatchObject({
      translated: true,
      masqueraded: true,
    });
  });

  test('nobody is masqueraded where the model says never', () => {
    const port = new Node(family).port({ kind: 'external-ip', ip: parseIp(external), masquerade: 'never' });
    const result = new Node(family).serve(port).send({ source: client, destination: external });
    expect(result).toMatchObject({ translated: true, masqueraded: false });
  });

  test('everybody is masqueraded where the model says always', () => {
    const port = new Node(family).port({ kind: 'node-port', ip: parseIp(node), port: 30080, masquerade: 'always' });
    for (const { source } of [{ source: client }, sourcePod()]) {
      const result = new Node(family).serve(port).send({ source, destination: node, port: 30080 });
      expect(result).toMatchObject({ verdict: 'accept', translated: true, masqueraded: true });
    }
  });

  test('a Pod that is sent back to itself is masqueraded', () => {
    const one = new Node(family).port({ endpoints: [new Node(family).endpoint(pod, true)] });
    expect(new Node(family).serve(one).send({ source: pod, destination: service })).toMatchObject({
      destination: pod,
      masqueraded: true,
    });
  });

  test('without endpoint, TCP is reset and UDP refused, from Pods, from the node and at the node', () => {
    const nobody = new Node(family)
      .serve(new Node(family).port({ endpoints: [] }))
      .serve({ ...new Node(family).port({ endpoints: [] }, 'UDP'), name: 'default/udp' })
      .serve({
        ...new Node(family).port({ endpoints: [], kind: 'node-port', ip: parseIp(node), port: 30080 }),
        name: 'default/node-port',
      });
    expect(nobody.send({ ...sourcePod(), destination: service }).verdict).toBe('reset');
    expect(nobody.send({ ...sourcePod(), destination: service, protocol: 'udp' }).verdict).toBe('reject');
    expect(nobody.send({ from: 'node', source: node, destination: service }).verdict).toBe('reset');
    expect(nobody.send({ source: client, destination: node, port: 30080 }).verdict).toBe('reset');
  });

  test('without endpoint, there is silence where another node would answer', () => {
    const port = new Node(family).port({
      kind: 'external-ip',
      ip: parseIp(external),
      endpoints: [],
      whenEmpty: 'drop',
    });
    expect(new Node(family).serve(port).send({ source: client, destination: external }).verdict).toBe('drop');
  });

  test('a port that no Service has is refused on a cluster IP, and nowhere else', () => {
    expect(served().send({ ...sourcePod(), destination: service, port: 81 }).verdict).toBe('reset');
    expect(served().send({ from: 'node', source: node, destination: service, port: 81 }).verdict).toBe('reset');
    expect(served().send({ ...sourcePod(), destination: node, port: 22 })).toMatchObject({
      verdict: 'accept',
      translated: false,
    });
  });

  test('the protocol is part of what is served', () => {
    expect(served().send({ ...sourcePod(), destination: service, protocol: 'udp' }).verdict).toBe('reject');
  });

  test('what is not for a Service meets one rule of address translation', () => {
    const { steps } = served().send({ ...sourcePod(), destination: otherPod, port: 8080 });
    expect(steps.filter((step) => step.hook === 'prerouting')).toEqual([
      expect.objectContaining({ chain: 'nat-prerouting', index: 0, matched: false }),
    ]);
  });

  const first = () => 0;
  const last = () => 0.999;
  const twoFrontends = (node: Node): ServicePort => {
    const clusterIp = node.port().frontends;
    const nodePort = node.port({ kind: 'node-port', ip: parseIp(node.at.node), port: 30080, masquerade: 'always' });
    return { ...node.port(), frontends: [...clusterIp, ...nodePort.frontends], affinitySeconds: 60 };
  };

  test('with session affinity a client stays for as long as it comes back in time', () => {
    const place = new Node(family);
    place.serve(twoFrontends(place));
    const call = (random: () => number) => place.send({ ...sourcePod(), destination: service }, random).destination;
    expect(call(first)).toBe(pod);
    for (place.now = 59; place.now < 400; place.now += 59) expect(call(last)).toBe(pod);
    place.now += 60;
    expect(call(last)).toBe(otherPod);
    expect(call(first)).toBe(otherPod);
  });

  test('with session affinity each client has an endpoint of its own', () => {
    const place = new Node(family);
    place.serve(twoFrontends(place));
    expect(place.send({ ...sourcePod(), destination: service }, first).destination).toBe(pod);
    expect(place.send({ source: client, destination: service }, last).destination).toBe(otherPod);
    expect(place.send({ ...sourcePod(), destination: service }, last).destination).toBe(pod);
  });

  test('what a client is remembered for at the cluster IP counts at the node port', () => {
    const place = new Node(family);
    place.serve(twoFrontends(place));
    expect(place.send({ source: client, destination: service }, first).destination).toBe(pod);
    expect(place.send({ source: client, destination: node, port: 30080 }, last)).toMatchObject({
      destination: pod,
      masqueraded: true,
    });
  });

  const local = (node: Node): Destination => ({
    endpoints: [node.endpoint(pod, true)],
    whenEmpty: 'drop',
    masquerade: 'never',
  });
  const cluster = (node: Node): Destination => ({
    endpoints: [node.endpoint(pod, true), node.endpoint(otherPod)],
    whenEmpty: 'reject',
    masquerade: 'off-cluster',
  });
  const outsideAddress = { kind: 'external-ip' as const, ip: parseIp(external) };

  test('clients inside are led elsewhere, told by source, device or beginning of its name', () => {
    const iif = 'veth12';
    for (const localTraffic of [
      facts.localTraffic,
      { by: 'interface', name: iif },
      { by: 'interface-prefix', prefix: 'veth' },
    ] as const) {
      const place = new Node(family, localTraffic);
      place.serve(place.port({ ...outsideAddress, ...local(place), inside: cluster(place) }));
      const to = { destination: external };
      expect(place.send({ ...sourcePod(), ...to, iif }, last)).toMatchObject({
        destination: otherPod,
        masqueraded: false,
      });
      expect(place.send({ source: client, ...to, iif: 'eth0' }, last)).toMatchObject({
        destination: pod,
        masqueraded: false,
      });
      expect(place.send({ from: 'node', source: node, ...to }, last)).toMatchObject({
        destination: otherPod,
        masqueraded: true,
      });
    }
  });

  test('whose address is replaced can differ between inside and outside', () => {
    const masqueraded = (outside: Destination['masquerade'], inside: Destination['masquerade']) => {
      const place = new Node(family);
      const masquerade = { ...cluster(place), masquerade: inside };
      place.serve(place.port({ ...outsideAddress, ...local(place), masquerade: outside, inside: masquerade }));
      const to = { destination: external };
      return [
        place.send({ ...sourcePod(), ...to }, last).masqueraded,
        place.send({ from: 'node', source: node, ...to }, last).masqueraded,
        place.send({ source: client, ...to }, last).masqueraded,
      ];
    };
    expect(masqueraded('never', 'never')).toEqual([false, false, false]);
    expect(masqueraded('never', 'off-cluster')).toEqual([false, true, false]);
    expect(masqueraded('never', 'always')).toEqual([true, true, false]);
    expect(masqueraded('always', 'never')).toEqual([false, false, true]);
    expect(masqueraded('off-cluster', 'always')).toEqual([true, true, true]);
    expect(masqueraded('off-cluster', 'off-cluster')).toEqual([false, true, true]);
  });

  test('each side has an answer of its own where nobody is', () => {
    const nobody = (outside: Destination['whenEmpty'], inside: Destination['whenEmpty']) => {
      const place = new Node(family);
      const empty: Destination = { endpoints: [], whenEmpty: inside, masquerade: 'never' };
      place.serve(place.port({ ...outsideAddress, ...empty, whenEmpty: outside, inside: empty }));
      const to = { destination: external };
      return [
        place.send({ ...sourcePod(), ...to }).verdict,
        place.send({ from: 'node', source: node, ...to }).verdict,
        place.send({ source: client, ...to }).verdict,
      ];
    };
    expect(nobody('drop', 'reject')).toEqual(['reset', 'reset', 'drop']);
    expect(nobody('reject', 'drop')).toEqual(['drop', 'drop', 'reset']);
  });

  test('clients in none of the source ranges are dropped, whether anybody is there or not', () => {
    const sourceRanges = [family === 'IPv4' ? '192.168.102.96/29' : 'fd00:102::100/123'].map(parseCidr);
    for (const endpoints of [[], [new Node(family).endpoint(pod, true)]]) {
      const place = new Node(family);
      place.serve(place.port({ kind: 'load-balancer-ip', ip: parseIp(external), endpoints, sourceRanges }));
      const verdict = (source: string) => place.send({ source, destination: external }).verdict;
      expect(verdict(client)).toBe(endpoints.length === 0 ? 'reset' : 'accept');
      expect(verdict(sourcePod().source)).toBe('drop');
      expect(place.send({ from: 'node', source: node, destination: external }).verdict).toBe('drop');
    }
  });

  test('without a source range of the family nobody may come', () => {
    const place = new Node(family);
    place.serve(place.port({ kind: 'load-balancer-ip', ip: parseIp(external), sourceRanges: [] }));
    expect(place.send({ source: client, destination: external }).verdict).toBe('drop');
  });

  test('any number of endpoints is drawn from, and every draw ends at one of them', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
        (n, randoms) => {
          const base = new Node(family);
          const endpoints = Array.from({ length: n }, (_, i) =>
            base.endpoint(family === 'IPv4' ? `10.244.3.${i + 2}` : `fd00:244:3::${(i + 2).toString(16)}`),
          );
          const result = base
            .serve(base.port({ endpoints }))
            .send({ ...sourcePod(), destination: service }, () => randoms.next().value);
          expect(endpoints.map((endpoint) => endpoint.ip)).toContain(result.destination);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('compileServicePort', () => {
  test('gives the elements of the asked family only', () => {
    const base = new Node('IPv4');
    const dual = { ...base.port(), frontends: [...base.port().frontends, ...new Node('IPv6').port().frontends] };
    for (const [family, prefix] of [
      ['IPv4', /^10\./],
      ['IPv6', /^fd00:/],
    ] as const) {
      const firsts = compileServicePort(dual, family).flatMap(({ elements }) =>
        elements.map((element) => String(element.key[0])),
      );
      expect(firsts.length).toBeGreaterThan(0);
      for (const first of firsts) expect(first).toMatch(prefix);
    }
  });

  test('never has an element twice, whatever the frontends share', () => {
    const base = new Node('IPv4');
    const port = base.port();
    const twice = {
      ...port,
      frontends: [
        ...port.frontends,
        ...port.frontends.map((frontend) => ({ ...frontend, port: 81 })),
        ...port.frontends,
      ],
    };
    const keys = compileServicePort(twice, 'IPv4').flatMap(({ elements }) =>
      elements.map((element) => `${element.set} ${element.key.join(' ')}`),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('with too many endpoints says which Service has them', () => {
    const base = new Node('IPv4');
    const endpoints = Array.from({ length: 16_385 }, () => base.endpoint('10.244.1.2'));
    expect(() => compileServicePort(base.port({ endpoints }), 'IPv4')).toThrow('default/web');
  });
});

describe('compileServicePort, after a change', () => {
  const base = new Node('IPv4');
  const many = Array.from({ length: 1000 }, (_, i) => base.endpoint(`10.244.${4 + (i >> 8)}.${i & 255}`));
  const web = (endpoints: readonly Endpoint[], affinity = false): ServicePort => ({
    ...base.port({ endpoints }),
    ...(affinity && { affinitySeconds: 60 }),
  });

  test.each([false, true])('of one endpoint of a thousand changes a few elements, with affinity: %s', (affinity) => {
    const store = new ElementStore();
    const apply = (endpoints: readonly Endpoint[]) => {
      const held = beforeOf(store.owners.get('default/web') ?? []);
      const changes = store.replace('default/web', compileServicePort(web(endpoints, affinity), 'IPv4', held));
      const [unit] = elementTransaction({ family: 'ip', table: 'x' }, [changes]).units;
      return { delete: unit?.delete.length ?? 0, add: unit?.add.length ?? 0 };
    };
    apply(many);
    const without = many.toSpliced(3, 1);
    // The endpoint, the last one in its place, its address, and with affinity that it may be gone on to.
    expect(apply(without).delete).toBeLessThanOrEqual(4);
    expect(apply(many).add).toBeLessThanOrEqual(4);
    expect(apply(many)).toEqual({ delete: 0, add: 0 });
    expect(apply([base.endpoint('10.9.9.9'), ...without]).delete).toBeLessThanOrEqual(4);
  });
});

describe('compileBase', () => {
  test('has one rule for each length of time that clients are remembered, and no chain', () => {
    const rules = (affinitySeconds: readonly number[]) =>
      compileBase({ ...facts, affinitySeconds }, 'IPv4').chains.map((chain) => chain.rules.length);
    const [none, two] = [rules([]), rules([60, 10_800])];
    expect(two).toHaveLength(none.length);
    expect(two.reduce((sum, length) => sum + length, 0)).toBe(none.reduce((sum, length) => sum + length, 0) + 2);
  });

  test('keeps the widest of the Pod networks, of its family', () => {
    expect(compileBase(facts, 'IPv4').elements).toEqual([{ set: 'local-sources', key: ['10.244.0.0/16'] }]);
    expect(compileBase(facts, 'IPv6').elements).toEqual([{ set: 'local-sources', key: ['fd00:244::/32'] }]);
  });
});
