import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { RuleContext } from '../../src/backends/iptables/compile.ts';
import type { ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseProgram } from '../../src/rules/iptables/parse.ts';
import { printProgram } from '../../src/rules/iptables/print.ts';
import { expectGolden } from './golden.ts';
import { at, clusterIp, helloService, localOnly, node, outside } from './hello-service.ts';
import { listing } from './iptables-rules.ts';

const context: RuleContext = {
  family: 'IPv4',
  node,
  masqueradeBit: 14,
  localhostNodePorts: true,
  dropInvalid: true,
};

const cases: { readonly [name: string]: { readonly port?: ServicePort; readonly of?: Partial<RuleContext> } } = {
  base: {},
  'base-ipv6': { of: { family: 'IPv6' } },
  'base-everywhere': { of: { node: { ...node, nodePortsEverywhere: ['IPv4'] }, dropInvalid: false, masqueradeBit: 3 } },
  'hello-service': { port: helloService },
  'from-a-bridge': { port: helloService, of: { node: { ...node, localTraffic: { by: 'interface', name: 'cni0' } } } },
  'several-blocks-of-pods': {
    port: helloService,
    of: {
      node: { ...node, localTraffic: { by: 'source', blocks: ['10.244.0.0/24', '10.244.9.0/24'].map(parseCidr) } },
    },
  },
  'session-affinity': { port: { ...helloService, affinitySeconds: 10_800 } },
  'no-endpoints': {
    port: {
      ...helloService,
      frontends: [
        { ...clusterIp, endpoints: [] },
        at('external-ip', '192.168.102.4', 80, { ...outside, endpoints: [] }),
        at('node-port', '192.168.101.3', 30080, { ...outside, endpoints: [], whenEmpty: 'drop' }),
      ],
    },
  },
  'node-port': {
    port: {
      ...helloService,
      frontends: [
        clusterIp,
        at('node-port', '192.168.101.3', 30080, outside),
        at('node-port', '192.168.102.3', 30080, outside),
      ],
    },
  },
  'external-traffic-policy-local': {
    port: { ...helloService, frontends: [clusterIp, at('node-port', '192.168.101.3', 30080, localOnly)] },
  },
  'source-ranges': {
    port: {
      ...helloService,
      frontends: [
        clusterIp,
        at('load-balancer-ip', '192.168.102.200', 80, {
          ...localOnly,
          sourceRanges: ['192.168.102.0/24', '192.168.102.200/32'].map(parseCidr),
        }),
      ],
    },
  },
  'source-ranges-no-endpoints': {
    port: {
      ...helloService,
      frontends: [
        at('load-balancer-ip', '192.168.102.200', 80, {
          ...outside,
          endpoints: [],
          sourceRanges: [parseCidr('192.168.102.0/24')],
        }),
      ],
    },
  },
  udp: { port: { ...helloService, name: 'kube-system/kube-dns:dns', protocol: 'UDP' } },
};

describe('compileServicePort and compileBase', () => {
  test.each(Object.keys(cases))('%s', (name) => {
    const { port, of } = cases[name] ?? {};
    const text = listing({ ...context, ...of }, port === undefined ? [] : [port]);
    // What every node has is in the files of the base.
    const bare = new Set(listing({ ...context, ...of }, []).split('\n'));
    const shown = port === undefined ? text : text.split('\n').filter((line) => /^[*C]/.test(line) || !bare.has(line));
    expectGolden(`iptables/${name}.rules`, typeof shown === 'string' ? shown : `${shown.join('\n')}\n`);
  });

  test.each(Object.keys(cases))('%s is read back as it was written', (name) => {
    const { port, of } = cases[name] ?? {};
    const all = { ...context, ...of };
    const text = listing(all, port === undefined ? [] : [port]);
    expect(printProgram(parseProgram(text, all.family), all.family)).toBe(text);
  });
});

describe('the README', () => {
  test('shows lines that are in the tables', () => {
    const readme = readFileSync(new URL('../../src/backends/iptables/README.md', import.meta.url), 'utf8');
    const shown = /```\n(-A [\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const lines = new Set(listing(context, [helloService, ...nodePorts]).split('\n'));
    const quoted = shown.split('\n').filter((line) => line.startsWith('-A '));
    expect(quoted.length).toBeGreaterThan(10);
    for (const line of quoted) expect([...lines]).toContain(line);
  });
});

const nodePorts = [cases['external-traffic-policy-local']?.port].flatMap((port) => port ?? []);
