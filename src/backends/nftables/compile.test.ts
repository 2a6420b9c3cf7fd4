import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Endpoint, Frontend, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type Ip, type IpFamily, parseIp } from '../../net/ip.ts';
import { ElementStore } from '../../rules/nftables/elements.ts';
import { PacketWalker } from '../../rules/nftables/walk.ts';
import type { Packet, WalkResult } from '../../rules/packet.ts';
import { compileBase } from './compile.ts';
import { compileServicePort } from './service.ts';

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
  readonly #store = new ElementStore();

  constructor(family: IpFamily) {
    this.#family = family;
    this.at = addresses[family];
  }

  serve(port: ServicePort): this {
    this.#store.replace(port.name, compileServicePort(port, this.#family));
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
    const base = compileBase(facts, this.#family);
    const program = { ...base, elements: [...base.elements, ...[...this.#store.groups()].flat()] };
    const walker = new PacketWalker(program, {
      isLocal: (ip: Ip) => ip === this.at.node || ip === this.at.external,
      random: (modulus) => Math.floor(random() * modulus),
      chance: (probability) => random() < probability,
      now: () => 0,
    });
    return walker.walk({
      from: 'network',
      protocol: 'tcp',
      port: 80,
      ...packet,
      source: parseIp(packet.source),
      destination: parseIp(packet.destination),
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

describe('compileBase', () => {
  test('keeps the widest of the Pod networks, of its family', () => {
    expect(compileBase(facts, 'IPv4').elements).toEqual([{ set: 'local-sources', key: ['10.244.0.0/16'] }]);
    expect(compileBase(facts, 'IPv6').elements).toEqual([{ set: 'local-sources', key: ['fd00:244::/32'] }]);
  });
});
