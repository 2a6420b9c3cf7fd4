import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compileBase } from '../../src/backends/nftables/compile.ts';
import { tableName } from '../../src/backends/nftables/names.ts';
import { compileServicePort } from '../../src/backends/nftables/service.ts';
import { type Conntrack, openConntrack } from '../../src/kernel/conntrack.ts';
import type { NftablesKernel } from '../../src/kernel/nftables/interface.ts';
import { openNftables } from '../../src/kernel/nftables/table.ts';
import type { Endpoint, Frontend, NodeFacts, ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { type IpFamily, parseIp } from '../../src/net/ip.ts';
import { diff } from '../../src/rules/nftables/diff.ts';
import { ElementStore, elementTransaction } from '../../src/rules/nftables/elements.ts';
import { printProgram } from '../../src/rules/nftables/print.ts';
import { addresses, type CallResult, type PodName, podPort, Topology } from './topology.ts';

const facts: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [addresses.IPv4.node, addresses.IPv6.node],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16'), parseCidr('fd00:10:244::/56')] },
};
const serviceIps = { IPv4: parseIp('10.96.0.10'), IPv6: parseIp('fd00:10:96::10') } as const;

let topology: Topology;
let kernel: NftablesKernel;
let conntrack: Conntrack;

beforeAll(async () => {
  topology = new Topology();
  [kernel, conntrack] = topology.node.run(() => [openNftables(tableName), openConntrack()]);
  await topology.start();
});
afterAll(() => {
  kernel.close();
  conntrack.close();
  topology.close();
});

/** What the proxy does, for one family. */
class NodeProxy {
  readonly family: IpFamily;
  readonly #store = new ElementStore();

  constructor(family: IpFamily) {
    this.family = family;
    kernel.remove(family);
    kernel.apply(diff(undefined, compileBase(facts, family)));
  }

  serve(port: ServicePort): void {
    const change = this.#store.replace(port.name, compileServicePort(port, this.family));
    kernel.apply(elementTransaction(compileBase(facts, this.family), [change]));
  }

  difference() {
    const { commands, units } = diff(kernel.load(this.family), compileBase(facts, this.family), this.#store.groups());
    return { commands, units };
  }
}

function isAnswer(result: CallResult): boolean {
  return result.answer !== undefined;
}

describe.each(['IPv4', 'IPv6'] as const)('nftables mode, %s:', (family) => {
  const at = addresses[family];
  const serviceIp = serviceIps[family];
  let proxy: NodeProxy;

  const endpoint = (pod: PodName): Endpoint => ({ ip: at[pod], port: podPort, local: true });
  const webPort = (
    pods: readonly PodName[],
    frontend: Partial<Frontend> = {},
    protocol: ServicePort['protocol'] = 'TCP',
  ): ServicePort => ({
    name: `default/web:${protocol.toLowerCase()}`,
    protocol,
    frontends: [
      {
        kind: 'cluster-ip',
        ip: serviceIp,
        port: 80,
        endpoints: pods.map(endpoint),
        whenEmpty: 'reject',
        masquerade: 'off-cluster',
        ...frontend,
      },
    ],
  });
  const service = { ip: serviceIp, port: 80 };

  beforeEach(() => {
    proxy = new NodeProxy(family);
    conntrack.delete(() => true);
  });

  test('a Pod reaches both endpoints of a cluster IP and is seen as itself', async () => {
    proxy.serve(webPort(['podA', 'podB']));
    const answers = new Map<string | undefined, number>();
    for (let i = 0; i < 200; i++) {
      const { answer } = await topology.pods.podC.call('tcp', service);
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
    expect([...answers.keys()].sort()).toEqual([`podA ${at.podC}`, `podB ${at.podC}`]);
    // Six standard deviations around a half.
    for (const count of answers.values()) expect(count).toBeGreaterThan(57);
  });

  test('the node reaches a cluster IP', async () => {
    proxy.serve(webPort(['podA', 'podB']));
    expect((await topology.node.call('tcp', service)).answer).toMatch(/^pod[AB] /);
  });

  test('UDP is served, by the same rules', async () => {
    proxy.serve(webPort(['podA'], {}, 'UDP'));
    expect((await topology.pods.podC.call('udp', service)).answer).toBe(`podA ${at.podC}`);
  });

  test('a Pod reaches itself through its Service, and sees the node as the client', async () => {
    proxy.serve(webPort(['podA']));
    expect((await topology.pods.podA.call('tcp', service)).answer).toBe(`podA ${at.bridge}`);
  });

  test('a node port works from outside, and the Pod sees the node', async () => {
    proxy.serve(webPort(['podA'], { kind: 'node-port', ip: at.node, port: 30080, masquerade: 'always' }));
    const { answer } = await topology.client.call('tcp', { ip: at.node, port: 30080 });
    expect(answer).toBe(`podA ${at.bridge}`);
  });

  test('a client outside is masqueraded on the way to a cluster IP', async () => {
    proxy.serve(webPort(['podB']));
    expect((await topology.client.call('tcp', service)).answer).toBe(`podB ${at.bridge}`);
  });

  test('a client keeps its address where the model says so', async () => {
    proxy.serve(webPort(['podB'], { kind: 'external-ip', masquerade: 'never' }));
    expect((await topology.client.call('tcp', service)).answer).toBe(`podB ${at.client}`);
  });

  test('without endpoint every client is refused at once, however many ask', async () => {
    proxy.serve({
      ...webPort([]),
      frontends: [...webPort([]).frontends, ...webPort([], { kind: 'node-port', ip: at.node, port: 30080 }).frontends],
    });
    const calls = Array.from({ length: 30 }, () => topology.pods.podC.call('tcp', service));
    const results = [
      ...(await Promise.all(calls)),
      await topology.node.call('tcp', service),
      await topology.client.call('tcp', { ip: at.node, port: 30080 }),
    ];
    for (const result of results) {
      expect(result.error).toBe('ECONNREFUSED');
      expect(result.milliseconds).toBeLessThan(500);
    }
  });

  test('without endpoint UDP hears that the port is unreachable', async () => {
    proxy.serve(webPort([], {}, 'UDP'));
    expect((await topology.pods.podC.call('udp', service)).error).toBe('ECONNREFUSED');
  });

  test('where another node would answer there is silence', async () => {
    proxy.serve(webPort([], { whenEmpty: 'drop' }));
    expect((await topology.pods.podC.call('tcp', service)).error).toBe('TIMEOUT');
  });

  test('a port that the Service does not have is refused', async () => {
    proxy.serve(webPort(['podA']));
    for (const place of [topology.pods.podC, topology.node]) {
      expect((await place.call('tcp', { ip: serviceIp, port: 81 })).error).toBe('ECONNREFUSED');
    }
  });

  test('nine endpoints, which have no draw of their own size, are all reached', async () => {
    // One Pod under three names would be one; so the ports differ and only one of them answers.
    const ports = Array.from({ length: 9 }, (_, i) => ({ ip: at.podA, port: podPort + i, local: true }));
    proxy.serve(webPort([], { endpoints: ports }));
    const results: CallResult[] = [];
    for (let i = 0; i < 150; i++) results.push(await topology.pods.podC.call('tcp', service));
    const share = results.filter(isAnswer).length / results.length;
    // A ninth, within six standard deviations; the others are refused by the Pod itself.
    expect(Math.abs(share - 1 / 9)).toBeLessThan(0.155);
    expect(share).toBeGreaterThan(0);
    expect(results.filter((result) => !isAnswer(result)).every(({ error }) => error === 'ECONNREFUSED')).toBe(true);
  });

  test('an endpoint that is replaced is not missed for a moment', async () => {
    proxy.serve(webPort(['podA']));
    let flips = 0;
    const timer = setInterval(() => proxy.serve(webPort([flips++ % 2 === 0 ? 'podB' : 'podA'])), 3);
    const results: CallResult[] = [];
    const pods = new Set<string | undefined>();
    while (results.length < 200 || pods.size < 2 || flips < 20) {
      const result = await topology.pods.podC.call('tcp', service);
      results.push(result);
      pods.add(result.answer?.slice(0, 4));
    }
    clearInterval(timer);
    expect(results.filter((result) => !isAnswer(result))).toEqual([]);
    expect(pods).toEqual(new Set(['podA', 'podB']));
  });

  test('a UDP flow stays with an endpoint that is gone until its connection is deleted', async () => {
    const flow = { ...service, sourcePort: 40_000 };
    proxy.serve(webPort(['podA'], {}, 'UDP'));
    expect((await topology.pods.podC.call('udp', flow)).answer).toContain('podA');
    proxy.serve(webPort(['podB'], {}, 'UDP'));
    expect((await topology.pods.podC.call('udp', flow)).answer).toContain('podA');
    const deleted = conntrack.delete(
      ({ original, reply }) => original.destination === serviceIp && reply.source === at.podA,
      { family, protocol: 'UDP' },
    );
    expect(deleted).toBe(1);
    expect((await topology.pods.podC.call('udp', flow)).answer).toContain('podB');
  });

  test('what is in the kernel is what was compiled, and nft can list it', () => {
    proxy.serve(webPort(['podA', 'podB']));
    expect(proxy.difference()).toEqual({ commands: [], units: [] });
    const listing = topology.node.run(() => spawnSync('nft', ['list', 'ruleset'], { encoding: 'utf8' }));
    expect(listing.stderr).toBe('');
    expect(listing.stdout).toContain(`${serviceIp} . tcp . 80 comment "default/web:tcp"`);
    expect(listing.stdout).toContain(`${serviceIp} . tcp . 80 . 1 : ${at.podB} . ${podPort}`);
    expect(listing.stdout).not.toMatch(/invalid|unknown/i);
    // Line for line as it prints here; nft sorts elements.
    const table = topology.node.run(() =>
      spawnSync('nft', ['list', 'table', family === 'IPv4' ? 'ip' : 'ip6', tableName], { encoding: 'utf8' }),
    );
    const lines = (text: string) =>
      text
        .split(/\n|, |elements = \{ | \}|,$/m)
        .map((line) => line.trim())
        .sort();
    const program = kernel.load(family);
    expect(lines(table.stdout)).toEqual(lines(program === undefined ? '' : printProgram(program)));
  });
});
