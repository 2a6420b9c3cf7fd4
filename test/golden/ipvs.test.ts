import { describe, expect, test } from 'vitest';
import { compileRules } from '../../src/backends/ipvs/compile.ts';
import { compileProgram } from '../../src/backends/ipvs/program.ts';
import type { HealthCheck, NodeFacts, NodeModel, ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import { printEntry } from '../../src/rules/ipset/print.ts';
import { parseProgram } from '../../src/rules/iptables/parse.ts';
import { printProgram } from '../../src/rules/iptables/print.ts';
import { printVirtualServers } from '../../src/rules/ipvs/print.ts';
import { expectGolden } from './golden.ts';
import { at, clusterIp, helloService, localOnly, node, outside } from './hello-service.ts';

const bases: { readonly [name: string]: { readonly family?: IpFamily; readonly of?: Partial<NodeFacts> } } = {
  rules: {},
  'rules-ipv6': { family: 'IPv6' },
  'rules-from-a-bridge': { of: { localTraffic: { by: 'interface', name: 'cni0' } } },
};

interface Case {
  readonly port: ServicePort;
  readonly scheduler?: string;
  readonly healthCheck?: HealthCheck;
}

const cases: { readonly [name: string]: Case } = {
  'hello-service': { port: helloService },
  'no-endpoints': { port: { ...helloService, frontends: [{ ...clusterIp, endpoints: [] }] } },
  'session-affinity': { port: { ...helloService, affinitySeconds: 10_800 }, scheduler: 'wlc' },
  'node-port': {
    port: { ...helloService, frontends: [clusterIp, at('node-port', '192.168.101.3', 30080, outside)] },
  },
  'load-balancer-local': {
    port: {
      ...helloService,
      frontends: [
        clusterIp,
        at('node-port', '192.168.101.3', 30080, localOnly),
        at('load-balancer-ip', '192.168.102.200', 80, {
          ...localOnly,
          sourceRanges: ['192.168.102.0/24', '203.0.113.9/32'].map(parseCidr),
        }),
      ],
    },
    healthCheck: { namespace: 'default', name: 'hello-service', port: 31_000, localEndpoints: 1 },
  },
};

describe('compileRules', () => {
  test.each(Object.entries(bases))('%s', (name, { family = 'IPv4', of }) => {
    const text = printProgram(compileRules({ family, node: { ...node, ...of }, masqueradeBit: 14 }), family);
    expectGolden(`ipvs/${name}.rules`, text);
    expect(printProgram(parseProgram(text, family), family)).toBe(text);
  });
});

describe('compileProgram', () => {
  test.each(Object.entries(cases))('%s', (name, { port, scheduler = 'rr', healthCheck }) => {
    const model: NodeModel = {
      node,
      servicePorts: new Map([[port.name, port]]),
      healthChecks: new Map(healthCheck === undefined ? [] : [['default/hello-service', healthCheck]]),
    };
    const { resources } = compileProgram(model, 'IPv4', { scheduler, masqueradeBit: 14 });
    const servers = resources.flatMap((one) => (one.kind === 'virtual-server' ? one.server : []));
    const lines = resources.flatMap((one) => {
      if (one.kind === 'entry') return `add ${one.set.name} ${printEntry(one.entry)}`;
      return one.kind === 'address' ? `address ${one.ip}` : [];
    });
    expectGolden(`ipvs/${name}.txt`, `${printVirtualServers(servers)}${lines.join('\n')}\n`);
  });
});
