import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addresses, podPort } from '../../../test/conformance/places.ts';
import { Topology } from '../../../test/conformance/topology.ts';
import { createLogger } from '../../component/log.ts';
import type { Endpoint, Frontend, NodeFacts, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { type IpvsBackend, type IpvsModeSettings, openIpvsBackend } from './backend.ts';

const at = addresses.IPv4;
const facts: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [at.node],
  nodePortAddresses: [at.node],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const settings: IpvsModeSettings = {
  scheduler: 'rr',
  excludeCidrs: [],
  strictArp: false,
  timeouts: { tcp: 0, tcpFin: 0, udp: 0 },
  masqueradeBit: 14,
};
const log = createLogger('test');
log.level = 'silent';
const serviceIp = parseIp('10.96.0.10');

let topology: Topology;
let backend: IpvsBackend;
beforeAll(async () => {
  topology = new Topology();
  await topology.start();
});
afterAll(() => topology.close());
beforeEach(async () => {
  backend = await openIpvsBackend(settings, log);
  await backend.prepare(facts);
});
afterEach(async () => {
  await backend.cleanup();
  backend.close();
});

function run(command: string, ...args: string[]): string {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' });
  expect({ command: [command, ...args].join(' '), stderr, status }).toMatchObject({ status: 0 });
  return stdout;
}

function endpoint(ip: Ip): Endpoint {
  return { ip, port: podPort, local: true };
}

function web(pods: readonly Ip[], frontend: Partial<Frontend> = {}, protocol: 'TCP' | 'UDP' = 'TCP'): ServicePort {
  return {
    name: 'default/web',
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
  };
}

const sync = (...ports: readonly ServicePort[]) => backend.sync(facts, new Map(ports.map((port) => [port.name, port])));

/** Who answers a call by TCP or UDP, or why nobody does. */
async function call(from: 'client' | 'podC' | 'node', ip: Ip, port: number): Promise<string | undefined> {
  const { outcomes } = await topology.place(from).call({ protocol: 'tcp', ip, port, times: 1, timeout: 3000 });
  return outcomes[0]?.split(' ')[0];
}

function servers(): string {
  return run('ipvsadm', '-S', '-n');
}

function boundAddresses(): string {
  return run('ip', '-o', '-4', 'address', 'show', 'dev', 'kube-ipvs0');
}

/** A connection to the Service from the node, held open until it is closed with a reset. */
function hold(): Promise<{ reset: () => void }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: serviceIp, port: 80, allowHalfOpen: true });
    socket.on('error', reject);
    socket.on('data', () => resolve({ reset: () => socket.resetAndDestroy() }));
  });
}

describe('IpvsBackend', () => {
  test('an address of the node is served and never put on the dummy device, and who asks for it is told once', async () => {
    const port = web([at.podA], { kind: 'external-ip', ip: at.node, port: 34080, masquerade: 'always' });
    const { notices } = await sync(port);
    expect(notices).toEqual([
      {
        servicePort: 'default/web',
        reason: 'NodeAddressNotBound',
        message: expect.stringContaining(`${at.node} is an`),
      },
    ]);
    expect(boundAddresses()).not.toContain(at.node);
    expect(run('ipset', 'list', 'KUBE-IPVS-IPS')).not.toContain(at.node);
    for (const from of ['client', 'podC', 'node'] as const) expect(await call(from, at.node, 34080)).toBe('podA');
    // What listens on the node itself is still there for others.
    expect(await call('client', at.node, 8090)).toBe('node');
    expect((await sync(port)).notices).toBeUndefined();
  });

  test('an address that becomes the node’s own later leaves the dummy device, and comes back', async () => {
    const ip = parseIp('203.0.113.7');
    await sync(web([at.podA], { kind: 'external-ip', ip, masquerade: 'always' }));
    expect(boundAddresses()).toContain(ip);
    const address = { ip, prefix: 24 };
    topology.node.routes.addAddress('eth0', address);
    const { notices } = await backend.check(AbortSignal.timeout(60_000));
    expect(notices).toMatchObject([{ servicePort: 'default/web', reason: 'NodeAddressNotBound' }]);
    expect(boundAddresses()).not.toContain(ip);
    expect(await call('client', ip, 80)).toBe('podA');
    topology.node.routes.removeAddress('eth0', address);
    await backend.check(AbortSignal.timeout(60_000));
    expect(boundAddresses()).toContain(ip);
  });

  test('an endpoint that leaves gets no new connections and keeps its old ones until they end', async () => {
    await sync(web([at.podA]));
    const connection = await hold();
    await sync(web([at.podB]));
    expect(servers()).toContain(`-r ${at.podA}:${podPort} -m -w 0`);
    for (let i = 0; i < 4; i++) expect(await call('podC', serviceIp, 80)).toBe('podB');
    connection.reset();
    // IPVS forgets a connection ten seconds after a reset; then five more at most until somebody looks.
    await expect.poll(servers, { timeout: 60_000, interval: 1000 }).not.toContain(at.podA);
    expect(servers()).toContain(`-r ${at.podB}:${podPort} -m -w 1`);
  });

  test('an endpoint that comes back while its connections end takes new ones again, over a restart as well', async () => {
    await sync(web([at.podA, at.podB]));
    const connection = await hold();
    await sync(web([at.podB]));
    expect(servers()).toContain(`-r ${at.podA}:${podPort} -m -w 0`);
    backend.close();
    backend = await openIpvsBackend(settings, log);
    await backend.prepare(facts);
    await sync(web([at.podB]));
    expect(servers()).toContain(`-r ${at.podA}:${podPort} -m -w 0`);
    await sync(web([at.podA, at.podB]));
    expect(servers()).toContain(`-r ${at.podA}:${podPort} -m -w 1`);
    connection.reset();
  });

  test('an endpoint of a UDP port goes at once', async () => {
    await sync(web([at.podA], {}, 'UDP'));
    await sync(web([at.podB], {}, 'UDP'));
    expect(servers()).not.toContain(at.podA);
  });

  test('a client with affinity stays with its endpoint, and goes to another when that one leaves', async () => {
    const sticky = (pods: readonly Ip[]) => ({ ...web(pods), affinitySeconds: 60 });
    await sync(sticky([at.podA, at.podB]));
    expect(servers()).toContain('-s rr -p 60');
    const first = await call('podC', serviceIp, 80);
    for (let i = 0; i < 4; i++) expect(await call('podC', serviceIp, 80)).toBe(first);
    const [left, other] = first === 'podA' ? ([at.podB, 'podB'] as const) : ([at.podA, 'podA'] as const);
    await sync(sticky([left]));
    expect(await call('podC', serviceIp, 80)).toBe(other);
  });

  test('a proxy that starts changes nothing of what is right, and removes what is stale', async () => {
    run('ipvsadm', '-A', '-t', '192.0.2.1:80', '-s', 'rr');
    await sync(web([at.podA]), { ...web([at.podB], { ip: parseIp('10.96.0.11') }), name: 'default/old' });
    const before = servers();
    backend.close();
    backend = await openIpvsBackend(settings, log);
    await backend.prepare(facts);
    expect(servers()).toBe(before);
    await sync(web([at.podA]));
    expect(servers()).toContain(`-a -t ${serviceIp}:80 -r ${at.podA}:${podPort} -m -w 1`);
    expect(servers()).not.toContain('10.96.0.11');
    expect(servers()).toContain('-A -t 192.0.2.1:80');
    run('ipvsadm', '-D', '-t', '192.0.2.1:80');
  });

  test('check puts right what others have changed, and says what it was', async () => {
    await sync(web([at.podA]));
    run('ipvsadm', '-C');
    run('ipset', 'flush');
    run('ip', 'link', 'delete', 'kube-ipvs0');
    run('iptables', '-t', 'nat', '-F', 'KUBE-SERVICES');
    const { repaired, refused } = await backend.check(AbortSignal.timeout(60_000));
    expect(refused.size).toBe(0);
    expect(repaired).toEqual(
      expect.arrayContaining([
        'IPv4 table nat: rules were missing or changed',
        '1 virtual servers were missing',
        '1 addresses of kube-ipvs0 were missing',
        expect.stringMatching(/entries of ipsets were missing/),
      ]),
    );
    expect(await call('podC', serviceIp, 80)).toBe('podA');
    expect((await backend.check(AbortSignal.timeout(60_000))).repaired).toEqual([]);
  });

  test('cleanup leaves nothing of ours and all of others', async () => {
    run('ipvsadm', '-A', '-t', '192.0.2.1:80', '-s', 'rr');
    run('ipset', 'create', 'OTHERS', 'hash:ip');
    run('iptables', '-t', 'nat', '-A', 'PREROUTING', '-d', '192.0.2.9', '-j', 'ACCEPT');
    await sync(web([at.podA]), {
      ...web([at.podA], { kind: 'node-port', ip: at.node, port: 30080, masquerade: 'always' }),
      name: 'default/other',
    });
    const removed = await backend.cleanup();
    expect(removed.join(', ')).toMatch(/2 IPVS virtual servers, the device kube-ipvs0, \d+ ipsets/);
    expect(servers()).toBe('-A -t 192.0.2.1:80 -s rr\n');
    expect(run('ipset', 'list', '-n')).toBe('OTHERS\n');
    expect(run('ip', '-o', 'link')).not.toContain('kube-ipvs0');
    expect(run('iptables-save') + run('ip6tables-save')).not.toContain('KUBE-');
    expect(run('iptables-save', '-t', 'nat')).toContain('-A PREROUTING -d 192.0.2.9/32 -j ACCEPT');
    expect(await backend.cleanup()).toEqual([]);
    run('ipvsadm', '-C');
    run('ipset', 'destroy', 'OTHERS');
    run('iptables', '-t', 'nat', '-F', 'PREROUTING');
  });

  test('a scheduler that the kernel lacks is an error that names its module', async () => {
    const other = await openIpvsBackend({ ...settings, scheduler: 'twos' }, log);
    await expect(other.prepare(facts)).rejects.toMatchObject({
      code: 'KERNEL_LACKS_IPVS',
      message: expect.stringContaining('modprobe ip_vs_twos'),
    });
    other.close();
  });
});
