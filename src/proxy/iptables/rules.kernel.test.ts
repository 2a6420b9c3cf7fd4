import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serviceChainName } from '../../backends/iptables/names.ts';
import type { Iptables, IptablesVariant } from '../../kernel/iptables/interface.ts';
import { openIptables } from '../../kernel/iptables/tool.ts';
import type { Destination, Frontend, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type IpFamily, parseIp } from '../../net/ip.ts';
import type { Restore } from '../../rules/iptables/syntax.ts';
import { FamilyRules, type RuleSettings } from './rules.ts';

const settings: RuleSettings = { masqueradeBit: 14, localhostNodePorts: true, dropInvalid: true };
const idle = new AbortController().signal;
const quiet = { encoding: 'utf8', stdio: 'pipe' } as const;

const networks = {
  IPv4: { pods: '10.244.', services: '10.96.0.', node: '192.168.101.3', block: '10.244.0.0/16' },
  IPv6: { pods: 'fd00:244::', services: 'fd00:96::', node: 'fd00:101::3', block: 'fd00:244::/32' },
} as const;

/** Services of every kind of rule there is. */
function everything(family: IpFamily): ServicePort[] {
  const { pods, services, node } = networks[family];
  const pod = (i: number) => parseIp(family === 'IPv4' ? `${pods}${i}.2` : `${pods}${i}`);
  const to = (...numbers: readonly number[]): Destination => ({
    endpoints: numbers.map((i) => ({ ip: pod(i), port: 8080, local: i === 1 })),
    whenEmpty: 'reject',
    masquerade: 'off-cluster',
  });
  const at = (kind: Frontend['kind'], i: number, destination: Destination, rest: Partial<Frontend> = {}): Frontend => ({
    kind,
    ip: kind === 'node-port' ? parseIp(node) : parseIp(`${services}${i}`),
    port: kind === 'node-port' ? 30_000 + i : 80,
    ...destination,
    ...rest,
  });
  const outside = (destination: Destination): Destination => ({ ...destination, masquerade: 'always' });
  const local: Partial<Frontend> = { masquerade: 'never', inside: to(1, 2, 3), whenEmpty: 'drop' };
  const sourceRanges = [parseCidr(networks[family].block)];
  return [
    {
      name: 'default/cluster:http',
      protocol: 'TCP',
      frontends: [
        at('cluster-ip', 1, to(1, 2, 3)),
        at('node-port', 1, outside(to(1, 2, 3))),
        at('external-ip', 101, outside(to(1, 2, 3))),
      ],
    },
    {
      name: 'default/local',
      protocol: 'TCP',
      affinitySeconds: 10_800,
      frontends: [
        at('cluster-ip', 2, to(1, 2, 3)),
        at('node-port', 2, to(1), local),
        at('load-balancer-ip', 102, to(1), { ...local, sourceRanges }),
      ],
    },
    {
      name: 'default/udp',
      protocol: 'UDP',
      frontends: [at('cluster-ip', 3, to(1)), at('node-port', 3, outside(to(1)))],
    },
    { name: 'default/sctp', protocol: 'SCTP', frontends: [at('cluster-ip', 4, to(1))] },
    {
      name: 'default/nobody',
      protocol: 'TCP',
      frontends: [
        at('cluster-ip', 5, to()),
        at('node-port', 5, to(), { whenEmpty: 'drop' }),
        at('load-balancer-ip', 105, to(), { sourceRanges }),
      ],
    },
    {
      name: 'default/nobody-udp',
      protocol: 'UDP',
      frontends: [at('cluster-ip', 6, to()), at('external-ip', 106, to())],
    },
  ];
}

function nodeFacts(family: IpFamily): NodeFacts {
  return {
    name: 'node-1',
    zone: undefined,
    addresses: [parseIp(networks[family].node)],
    nodePortAddresses: [parseIp(networks[family].node)],
    nodePortsEverywhere: [family],
    localTraffic: { by: 'source', blocks: [parseCidr(networks[family].block)] },
  };
}

/** The tool, with a record of what it was given. */
class RecordingIptables implements Iptables {
  readonly #tool: Iptables;
  readonly restored: Restore[] = [];
  readonly list: Iptables['list'];
  readonly has: Iptables['has'];

  constructor(tool: Iptables) {
    this.#tool = tool;
    this.list = (...of) => tool.list(...of);
    this.has = (...of) => tool.has(...of);
  }

  get variant(): IptablesVariant {
    return this.#tool.variant;
  }

  restore(family: IpFamily, input: Restore): Promise<void> {
    this.restored.push(input);
    return this.#tool.restore(family, input);
  }

  close(): void {
    this.#tool.close();
  }
}

const settingsOfTests = (['legacy', 'nft'] as const).flatMap((variant) =>
  (['IPv4', 'IPv6'] as const).map((family) => ({ variant, family })),
);

describe.each(settingsOfTests)('FamilyRules, $variant $family', ({ variant, family }) => {
  const tool = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
  const node = nodeFacts(family);
  let iptables: RecordingIptables;
  let rules: FamilyRules;
  beforeEach(async () => {
    iptables = new RecordingIptables(await openIptables({ variant }));
    rules = new FamilyRules(iptables, family);
  });
  afterEach(async () => {
    await rules.remove();
    iptables.close();
  });
  const run = (...args: string[]) => execFileSync(tool, ['-w', ...args], quiet);
  const save = () => execFileSync(`${tool}-save`, quiet);
  const sync = (ports: readonly ServicePort[]) =>
    rules.sync({ node, settings, healthChecks: new Map(), updates: new Map(ports.map((port) => [port.name, port])) });

  it('has in the kernel what it means, whatever Services there are, and finds it again', async () => {
    expect((await sync(everything(family))).refused.size).toBe(0);
    expect(await rules.check(idle)).toEqual({ repaired: [], refused: new Map() });
    iptables.restored.length = 0;
    rules = new FamilyRules(iptables, family);
    await rules.prepare(node, settings);
    await sync(everything(family));
    expect(iptables.restored).toEqual([]);
  });

  it('takes over the rules of kube-proxy, without writing a chain of a Service', async () => {
    const [port] = everything(family);
    if (port === undefined) throw new Error('there is no Service');
    const frontends = port.frontends.slice(0, 1);
    const service = { ...port, frontends };
    execFileSync(`${tool}-restore`, ['--noflush'], { input: kubeProxyInput(service, family) });
    await rules.prepare(node, settings);
    await sync([service]);
    const written = iptables.restored.flatMap((input) => input.flatMap(({ commands }) => commands));
    expect(written.filter(({ chain }) => /^KUBE-(SVC|SEP)-/.test(chain))).toEqual([]);
    expect(written.filter(({ verb }) => verb === 'delete' || verb === 'delete-chain')).toEqual([]);
    expect((await rules.check(idle)).repaired).toEqual([]);
  });

  it('changes one Service after another, and comes to nothing', async () => {
    const ports = everything(family);
    await sync([]);
    const empty = withoutDates(save());
    for (const port of ports) await sync([port]);
    for (const { name } of ports)
      await rules.sync({ node, settings, healthChecks: new Map(), updates: new Map([[name, undefined]]) });
    expect(withoutDates(save())).toEqual(empty);
  });

  it('loads more chains than go in one input', async () => {
    const [port] = everything(family);
    const many = Array.from(
      { length: 130 },
      (_, i): ServicePort => ({ protocol: 'TCP', frontends: port?.frontends ?? [], name: `default/${i}` }),
    );
    await sync(many);
    // An ordinary user's netlink buffers are smaller: there an input may have to be divided further.
    expect(iptables.restored.length).toBeGreaterThanOrEqual(variant === 'nft' ? 4 : 1);
    expect((await rules.check(idle)).repaired).toEqual([]);
    await rules.sync({
      node,
      settings,
      healthChecks: new Map(),
      updates: new Map(many.map(({ name }) => [name, undefined])),
    });
    expect((await rules.check(idle)).repaired).toEqual([]);
    expect(save()).not.toContain('KUBE-SVC-');
  });

  it('leaves what others have as it is, and goes without a trace', async () => {
    run('-t', 'nat', '-N', 'DOCKER');
    run('-t', 'nat', '-A', 'PREROUTING', '-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'DOCKER');
    run('-t', 'filter', '-A', 'INPUT', '-p', 'tcp', '-m', 'multiport', '--dports', '22,443', '-j', 'ACCEPT');
    await iptables.list(family, 'mangle');
    const before = linesOf(save());
    await sync(everything(family));
    for (const line of before) expect(linesOf(save())).toContain(line);
    expect(await rules.remove()).toEqual(
      ['mangle', 'nat', 'filter'].map((table) => expect.stringMatching(`^rules in ip6?tables .* table ${table}$`)),
    );
    const after = linesOf(save());
    for (const line of before) expect(after).toContain(line);
    expect(after.filter((line) => line.includes('KUBE-'))).toEqual([]);
    run('-t', 'nat', '-F', 'PREROUTING');
    run('-t', 'nat', '-X', 'DOCKER');
    run('-t', 'filter', '-F', 'INPUT');
  });

  it('repairs what somebody flushed or deleted', async () => {
    await sync(everything(family));
    const whole = withoutDates(save());
    run('-t', 'nat', '-F', 'KUBE-POSTROUTING');
    run('-t', 'nat', '-D', 'OUTPUT', '1');
    expect((await rules.check(idle)).repaired).toEqual([
      expect.stringMatching(/^ip6?tables table nat: KUBE-POSTROUTING, OUTPUT had been changed$/),
    ]);
    expect(withoutDates(save())).toEqual(whole);
    run('-t', 'nat', '-F');
    run('-t', 'nat', '-X');
    expect((await rules.check(idle)).repaired).toHaveLength(1);
    expect(linesOf(save())).toEqual(linesOf(whole));
  });

  it('serves all but the Service that the tool refuses', async () => {
    const ports = everything(family);
    const refusedName = 'default/too-long';
    // More seconds than the match `recent` can hold.
    const affinitySeconds = 2 ** 32;
    const frontends = ports[2]?.frontends ?? [];
    const bad: ServicePort = { name: refusedName, protocol: 'TCP', affinitySeconds, frontends };
    const { refused } = await sync([...ports.slice(0, 2), bad, ...ports.slice(3)]);
    expect([...refused.keys()]).toEqual([refusedName]);
    const served = save();
    for (const { name } of [...ports.slice(0, 2), ...ports.slice(3)]) expect(served).toContain(name);
    expect((await rules.check(idle)).repaired).toEqual([]);
  });
});

/** What kube-proxy gives iptables-restore for a Service port with a cluster IP, in its order and spelling. */
function kubeProxyInput(port: ServicePort, family: IpFamily): string {
  const [frontend] = port.frontends;
  if (frontend === undefined) throw new Error('there is no cluster IP');
  const { ip, endpoints } = frontend;
  const text = (i: number) => (family === 'IPv4' ? `${endpoints[i]?.ip}:8080` : `[${endpoints[i]?.ip}]:8080`);
  const chain = (kind: 'SVC' | 'SEP', of?: string) => serviceChainName(kind, port, of);
  const cluster = `-m comment --comment "${port.name} cluster IP" -m tcp -p tcp -d ${ip} --dport 80`;
  return [
    '*nat',
    ...['KUBE-SERVICES', 'KUBE-MARK-MASQ', chain('SVC'), ...endpoints.map((_, i) => chain('SEP', text(i)))].map(
      (name) => `:${name} - [0:0]`,
    ),
    '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
    `-A KUBE-SERVICES ${cluster} -j ${chain('SVC')}`,
    `-A ${chain('SVC')} ${cluster} ! -s ${networks[family].block} -j KUBE-MARK-MASQ`,
    ...endpoints.flatMap(({ ip: endpoint }, i) => {
      const left = endpoints.length - i;
      const chance = left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
      return [
        `-A ${chain('SVC')} -m comment --comment "${port.name} -> ${text(i)}"${chance} -j ${chain('SEP', text(i))}`,
        `-A ${chain('SEP', text(i))} -m comment --comment ${port.name} -s ${endpoint} -j KUBE-MARK-MASQ`,
        `-A ${chain('SEP', text(i))} -m comment --comment ${port.name} -m tcp -p tcp -j DNAT --to-destination ${text(i)}`,
      ];
    }),
    'COMMIT',
    '',
  ].join('\n');
}

function withoutDates(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n');
}

function linesOf(text: string): string[] {
  return withoutDates(text).split('\n').sort();
}
