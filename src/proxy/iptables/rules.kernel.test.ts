import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, it } from 'vitest';
import type { Iptables, IptablesVariant } from '../../kernel/iptables/interface.ts';
import { openIptables } from '../../kernel/iptables/tool.ts';
import type { Frontend, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';
import { FamilyRules, type RuleSettings } from './rules.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.168.101.3')],
  nodePortAddresses: [parseIp('192.168.101.3')],
  nodePortsEverywhere: ['IPv4', 'IPv6'],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const settings: RuleSettings = { masqueradeBit: 14, localhostNodePorts: true, dropInvalid: true };

function port(i: number, overrides: Partial<ServicePort> = {}, frontend: Partial<Frontend> = {}): ServicePort {
  return {
    name: `default/svc-${i}`,
    protocol: 'TCP',
    frontends: [
      {
        kind: 'cluster-ip',
        ip: parseIp(`10.96.${i >> 8}.${i & 255}`),
        port: 80,
        endpoints: [0, 1].map((e) => ({ ip: parseIp(`10.${244 + e}.${i >> 8}.${i & 255}`), port: 8080, local: false })),
        whenEmpty: 'reject',
        masquerade: 'off-cluster',
        ...frontend,
      },
    ],
    ...overrides,
  };
}

describe.each<IptablesVariant>(['legacy', 'nft'])('FamilyRules with iptables-%s', (variant) => {
  let iptables: Iptables;
  let rules: FamilyRules;
  beforeEach(async () => {
    iptables = await openIptables({ variant });
    rules = new FamilyRules(iptables, 'IPv4');
  });
  afterEach(async () => {
    await rules.remove();
    iptables.close();
  });
  const save = () => execFileSync(`iptables-${variant}-save`, { encoding: 'utf8' });

  it('figures', async () => {
    const n = Number(process.env.N ?? 100);
    const time = async (label: string, run: () => Promise<unknown>) => {
      const t = performance.now();
      const r = await run();
      console.log(variant, n, label, Math.round(performance.now() - t), JSON.stringify(r));
    };
    await time('prepare', () => rules.prepare(node, settings));
    await time('load', () =>
      rules.sync({
        node,
        settings,
        updates: new Map(Array.from({ length: n }, (_, i) => [`default/svc-${i}`, port(i)])),
      }),
    );
    if (n <= 2) console.log(save());
    for (let k = 0; k < 3; k++)
      await time('change', () =>
        rules.sync({
          node,
          settings,
          updates: new Map([
            [`default/svc-${k}`, port(k, {}, { endpoints: [{ ip: parseIp('10.9.9.9'), port: 80 + k, local: false }] })],
          ]),
        }),
      );
    await time('empty', () =>
      rules.sync({ node, settings, updates: new Map([[`default/svc-1`, port(1, {}, { endpoints: [] })]]) }),
    );
    await time('gone', () => rules.sync({ node, settings, updates: new Map([[`default/svc-1`, undefined]]) }));
    await time('new', () => rules.sync({ node, settings, updates: new Map([[`default/svc-1`, port(1)]]) }));
    await time('check', () => rules.check(new AbortController().signal));
    await time('check2', () => rules.check(new AbortController().signal));
    rules = new FamilyRules(iptables, 'IPv4');
    await time('restart', () =>
      rules.sync({
        node,
        settings,
        updates: new Map(Array.from({ length: n }, (_, i) => [`default/svc-${i}`, port(i)])),
      }),
    );
    await time('remove', () => rules.remove());
    if (n <= 2) console.log(save());
  }, 100_000);
});
