import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Conntrack, openConntrack } from '../../src/kernel/conntrack.ts';
import { openRoutes } from '../../src/kernel/links.ts';
import { createNetns, deleteNetns, inNetns } from '../../src/kernel/netns.ts';
import { openNftables } from '../../src/kernel/nftables/table.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIp } from '../../src/net/ip.ts';
import { openNodeLocalNetwork } from '../../src/node-local/network.ts';
import { openNftablesBackend } from '../../src/proxy/nftables/backend.ts';
import { diff } from '../../src/rules/nftables/diff.ts';
import {
  type ComponentProcess,
  checkout,
  type JoinedCluster,
  startComponent,
  startJoinedCluster,
} from '../integration/joined-cluster.ts';
import { soon } from '../soon.ts';

// This network namespace is the node; its one Pod is in another, behind a pair of links.
const run = promisify(execFile);
const started: ComponentProcess[] = [];
const dir = mkdtempSync(join(tmpdir(), 'sbx-nld-'));
const pod = join(dir, 'pod');
const address = '169.254.20.10';
const serviceAddress = '10.96.0.10';
const hello = 'hello.default.svc.cluster.local';
const deployed = readFileSync(join(checkout, 'deploy/node-local-dns/Corefile'), 'utf8');
const corefile = deployed.replace('lameduck 5s', 'lameduck 300ms');
let cluster: JoinedCluster;
let conntrack: Conntrack;
let kubeconfig: string;

beforeAll(async () => {
  createNetns(pod);
  const node = openRoutes();
  node.createVeth({ name: 'veth0', up: true, peer: { name: 'eth0', netns: { path: pod } } });
  node.addAddress('veth0', { ip: parseIp('10.244.1.1'), prefix: 24 });
  node.close();
  const inside = inNetns(pod, openRoutes);
  inside.setLink('eth0', { up: true });
  inside.addAddress('eth0', { ip: parseIp('10.244.1.2'), prefix: 24 });
  inside.addRoute({ destination: parseCidr('0.0.0.0/0'), gateway: parseIp('10.244.1.1') });
  inside.close();
  // A rule about connections, such as every node with a proxy has, makes the kernel track them.
  const tracking = openNftables('tracking');
  const looks = {
    statements: [
      { kind: 'ct state', state: 'new' },
      { kind: 'ct status', status: 'dnat' },
    ],
  } as const;
  const chain = { name: 'input', hook: { type: 'filter', hook: 'input', priority: 0 }, rules: [looks] } as const;
  tracking.apply(diff(undefined, { family: 'ip', table: 'tracking', sets: [], chains: [chain], elements: [] }));
  tracking.close();
  conntrack = openConntrack();
  cluster = await startJoinedCluster();
  await cluster.kubectl('apply', '-k', join(checkout, 'deploy/node-local-dns'));
  kubeconfig = await cluster.kubeconfigOf('signalbox-node-local-dns');
  const place = { namespace: 'default', name: 'hello' };
  await cluster.admin.create('services', { metadata: place, spec: { clusterIP: '10.96.0.7', ports: [{ port: 80 }] } });
  const crowd = { namespace: 'default', name: 'crowd' };
  await cluster.admin.create('services', { metadata: crowd, spec: { clusterIP: 'None', ports: [{ port: 80 }] } });
  await cluster.admin.create('endpointSlices', {
    metadata: { ...crowd, labels: { 'kubernetes.io/service-name': 'crowd' } },
    addressType: 'IPv4',
    ports: [{ port: 80 }],
    endpoints: Array.from({ length: 90 }, (_, i) => ({
      addresses: [`10.244.9.${i + 1}`],
      conditions: { ready: true },
    })),
  });
}, 120_000);
// What a failed test left must not be in the way of the next.
afterEach(() => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
});
afterAll(async () => {
  conntrack.close();
  await cluster.close();
  deleteNetns(pod);
  rmSync(dir, { recursive: true, force: true });
});

/** As the container of the DaemonSet is: root with its two capabilities, or with other ones. */
async function start(config = corefile, capabilities = ['net_admin', 'net_bind_service']): Promise<ComponentProcess> {
  const wrap = [
    'setpriv',
    `--bounding-set=-all${capabilities.map((name) => `,+${name}`).join('')}`,
    '--inh-caps=-all',
    '--no-new-privs',
  ];
  const file = join(dir, 'Corefile');
  await writeFile(file, config);
  const component = startComponent(['dns', '--node-local', '--kubeconfig', kubeconfig, '--config', file], wrap);
  started.push(component);
  return component;
}

/** What the Pod's dig prints, or why there is no answer. */
async function dig(...args: string[]): Promise<string> {
  const { stdout } = await run('nsenter', [`--net=${pod}`, 'dig', '+tries=1', '+time=10', '+short', ...args]).catch(
    (error: { stdout: string }) => error,
  );
  return stdout.trim();
}

const isAnswered = (...args: string[]) =>
  vi.waitFor(async () => expect(await dig(`@${address}`, hello, ...args)).toBe('10.96.0.7'), { timeout: 40_000 });
const flows = (port: number) => conntrack.list().filter(({ original }) => original.destinationPort === port);
const nft = (...args: string[]) => execFileSync('nft', args).toString();
const isUntracked = () =>
  vi.waitFor(() => expect(nft('list', 'tables')).toContain('nodelocaldns'), { timeout: 40_000 });
/** What is on the node of it. */
const remains = () => ({
  tables: nft('list', 'tables').includes('nodelocaldns'),
  device: execFileSync('ip', ['-o', 'link']).toString().includes('nodelocaldns'),
});
const all = { tables: true, device: true };
const nothing = { tables: false, device: false };

describe('signalbox dns --node-local, as deploy/node-local-dns runs it', () => {
  test('serves Pods by UDP and TCP without an entry in connection tracking, and all else with one', {
    timeout: 200_000,
  }, async () => {
    const dns = await start();
    await isAnswered();
    await isUntracked();
    conntrack.delete(() => true);
    await isAnswered();
    await isAnswered('+tcp');
    // Too long for UDP: asked for again by TCP.
    expect((await dig(`@${address}`, 'crowd.default.svc.cluster.local')).split('\n')).toHaveLength(90);
    expect(await dig(`@${address}`, '+ignore', '+noshort', '+comments', 'crowd.default.svc.cluster.local')).toContain(
      'flags: qr aa tc',
    );
    // The node itself asks, too.
    expect(execFileSync('dig', [`@${address}`, '+short', hello]).toString()).toBe('10.96.0.7\n');
    expect(flows(53)).toEqual([]);
    await run('nsenter', [`--net=${pod}`, 'curl', '-sSf', `http://${address}:8181/ready`]);
    expect(flows(8181)).toHaveLength(1);
    // Without the rules there would be one. They are soon put back.
    await soon(async () => {
      if (remains().tables) nft('delete', 'table', 'ip', 'nodelocaldns');
      await isAnswered();
      expect(flows(53)[0]?.original).toMatchObject({ source: '10.244.1.2', destination: address });
    });

    await vi.waitFor(() => expect(remains()).toEqual(all), { timeout: 40_000 });
    expect(await dns.stop()).toBe(0);
    expect(dns.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
    expect(remains()).toEqual(nothing);
    expect(await cluster.refusals()).toEqual([]);
  });

  test("serves the Service's own address too, past the rules of the proxy", { timeout: 200_000 }, async () => {
    const backend = openNftablesBackend();
    const elsewhere = [{ ip: parseIp('10.244.1.3'), port: 53, local: true }];
    const frontend = { kind: 'cluster-ip', ip: parseIp(serviceAddress), port: 53, endpoints: elsewhere } as const;
    const frontends = [{ ...frontend, whenEmpty: 'reject', masquerade: 'never' } as const];
    const ports = (['UDP', 'TCP'] as const).map((protocol) => {
      const name = `kube-system/kube-dns:${protocol}`;
      return [name, { name, protocol, frontends }] as const;
    });
    const facts = {
      name: 'node-1',
      zone: undefined,
      addresses: [],
      nodePortAddresses: [],
      nodePortsEverywhere: [],
      localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
    } as const;
    backend.sync(facts, new Map(ports));
    const dns = await start(corefile.replace(`bind ${address}`, `bind ${address} ${serviceAddress}`));
    try {
      await isUntracked();
      conntrack.delete(() => true);
      for (const how of ['+notcp', '+tcp']) expect(await dig(`@${serviceAddress}`, how, hello)).toBe('10.96.0.7');
      await isAnswered();
      expect(flows(53)).toEqual([]);
    } finally {
      expect(await dns.stop()).toBe(0);
      await backend.cleanup();
      backend.close();
    }
    expect(remains()).toEqual(nothing);
  });

  test('is joined by its successor before it goes, with no query refused; killed, it leaves all to the next', {
    timeout: 200_000,
  }, async () => {
    const first = await start();
    await isUntracked();
    const second = await start();
    const answers: string[] = [];
    let isOver = false;
    const asking = (async () => {
      // Resolvers ask a second time, when nothing comes; a refusal they take for an answer.
      while (!isOver) answers.push(await dig(`@${address}`, '+tries=3', '+time=3', hello));
    })();
    const ready = () => second.log.some(({ msg }) => msg === 'serving');
    await vi.waitFor(() => expect(ready()).toBe(true), { timeout: 40_000 });
    expect(await first.stop()).toBe(0);
    await vi.waitFor(() => run('nsenter', [`--net=${pod}`, 'curl', '-sSf', `http://${address}:8181/ready`]), {
      timeout: 40_000,
    });
    isOver = true;
    await asking;
    expect(answers.length).toBeGreaterThan(3);
    expect(new Set(answers)).toEqual(new Set(['10.96.0.7']));
    expect(remains()).toEqual(all);

    await second.stop('SIGKILL');
    expect(remains()).toEqual(all);
    expect(await dig(`@${address}`, hello)).toContain('connection refused');
    const third = await start();
    await isAnswered();
    expect(await third.stop()).toBe(0);
    expect(remains()).toEqual(nothing);
  });

  test('says what is in its way, and leaves nothing', { timeout: 200_000 }, async () => {
    const failure = async (dns: ComponentProcess) => {
      await once(dns.child, 'close');
      expect(dns.child.exitCode).toBe(1);
      return dns.log.at(-1)?.msg;
    };
    expect(await failure(await start(corefile, ['net_bind_service']))).toMatch(/CAP_NET_ADMIN.* \[KERNEL_REFUSED\]$/);
    expect(await failure(await start(corefile.replace(`bind ${address}`, 'bind 10.244.1.1')))).toMatch(
      /^signalbox: the address 10.244.1.1 is on the device veth0 .* \[ADDRESS_TAKEN\]$/,
    );
    const other = createServer().listen(53, '0.0.0.0');
    try {
      expect(await failure(await start())).toMatch(/^signalbox: 169.254.20.10:53 TCP cannot be .* \[PORT_TAKEN\]$/);
    } finally {
      other.close();
    }
    expect(remains()).toEqual(nothing);
  });
});

describe('openNodeLocalNetwork', () => {
  test('keeps the addresses that are wanted, and takes others away', () => {
    const network = openNodeLocalNetwork();
    const ips = (...texts: string[]) => new Set(texts.map(parseIp));
    const routes = openRoutes();
    const present = () =>
      routes
        .listAddresses('nodelocaldns')
        .map(({ ip, prefix }) => `${ip}/${prefix}`)
        .filter((text) => !text.startsWith('fe80'))
        .sort();
    try {
      expect(network.exists()).toBe(false);
      expect(network.addAddresses(ips(address, 'fd00::10'))).toEqual([
        'device nodelocaldns',
        `address ${address}`,
        'address fd00::10',
      ]);
      expect(network.addAddresses(ips(address, 'fd00::10'))).toEqual([]);
      routes.setLink('nodelocaldns', { up: false });
      network.addAddresses(ips(address, '169.254.20.11'));
      expect(routes.getLink('nodelocaldns')?.up).toBe(true);
      network.keepAddresses(ips(address));
      expect(present()).toEqual([`${address}/32`]);
      const place = (ip: string) => ({ ip: parseIp(ip), port: 53, protocol: 'udp' }) as const;
      expect(network.setRules([place(address), place('fd00::10')])).toEqual([
        'table ip nodelocaldns',
        'table ip6 nodelocaldns',
      ]);
      expect(network.setRules([place('fd00::10')])).toEqual(['table ip nodelocaldns']);
      expect(network.setRules([place('fd00::10')])).toEqual([]);
      expect(network.setRules([place('fd00::11')])).toEqual(['table ip6 nodelocaldns']);
      expect(network.removeRules()).toEqual(['table ip6 nodelocaldns']);
      expect(network.removeDevice()).toEqual(['device nodelocaldns']);
      expect([...network.removeRules(), ...network.removeDevice()]).toEqual([]);
    } finally {
      routes.close();
      network.close();
    }
  });
});
