import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { ask, endpoints, serveEndpoints } from '../../src/proxy/testing/loopback-bed.ts';
import { checkout, type JoinedCluster, startComponent, startJoinedCluster } from '../integration/joined-cluster.ts';

const clusterIp = '10.96.0.7';
let closeEndpoints = () => {};
let cluster: JoinedCluster;
let config: string;

beforeAll(async () => {
  closeEndpoints = await serveEndpoints();
  cluster = await startJoinedCluster();
  await cluster.kubectl('apply', '-k', join(checkout, 'deploy/proxy'));
  const configured = await readFile(join(checkout, 'deploy/proxy/config.yaml'), 'utf8');
  config = join(cluster.server.dir, 'config.yaml');
  await writeFile(
    config,
    configured
      .replace('/etc/signalbox/kubeconfig.yaml', await cluster.kubeconfigOf('signalbox-proxy'))
      // Here is no kubelet that has given that already.
      .replace('-997', '500')
      .concat('nftables: {syncPeriod: 1s}\n'),
  );
  const { admin } = cluster;
  await admin.create('nodes', { metadata: { name: 'node-1' } });
  const place = { namespace: 'default', name: 'hello' };
  await admin.create('services', { metadata: place, spec: { clusterIP: clusterIp, ports: [{ port: 80 }] } });
  await admin.create('endpointSlices', {
    metadata: { ...place, labels: { 'kubernetes.io/service-name': 'hello' } },
    addressType: 'IPv4',
    ports: [{ port: 8080 }],
    endpoints: endpoints.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
  });
}, 120_000);
afterAll(async () => {
  closeEndpoints();
  await cluster.close();
});

/** Who answers, or why nobody does. */
const askService = () => ask(clusterIp, 80);

const isAnswered = () => vi.waitFor(async () => expect(endpoints).toContain(await askService()), { timeout: 40_000 });

/** Root with these capabilities alone, as the container of the DaemonSet is. */
const rootWith = (...capabilities: string[]) => [
  'setpriv',
  `--bounding-set=-all${capabilities.map((name) => `,+${name}`).join('')}`,
  '--inh-caps=-all',
  '--no-new-privs',
];

function startProxy(capabilities: readonly string[] = ['net_admin']) {
  return startComponent(['proxy', '--config', config, '--hostname-override', 'node-1'], rootWith(...capabilities));
}

/** What kube-proxy leaves in iptables mode: a Service whose only endpoint is long gone; and two chains of the kubelet. */
const left = `*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-WR2LASOULGGSX3JN - [0:0]
:KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d ${clusterIp}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-WR2LASOULGGSX3JN
-A KUBE-SVC-WR2LASOULGGSX3JN -j KUBE-SEP-AAAAAAAAAAAAAAAA
-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.244.1.2:9
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
`;

/** The same in its nftables mode. */
const tables = `
table ip kube-proxy {
  chain nat-prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr ${clusterIp} tcp dport 80 dnat to 10.244.1.2:9
  }
  chain nat-output {
    type nat hook output priority -100;
    ip daddr ${clusterIp} tcp dport 80 dnat to 10.244.1.2:9
  }
}
table ip6 kube-proxy {
  chain services {
  }
}
`;

const chains = () =>
  ['nat', 'filter'].flatMap((table) =>
    [
      ...execFileSync('iptables-save', ['-t', table])
        .toString()
        .matchAll(/^:(KUBE-\S+)/gm),
    ].map(([, name]) => name),
  );

describe('signalbox proxy, as deploy/proxy runs it', () => {
  test('takes over from kube-proxy in iptables mode, and leaves the kubelet its chains', {
    timeout: 200_000,
  }, async () => {
    execFileSync('iptables-restore', ['--noflush'], { input: left });
    expect(await askService()).toBe('ECONNREFUSED');
    const proxy = startProxy();
    await isAnswered();
    await vi.waitFor(() => expect(chains()).toEqual(['KUBE-KUBELET-CANARY', 'KUBE-FIREWALL']), { timeout: 40_000 });
    expect(await proxy.stop()).toBe(0);
    expect(proxy.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
  });

  test('takes over from kube-proxy in nftables mode, and tells of one that works beside it', {
    timeout: 200_000,
  }, async () => {
    execFileSync('nft', ['-f', '-'], { input: tables });
    expect(await askService()).toBe('ECONNREFUSED');
    const proxy = startProxy();
    await isAnswered();
    const names = () => execFileSync('nft', ['list', 'tables']).toString();
    await vi.waitFor(() => expect(names()).not.toContain('kube-proxy'), { timeout: 40_000 });
    expect(names()).toContain('table ip signalbox\n');
    const isTold = (message: string) =>
      vi.waitFor(() => expect(proxy.log.some(({ msg }) => String(msg).includes(message))).toBe(true), {
        timeout: 40_000,
      });
    await isTold('removed what kube-proxy had left');
    execFileSync('nft', ['-f', '-'], { input: tables });
    await isTold('A kube-proxy works on this node, too');
    const events = async () => (await cluster.admin.list('events', {})).items.map(({ reason }) => reason);
    await vi.waitFor(async () => expect(await events()).toContain('KubeProxyRunning'), { timeout: 40_000 });
    expect(await proxy.stop()).toBe(0);
    // The way back leaves it alone: it may serve already.
    execFileSync(process.execPath, [join(checkout, 'bin/signalbox'), 'proxy', '--cleanup']);
    expect(names()).not.toContain('signalbox');
    for (const family of ['ip', 'ip6']) execFileSync('nft', ['delete', 'table', family, 'kube-proxy']);
  });

  test('without CAP_NET_ADMIN it ends, and says that the kernel refuses', { timeout: 200_000 }, async () => {
    const { child, log } = startProxy([]);
    await once(child, 'close');
    expect(child.exitCode).toBe(1);
    expect(log.at(-1)?.msg).toMatch(/\[KERNEL_\w+\]$/);
  });

  test('without any right it says which are missing, does not end, and serves when it has them', {
    timeout: 200_000,
  }, async () => {
    const account = { namespace: 'kube-system', name: 'poor-proxy' };
    await cluster.admin.create('serviceAccounts', { metadata: account });
    const poor = `${config}.poor`;
    const mine = await cluster.kubeconfigOf('poor-proxy');
    await writeFile(poor, (await readFile(config, 'utf8')).replace(/kubeconfig: .*/, `kubeconfig: ${mine}`));
    const proxy = startComponent(['proxy', '--config', poor, '--hostname-override', 'node-1'], rootWith('net_admin'));
    const said = () => proxy.log.map(({ err }) => (err as { message?: string } | undefined)?.message ?? '').join('\n');
    for (const right of ['services', 'nodes', 'endpointslices.discovery.k8s.io'])
      await vi.waitFor(
        () => expect(said()).toMatch(new RegExp(`poor-proxy may not list ${right} .*\\[API_FORBIDDEN\\]`)),
        {
          timeout: 40_000,
        },
      );
    await cluster.admin.create('clusterRoleBindings', {
      metadata: { name: 'poor-proxy' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'signalbox-proxy' },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    });
    const isReady = async () => expect((await fetch('http://127.0.0.1:10256/healthz')).status).toBe(200);
    await vi.waitFor(isReady, { timeout: 30_000 });
    await isAnswered();
    expect(await proxy.stop()).toBe(0);
  });

  test('works with that capability and the rights of its role, and is replaced without a connection lost', {
    timeout: 200_000,
  }, async () => {
    const refusals = await cluster.refusals();
    let proxy = startProxy();
    await isAnswered();
    const answers = new Map<string, number>();
    const open: Promise<void>[] = [];
    // 200 a second.
    const load = setInterval(() => {
      open.push(askService().then((answer) => void answers.set(answer, (answers.get(answer) ?? 0) + 1)));
    }, 5);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await proxy.stop(signal);
      proxy = startProxy();
      await vi.waitFor(async () => expect((await fetch('http://127.0.0.1:10256/healthz')).status).toBe(200), {
        timeout: 40_000,
      });
    }
    clearInterval(load);
    await Promise.all(open);
    expect([...answers.keys()].sort()).toEqual(endpoints);
    // A right or setting that is lacking would be told.
    expect(proxy.log.filter(({ level }) => Number(level) >= 40)).toEqual([]);
    expect(await cluster.refusals()).toEqual(refusals);
    expect(await proxy.stop()).toBe(0);
    expect(endpoints).toContain(await askService());
  });
});
