import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compileBase } from '../../src/backends/nftables/compile.ts';
import { tableName } from '../../src/backends/nftables/names.ts';
import { compileServicePort } from '../../src/backends/nftables/service.ts';
import { type Conntrack, openConntrack } from '../../src/kernel/conntrack.ts';
import type { NftablesKernel } from '../../src/kernel/nftables/interface.ts';
import { openNftables } from '../../src/kernel/nftables/table.ts';
import type { Endpoint, NodeFacts, ServicePort } from '../../src/model/types.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import { diff } from '../../src/rules/nftables/diff.ts';
import { ElementStore, elementTransaction } from '../../src/rules/nftables/elements.ts';
import { printProgram } from '../../src/rules/nftables/print.ts';
import { nodeFactsOf } from './objects.ts';
import { addresses, clusterIp, podPort } from './places.ts';
import { type Command, type Place, Topology } from './topology.ts';

let topology: Topology;
let kernel: NftablesKernel;
let conntrack: Conntrack;

beforeAll(async () => {
  topology = new Topology();
  kernel = openNftables(tableName);
  conntrack = openConntrack();
  await topology.start();
});
afterAll(() => {
  kernel.close();
  conntrack.close();
  topology.close();
});

/** What the backend does, for one family. */
class Table {
  readonly family: IpFamily;
  readonly #facts: NodeFacts;
  readonly #store = new ElementStore();

  constructor(family: IpFamily) {
    this.family = family;
    this.#facts = nodeFactsOf({});
    kernel.remove(family);
    kernel.apply(diff(undefined, this.#base));
  }

  serve(port: ServicePort): void {
    const change = this.#store.replace(port.name, compileServicePort(port, this.family));
    kernel.apply(elementTransaction(this.#base, [change]));
  }

  difference() {
    const { commands, units } = diff(kernel.load(this.family), this.#base, this.#store.groups());
    return { commands, units };
  }

  get #base() {
    return compileBase(this.#facts, this.family);
  }
}

async function ask(place: Place, protocol: Command['protocol'], to: Partial<Command> & { ip: string; port: number }) {
  return (await place.call({ protocol, times: 1, timeout: 20_000, ...to })).outcomes;
}

// What every mode has in common is in services.kernel.test.ts.
describe.each(['IPv4', 'IPv6'] as const)('nftables mode, %s:', (family) => {
  const at = addresses[family];
  const service = { ip: clusterIp(family, 0), port: 80 };
  const onPod = (pod: 'podA' | 'podB'): Endpoint => ({ ip: at[pod], port: podPort, local: true });
  const webPort = (endpoints: readonly Endpoint[], protocol: ServicePort['protocol'] = 'TCP'): ServicePort => ({
    name: `default/web:${protocol.toLowerCase()}`,
    protocol,
    frontends: [{ kind: 'cluster-ip', ...service, endpoints, whenEmpty: 'reject', masquerade: 'off-cluster' }],
  });
  let table: Table;

  beforeEach(() => {
    table = new Table(family);
    conntrack.delete(() => true);
  });

  test('a port of a cluster IP that the Service does not have is refused', async () => {
    table.serve(webPort([onPod('podA')]));
    for (const place of [topology.pods.podC, topology.node]) {
      expect(await ask(place, 'tcp', { ...service, port: 81 })).toEqual(['ECONNREFUSED']);
    }
  });

  test('nine endpoints, which have no draw of their own size, are all reached', async () => {
    // One Pod under three names would be one; so the ports differ and only two of them answer.
    table.serve(webPort(Array.from({ length: 9 }, (_, i) => ({ ip: at.podA, port: podPort + i, local: true }))));
    const outcomes = await ask(topology.pods.podC, 'tcp', { ...service, times: 400 });
    const share = outcomes.filter((outcome) => outcome.startsWith('podA')).length / outcomes.length;
    // Two ninths, within six standard deviations; the others are refused by the Pod itself.
    expect(Math.abs(share - 2 / 9)).toBeLessThan(0.145);
    expect(outcomes.every((outcome) => outcome.startsWith('podA') || outcome === 'ECONNREFUSED')).toBe(true);
  });

  test('a UDP flow stays with an endpoint that is gone until its connection is deleted', async () => {
    const flow = { ...service, sourcePort: 40_000 };
    table.serve(webPort([onPod('podA')], 'UDP'));
    expect(await ask(topology.pods.podC, 'udp', flow)).toEqual([expect.stringContaining('podA')]);
    table.serve(webPort([onPod('podB')], 'UDP'));
    expect(await ask(topology.pods.podC, 'udp', flow)).toEqual([expect.stringContaining('podA')]);
    const deleted = conntrack.delete(
      ({ original, reply }) => original.destination === service.ip && reply.source === at.podA,
      { family, protocol: 'UDP' },
    );
    expect(deleted).toBe(1);
    expect(await ask(topology.pods.podC, 'udp', flow)).toEqual([expect.stringContaining('podB')]);
  });

  test('what is in the kernel is what was compiled, and nft can list it', () => {
    table.serve(webPort([onPod('podA'), onPod('podB')]));
    expect(table.difference()).toEqual({ commands: [], units: [] });
    const listing = spawnSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });
    expect(listing.stderr).toBe('');
    expect(listing.stdout).toContain(`${service.ip} . tcp . 80 comment "default/web:tcp"`);
    expect(listing.stdout).toContain(`${service.ip} . tcp . 80 . 1 : ${at.podB} . ${podPort}`);
    expect(listing.stdout).not.toMatch(/invalid|unknown/i);
    // Line for line as it prints here; nft sorts elements.
    const listed = spawnSync('nft', ['list', 'table', family === 'IPv4' ? 'ip' : 'ip6', tableName], {
      encoding: 'utf8',
    });
    const lines = (text: string) =>
      text
        .split(/\n|, |elements = \{ | \}|,$/m)
        .map((line) => line.trim())
        .sort();
    const program = kernel.load(family);
    expect(lines(listed.stdout)).toEqual(lines(program === undefined ? '' : printProgram(program)));
  });
});
