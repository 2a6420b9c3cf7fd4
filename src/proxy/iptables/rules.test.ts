import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { isOwnChain } from '../../backends/iptables/names.ts';
import { FakeIptables } from '../../kernel/iptables/fake.ts';
import type { Frontend, HealthCheck, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';
import { printRestore } from '../../rules/iptables/print.ts';
import { FixedRules } from '../ipvs/rules.ts';
import { FamilyRules, type RuleSettings } from './rules.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.168.101.3')],
  nodePortAddresses: [parseIp('192.168.101.3')],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const settings: RuleSettings = { masqueradeBit: 14, localhostNodePorts: false, dropInvalid: true };
const healthChecks: ReadonlyMap<string, HealthCheck> = new Map();
const idle = new AbortController().signal;

function port(name: string, frontend: Partial<Frontend> = {}, rest: Partial<ServicePort> = {}): ServicePort {
  return {
    name: `default/${name}`,
    protocol: 'TCP',
    frontends: [
      {
        kind: 'cluster-ip',
        ip: parseIp('10.96.0.10'),
        port: 80,
        endpoints: endpoints(2),
        whenEmpty: 'reject',
        masquerade: 'off-cluster',
        ...frontend,
      },
    ],
    ...rest,
  };
}

function endpoints(count: number) {
  return Array.from({ length: count }, (_, i) => ({ ip: parseIp(`10.244.1.${i + 2}`), port: 8080, local: false }));
}

describe('FamilyRules', () => {
  let iptables: FakeIptables;
  let rules: FamilyRules;
  beforeEach(() => {
    iptables = new FakeIptables();
    rules = new FamilyRules(iptables, 'IPv4');
  });

  const sync = (...ports: readonly (ServicePort | string)[]) =>
    rules.sync({
      node,
      settings,
      healthChecks,
      updates: new Map(
        ports.map((given) => (typeof given === 'string' ? [`default/${given}`, undefined] : [given.name, given])),
      ),
    });
  /** Lines of all inputs since the last call. */
  const inputs = () =>
    iptables.restored
      .splice(0)
      .flatMap((input) => printRestore(input).split('\n'))
      .filter((line) => /^[-:]/.test(line));
  /** What a fresh load of these alone makes, chains and rules sorted: orders that are of no matter differ. */
  const loaded = async (...ports: readonly ServicePort[]) => {
    const other = new FakeIptables();
    await new FamilyRules(other, 'IPv4').sync({
      node,
      settings,
      healthChecks,
      updates: new Map(ports.map((p) => [p.name, p])),
    });
    return sorted(other);
  };
  const sorted = (of: FakeIptables) => of.dump('IPv4').split('\n').sort();

  it('writes the chains of a change and no others', async () => {
    await sync(port('a'), port('b', { ip: parseIp('10.96.0.11') }));
    inputs();
    await sync(port('a', { endpoints: endpoints(1) }));
    const lines = inputs();
    expect(lines.filter((line) => line.startsWith(':'))).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith('-X KUBE-SEP-'))).toHaveLength(1);
    expect(lines.join('\n')).not.toContain('default/b');
    expect(lines.join('\n')).not.toContain('KUBE-SERVICES');
  });

  it('writes nothing for no change', async () => {
    await sync(port('a'));
    inputs();
    await sync(port('a'));
    expect(inputs()).toEqual([]);
  });

  it('has, after any changes, what a fresh load of the outcome has', async () => {
    const change = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      count: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
      affinity: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 5 }), async (steps) => {
        iptables = new FakeIptables();
        rules = new FamilyRules(iptables, 'IPv4');
        const state = new Map<string, ServicePort>();
        for (const step of steps) {
          const updates = step.map(({ name, count, affinity }) => {
            const ip = parseIp(`10.96.0.${name.charCodeAt(0)}`);
            return count === undefined
              ? name
              : port(name, { ip, endpoints: endpoints(count) }, affinity ? { affinitySeconds: 60 } : {});
          });
          for (const update of updates) {
            if (typeof update === 'string') state.delete(`default/${update}`);
            else state.set(update.name, update);
          }
          await sync(...updates);
          expect(await rules.check(idle)).toEqual({ repaired: [], refused: new Map() });
        }
        if (iptables.dump('IPv4') !== '') expect(sorted(iptables)).toEqual(await loaded(...state.values()));
      }),
      { numRuns: 50 },
    );
  });

  it('follows the node in all Services', async () => {
    await sync(port('a'));
    const other: NodeFacts = { ...node, localTraffic: { by: 'interface', name: 'cni0' } };
    await rules.sync({ node: other, settings, healthChecks, updates: new Map() });
    expect(iptables.dump('IPv4')).toContain('! -i cni0');
    expect(iptables.dump('IPv4')).not.toContain('10.244.0.0/16');
  });

  it('takes over what kube-proxy left, and writes only what is different', async () => {
    await sync(port('a'), port('b', { ip: parseIp('10.96.0.11') }));
    const text = iptables.dump('IPv4');
    iptables.load('IPv4', text.replaceAll('default/b -> 10.244.1.3', 'default/b -> 10.244.1.9'));
    rules = new FamilyRules(iptables, 'IPv4');
    inputs();
    await rules.prepare(node, settings);
    expect(inputs()).toEqual([]);
    await sync(port('a'), port('b', { ip: parseIp('10.96.0.11') }));
    expect(inputs().filter((line) => line.startsWith(':'))).toEqual([expect.stringMatching(/^:KUBE-SVC-/)]);
    expect(iptables.dump('IPv4')).toBe(text);
  });

  it('never touches what others have', async () => {
    const others = [
      '*nat',
      ':PREROUTING ACCEPT [0:0]',
      ':OUTPUT ACCEPT [0:0]',
      ':POSTROUTING ACCEPT [0:0]',
      ':DOCKER - [0:0]',
      ':KUBE-KUBELET-CANARY - [0:0]',
      '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
      '-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE',
      '-A DOCKER -i docker0 -j RETURN',
      'COMMIT',
      '*filter',
      ':INPUT DROP [0:0]',
      ':FORWARD ACCEPT [0:0]',
      ':OUTPUT ACCEPT [0:0]',
      '-A INPUT -p tcp -m multiport --dports 22,443 -j ACCEPT',
      'COMMIT',
      '',
    ].join('\n');
    iptables.load('IPv4', others);
    const before = sorted(iptables);
    await sync(port('a'));
    for (const line of before) expect(sorted(iptables)).toContain(line);
    expect(await rules.remove()).toEqual(
      ['mangle', 'nat', 'filter'].map((table) => expect.stringMatching(`^rules in ip6?tables .* table ${table}$`)),
    );
    expect(sorted(iptables).filter((line) => line.includes('KUBE-'))).toEqual([':KUBE-KUBELET-CANARY - [0:0]']);
    expect(before.filter((line) => !sorted(iptables).includes(line))).toEqual([]);
  });

  it('leaves a chain of ours that somebody else uses when it removes the others', async () => {
    await sync(port('a'));
    const [declared = ''] = /:KUBE-SERVICES.*/.exec(iptables.dump('IPv4')) ?? [];
    iptables.load(
      'IPv4',
      iptables
        .dump('IPv4')
        .replace(declared, `${declared}\n:CNI-HOSTPORT - [0:0]`)
        .replace('-A KUBE-MARK-MASQ', '-A CNI-HOSTPORT -p tcp -j KUBE-MARK-MASQ\n-A KUBE-MARK-MASQ'),
    );
    await rules.remove();
    expect(sorted(iptables).filter((line) => line.startsWith(':KUBE'))).toEqual([':KUBE-MARK-MASQ - [0:0]']);
  });

  it('repairs what somebody changed, and says what', async () => {
    await sync(port('a'));
    const whole = sorted(iptables);
    iptables.load(
      'IPv4',
      iptables
        .dump('IPv4')
        .replace(/-A PREROUTING.*\n/, '')
        .replace(/-A KUBE-SEP-\S+ -p.*\n/, ''),
    );
    const { repaired } = await rules.check(idle);
    expect(repaired).toEqual([
      expect.stringMatching(/^iptables table nat: KUBE-SEP-\w+, PREROUTING had been changed$/),
    ]);
    expect(sorted(iptables)).toEqual(whole);
  });

  it('notices an emptied table also when it has just compared', async () => {
    await sync(port('a'));
    await rules.check(idle);
    const whole = sorted(iptables);
    iptables.load('IPv4', iptables.dump('IPv4').replace(/\*nat[\s\S]*?COMMIT\n/, ''));
    expect((await rules.check(idle)).repaired).toHaveLength(1);
    expect(sorted(iptables)).toEqual(whole);
  });

  it.each(['legacy', 'nft'] as const)('serves all but the Services that the kernel refuses, %s', async (variant) => {
    iptables = new FakeIptables(variant);
    rules = new FamilyRules(iptables, 'IPv4');
    iptables.lacks = 'recent';
    const sticky = port('sticky', { ip: parseIp('10.96.0.11') }, { affinitySeconds: 60 });
    const { refused } = await sync(port('a'), sticky, port('b', { ip: parseIp('10.96.0.12') }));
    expect([...refused.keys()]).toEqual(['default/sticky']);
    expect(refused.get('default/sticky')).toMatchObject({ code: 'IPTABLES_FAILED' });
    expect(sorted(iptables)).toEqual(await loaded(port('a'), port('b', { ip: parseIp('10.96.0.12') })));
    iptables.lacks = undefined;
    expect((await sync(sticky)).refused.size).toBe(0);
    expect(iptables.dump('IPv4')).toContain('--rcheck --seconds 60 --reap');
  });

  it('keeps a Service as it was when its change is refused', async () => {
    await sync(port('a'), port('b', { ip: parseIp('10.96.0.11') }));
    const before = sorted(iptables);
    iptables.lacks = 'recent';
    const { refused, partialFailures } = await sync(port('a', {}, { affinitySeconds: 60 }));
    expect([...refused.keys()]).toEqual(['default/a']);
    expect(partialFailures).toEqual(['IPv4']);
    expect(sorted(iptables)).toEqual(before);
  });

  it('fails as a whole while somebody has the lock, and finishes later', async () => {
    await sync(port('a'));
    iptables.locked = true;
    const changed = port('a', { endpoints: endpoints(1) });
    await expect(sync(changed)).rejects.toMatchObject({ code: 'IPTABLES_LOCKED' });
    iptables.locked = false;
    expect((await sync(changed)).refused.size).toBe(0);
    expect(sorted(iptables)).toEqual(await loaded(changed));
  });

  it('lets health checks in as long as their Service has them', async () => {
    const check: HealthCheck = { namespace: 'default', name: 'a', port: 32_000, localEndpoints: 1 };
    const withChecks = (checks: readonly HealthCheck[]) =>
      rules.sync({ node, settings, updates: new Map(), healthChecks: new Map(checks.map((one) => [one.name, one])) });
    await sync(port('a'));
    const before = sorted(iptables);
    inputs();
    await withChecks([check]);
    expect(inputs()).toEqual([
      '-I KUBE-NODEPORTS -p tcp -m comment --comment "default/a health check node port" -m tcp --dport 32000 -j ACCEPT',
    ]);
    await withChecks([{ ...check, localEndpoints: 0 }]);
    expect(inputs()).toEqual([]);
    expect(await rules.check(idle)).toMatchObject({ repaired: [] });
    await withChecks([]);
    expect(sorted(iptables)).toEqual(before);
  });

  it('makes nothing of a family that the node has not', async () => {
    const six = new FamilyRules(iptables, 'IPv6');
    await six.prepare(node, settings);
    await six.sync({ node, settings, healthChecks, updates: new Map([['default/a', port('a')]]) });
    expect(iptables.dump('IPv6')).toBe('');
  });

  it('comes in over the rules of ipvs mode, whose chains in mangle it leaves to it', async () => {
    const ipvs = new FixedRules(iptables, { family: 'IPv4', masqueradeBit: 14 });
    await ipvs.write(node);
    const mangle = (await iptables.list('IPv4', 'mangle')).get('KUBE-SERVICES');
    expect((await sync(port('a'))).refused.size).toBe(0);
    expect((await iptables.list('IPv4', 'mangle')).get('KUBE-SERVICES')).toEqual(mangle);
    await ipvs.remove((table, chain) => isOwnChain(chain, table));
    expect(sorted(iptables)).toEqual(await loaded(port('a')));
  });
});
