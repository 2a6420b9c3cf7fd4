import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compileBase } from '../../src/backends/nftables/compile.ts';
import { compileProgram } from '../../src/backends/nftables/program.ts';
import { compileServicePort } from '../../src/backends/nftables/service.ts';
import type { Endpoint, Frontend, NodeFacts, ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type IpFamily, parseIp } from '../../src/net/ip.ts';
import { ElementStore, elementTransaction } from '../../src/rules/nftables/elements.ts';
import { parseProgram } from '../../src/rules/nftables/parse.ts';
import { printProgram, printRule, printTransaction } from '../../src/rules/nftables/print.ts';
import type { Element } from '../../src/rules/nftables/syntax.ts';
import { expectGolden } from './golden.ts';

const facts: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [parseIp('192.168.101.3'), parseIp('192.168.102.3')],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16'), parseCidr('fd00:10:244::/56')] },
};

function endpoint(ip: string, local = false, port = 8080): Endpoint {
  return { ip: parseIp(ip), port, local };
}

function clusterIp(ip: string, port: number, endpoints: readonly Endpoint[]): Frontend {
  return { kind: 'cluster-ip', ip: parseIp(ip), port, endpoints, whenEmpty: 'reject', masquerade: 'off-cluster' };
}

/** The table with nothing in it but these, as the commands that add them. */
function compiled(family: IpFamily, ...ports: readonly ServicePort[]): string {
  const store = new ElementStore();
  const changes = ports.map((port) => store.replace(port.name, compileServicePort(port, family)));
  return printTransaction(elementTransaction(compileBase(facts, family), changes));
}

const threePods = [endpoint('10.244.1.2', true), endpoint('10.244.2.2'), endpoint('10.244.3.2')];

const helloService: ServicePort = {
  name: 'default/hello-service',
  protocol: 'TCP',
  frontends: [clusterIp('10.96.17.4', 80, threePods)],
};

describe('compileBase', () => {
  test.each([
    ['IPv4', 'shape-ipv4'],
    ['IPv6', 'shape-ipv6'],
  ] as const)('shape of %s', (family, name) => {
    expectGolden(`nftables/${name}.nft`, printProgram(compileBase(facts, family)));
  });
});

describe('the README', () => {
  const readme = readFileSync(new URL('../../src/backends/nftables/README.md', import.meta.url), 'utf8');
  const [shown = '', shownSticky = ''] = [...readme.matchAll(/```\n(table ip [\s\S]*?)```/g)].map(([, text]) => text);
  const nodePort: Frontend = {
    ...clusterIp('192.168.101.3', 30080, threePods),
    kind: 'node-port',
    masquerade: 'always',
  };
  const sticky = { ...helloService, frontends: [...helloService.frontends, nodePort], affinitySeconds: 10_800 };

  test.each([
    ['hello-service', shown, helloService],
    ['the same with session affinity', shownSticky, sticky],
  ])('shows lines that are in the table, of %s', (_, text, port) => {
    const program = compileProgram({ node: facts, servicePorts: new Map([[port.name, port]]) }, 'IPv4');
    const printed = printProgram(program).split('\n');
    expect(text.split('\n').length).toBeGreaterThan(30);
    expect(text.split('\n').filter((line) => !printed.includes(line))).toEqual([]);
  });

  test('leaves out no element of hello-service', () => {
    const program = compileProgram({ node: facts, servicePorts: new Map([['', helloService]]) }, 'IPv4');
    const texts = (elements: readonly Element[]) =>
      elements.map((element) => JSON.stringify([element.set, element.key, element.data, element.comment])).sort();
    expect(texts(parseProgram(shown).elements)).toEqual(texts(program.elements));
  });
});

describe('compileServicePort', () => {
  test('hello-service', () => {
    expectGolden('nftables/hello-service.nft', compiled('IPv4', helloService));
  });

  test('node-port', () => {
    const nodePort = (ip: string): Frontend => ({
      ...clusterIp(ip, 30080, threePods),
      kind: 'node-port',
      masquerade: 'always',
    });
    const port: ServicePort = {
      name: 'default/hello-nodeport-service:http',
      protocol: 'TCP',
      frontends: [clusterIp('10.96.17.5', 80, threePods), nodePort('192.168.101.3'), nodePort('192.168.102.3')],
    };
    expectGolden('nftables/node-port.nft', compiled('IPv4', port));
  });

  test('no-endpoints', () => {
    const port: ServicePort = {
      name: 'default/empty',
      protocol: 'TCP',
      frontends: [
        clusterIp('10.96.17.6', 80, []),
        { ...clusterIp('192.0.2.1', 80, []), kind: 'external-ip', whenEmpty: 'drop' },
      ],
    };
    expectGolden('nftables/no-endpoints.nft', compiled('IPv4', port));
  });

  test('hairpin', () => {
    const shared = [endpoint('10.244.1.2', true), endpoint('10.244.1.3', true)];
    const port = (name: string, ip: string): ServicePort => ({
      name,
      protocol: 'TCP',
      frontends: [clusterIp(ip, 80, shared)],
    });
    const text = compiled('IPv4', port('default/one', '10.96.17.7'), port('default/two', '10.96.17.8'));
    expectGolden('nftables/hairpin.nft', text);
    expect(text.match(/10\.244\.1\.2 \. 10\.244\.1\.2/g)).toHaveLength(1);
  });

  test('udp', () => {
    const port: ServicePort = {
      name: 'kube-system/kube-dns:dns',
      protocol: 'UDP',
      frontends: [clusterIp('10.96.0.10', 53, [endpoint('10.244.2.7', false, 5353)])],
    };
    expectGolden('nftables/udp.nft', compiled('IPv4', port));
  });

  test('ipv6', () => {
    const port: ServicePort = {
      name: 'default/dual',
      protocol: 'TCP',
      frontends: [
        clusterIp('fd00:10:96::11', 80, [endpoint('fd00:10:244:1::2', true), endpoint('fd00:10:244:2::2')]),
        clusterIp('10.96.17.9', 80, threePods),
      ],
    };
    expectGolden('nftables/ipv6.nft', compiled('IPv6', port));
  });

  test('affinity', () => {
    const nodePort: Frontend = {
      ...clusterIp('192.168.101.3', 30080, threePods),
      kind: 'node-port',
      masquerade: 'always',
    };
    const port: ServicePort = {
      name: 'default/sticky',
      protocol: 'TCP',
      frontends: [clusterIp('10.96.17.11', 80, threePods), nodePort],
      affinitySeconds: 10_800,
    };
    expectGolden('nftables/affinity.nft', compiled('IPv4', port));
    const servicePorts = new Map([[port.name, port]]);
    const { chains } = compileProgram({ node: facts, servicePorts }, 'IPv4');
    const told = chains.filter(({ name }) => /sticky|remember/.test(name));
    expectGolden(
      'nftables/affinity-rules.nft',
      printProgram({ family: 'ip', table: 'signalbox', sets: [], chains: told, elements: [] }),
    );
  });

  test('local-policy', () => {
    const port: ServicePort = {
      name: 'default/local',
      protocol: 'TCP',
      frontends: [
        {
          ...clusterIp('192.168.101.3', 30080, threePods.slice(0, 1)),
          kind: 'node-port',
          masquerade: 'never',
          whenEmpty: 'drop',
          inside: { endpoints: threePods, masquerade: 'off-cluster', whenEmpty: 'reject' },
        },
      ],
    };
    expectGolden('nftables/local-policy.nft', compiled('IPv4', port));
  });

  test('source-ranges', () => {
    const port: ServicePort = {
      name: 'default/for-some',
      protocol: 'TCP',
      frontends: [
        {
          ...clusterIp('192.0.2.1', 443, threePods.slice(0, 1)),
          kind: 'load-balancer-ip',
          masquerade: 'always',
          sourceRanges: ['198.51.100.0/24', '203.0.113.0/26', '192.0.2.1/32'].map(parseCidr),
        },
      ],
    };
    expectGolden('nftables/source-ranges.nft', compiled('IPv4', port));
  });

  test.each([
    ['by-device', { by: 'interface', name: 'cni0' }],
    ['by-prefix', { by: 'interface-prefix', prefix: 'veth' }],
  ] as const)('Pods told %s', (name, localTraffic) => {
    const { chains } = compileBase({ localTraffic }, 'IPv4');
    const rules = chains.flatMap((chain) => chain.rules.map((rule) => `${chain.name}: ${printRule(rule)}\n`));
    expectGolden(`nftables/pods-${name}.txt`, rules.filter((text) => text.includes('iifname')).join(''));
  });

  test('nine-endpoints', () => {
    const nine = Array.from({ length: 9 }, (_, i) => endpoint(`10.244.2.${i + 2}`));
    const port: ServicePort = {
      name: 'default/nine',
      protocol: 'SCTP',
      frontends: [clusterIp('10.96.17.10', 80, nine)],
    };
    const text = compiled('IPv4', port);
    expectGolden('nftables/nine-endpoints.nft', text);
    expect(text).toContain('add element ip signalbox draw-12 ');
  });
});
