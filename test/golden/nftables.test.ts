import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compileBase } from '../../src/backends/nftables/compile.ts';
import { compileServicePort } from '../../src/backends/nftables/service.ts';
import type { Endpoint, Frontend, NodeFacts, ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type IpFamily, parseIp } from '../../src/net/ip.ts';
import { ElementStore, elementTransaction } from '../../src/rules/nftables/elements.ts';
import { parseProgram } from '../../src/rules/nftables/parse.ts';
import { printProgram, printTransaction } from '../../src/rules/nftables/print.ts';
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
  test('shows lines that are in the table', () => {
    const readme = readFileSync(new URL('../../src/backends/nftables/README.md', import.meta.url), 'utf8');
    const shown = /```\n(table ip [\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const store = new ElementStore();
    store.replace(helloService.name, compileServicePort(helloService, 'IPv4'));
    const base = compileBase(facts, 'IPv4');
    const printed = printProgram({ ...base, elements: [...base.elements, ...[...store.groups()].flat()] }).split('\n');
    expect(shown.split('\n').length).toBeGreaterThan(40);
    expect(shown.split('\n').filter((line) => !printed.includes(line))).toEqual([]);
    expect(parseProgram(shown).elements).toHaveLength(8);
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
