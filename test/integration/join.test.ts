import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PolicyRule } from '../../src/api/generated/types.ts';
import { connect } from '../../src/client/client.ts';
import { createEventRecorder } from '../../src/client/events.ts';
import { writeKubeconfig } from '../../src/client/kubeconfig.ts';
import { runAsLeader } from '../../src/client/leader-election.ts';
import type { ApiClient } from '../../src/client/types.ts';
import { aborted } from '../../src/component/abort.ts';
import { parseControllersConfig } from '../../src/controllers/config.ts';
import { startControllers } from '../../src/controllers/run.ts';
import { parseDnsConfig } from '../../src/dns/config/fields.ts';
import { DnsServer } from '../../src/dns/server.ts';
import { informerEvents } from '../../src/proxy/informer-events.ts';
import { ProxyEvents } from '../../src/proxy/proxy-events.ts';
import { freePort } from '../free-port.ts';
import {
  type ComponentProcess,
  checkout,
  type JoinedCluster,
  startComponent,
  startJoinedCluster,
} from './joined-cluster.ts';

let cluster: JoinedCluster;
beforeAll(async () => {
  cluster = await startJoinedCluster();
  for (const part of ['proxy', 'dns', 'dns-service', 'node-local-dns', 'controllers', 'speaker'])
    await cluster.kubectl('apply', '-k', join(checkout, 'deploy', part));
}, 60_000);
afterAll(() => cluster.close());

const node = { metadata: { name: 'node-1' } };
const selector = { app: 'x' };

/** What happens in a cluster, so that every right is used: a Service gets endpoints, they change, all goes. */
async function happen(namespace: string): Promise<void> {
  const { admin } = cluster;
  const place = (name: string) => ({ namespace, name });
  await admin.create('namespaces', { metadata: { name: namespace } });
  await admin.create('services', { metadata: place('s'), spec: { selector, ports: [{ port: 80 }] } });
  await admin.create('services', { metadata: place('manual'), spec: { ports: [{ port: 80 }] } });
  const subsets = (ip: string) => [{ addresses: [{ ip }], ports: [{ port: 80 }] }];
  const manual = await admin.create('endpoints', { metadata: place('manual'), subsets: subsets('192.0.2.7') });
  const pod = await admin.create('pods', {
    metadata: { ...place('p'), labels: selector },
    spec: { nodeName: 'node-1', containers: [{ name: 'c', image: 'i' }] },
  });
  const status = (podIP: string) => ({
    phase: 'Running',
    podIP,
    podIPs: [{ ip: podIP }],
    conditions: [{ type: 'Ready', status: 'True' }],
  });
  const running = await admin.update('pods', { ...pod, status: status('10.244.1.2') }, { subresource: 'status' });
  await slicesHave(namespace, ['10.244.1.2', '192.0.2.7']);
  await admin.update('pods', { ...running, status: status('10.244.1.3') }, { subresource: 'status' });
  await admin.update('endpoints', { ...manual, subsets: subsets('192.0.2.8') });
  await slicesHave(namespace, ['10.244.1.3', '192.0.2.8']);
  await admin.delete('services', place('s'));
  await admin.delete('endpoints', place('manual'));
  await slicesHave(namespace, []);
}

async function slicesHave(namespace: string, addresses: readonly string[]): Promise<void> {
  const had = async () => {
    const { items } = await cluster.admin.list('endpointSlices', { namespace });
    return items.flatMap(({ endpoints }) => (endpoints ?? []).flatMap((each) => each.addresses)).sort();
  };
  await expect.poll(had, { timeout: 20_000 }).toEqual(addresses);
}

describe('deploy/', () => {
  test('controllers and dns work with the rights of their manifests, and are refused nothing', {
    timeout: 60_000,
  }, async () => {
    const before = await cluster.refusals();
    await cluster.admin.create('nodes', node);
    const controllers = startComponent([
      'controllers',
      ...['--kubeconfig', await cluster.kubeconfigOf('signalbox-controllers')],
      ...['--config', join(checkout, 'deploy/controllers/config.yaml')],
    ]);
    try {
      await happen('works');
    } finally {
      expect(await controllers.stop()).toBe(0);
    }
    const { holderIdentity } =
      (await cluster.admin.get('leases', { namespace: 'kube-system', name: 'signalbox-controllers' })).spec ?? {};
    // Given back when it ended.
    expect(holderIdentity).toBe('');
    const rulesOf = async (name: string) => (await cluster.admin.get('clusterRoles', { name })).rules;
    expect(await rulesOf('signalbox-node-local-dns')).toEqual(await rulesOf('signalbox-dns'));
    const dns = await serveNames('signalbox-dns', []);
    await dns.server.synced;
    await dns.close();
    expect(await cluster.refusals()).toEqual(before);
  });

  test('the load balancer and the speaker work with the rights of theirs, and are refused nothing', {
    timeout: 60_000,
  }, async () => {
    const before = await cluster.refusals();
    const config = join(cluster.server.dir, 'load-balancer.json');
    const pools = [{ name: 'p', addresses: ['198.51.100.7/32'] }];
    await writeFile(config, JSON.stringify({ controllers: ['loadbalancer'], loadBalancer: { pools } }));
    const speakerConfig = join(cluster.server.dir, 'speaker.json');
    const port = await freePort();
    const addresses = { healthzBindAddress: `127.0.0.1:${port}`, metricsBindAddress: `127.0.0.1:${await freePort()}` };
    await writeFile(speakerConfig, JSON.stringify({ nodeName: 'node-1', ...addresses }));
    const of = async (component: string, account: string, file: string) =>
      startComponent([component, '--kubeconfig', await cluster.kubeconfigOf(account), '--config', file]);
    const running = [
      await of('controllers', 'signalbox-controllers', config),
      await of('speaker', 'signalbox-speaker', speakerConfig),
    ];
    try {
      const place = { namespace: 'default', name: 'balanced' };
      await cluster.admin.create('services', {
        metadata: place,
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
      });
      const ingress = async () => (await cluster.admin.get('services', place)).status?.loadBalancer?.ingress;
      await expect.poll(ingress, { timeout: 20_000 }).toEqual([{ ip: '198.51.100.7', ipMode: 'VIP' }]);
      await isToldTwice();
      await cluster.admin.delete('services', place);
      const gone = async () => (await cluster.admin.list('services', { namespace: 'default' })).items.length;
      await expect.poll(gone, { timeout: 20_000 }).toBe(1);
      const health = () =>
        fetch(`http://127.0.0.1:${port}/healthz`).then(
          ({ status }) => status,
          () => 0,
        );
      await expect.poll(health, { timeout: 20_000 }).toBe(200);
    } finally {
      for (const each of running) expect(await each.stop()).toBe(0);
    }
    expect(await cluster.refusals()).toEqual(before);
  });

  /** A Service that gets no address, then none for another reason, then none for the first again. */
  async function isToldTwice(): Promise<void> {
    const place = { namespace: 'default', name: 'late' };
    const said = async () => (await cluster.admin.get('services', place)).status?.conditions?.[0]?.message;
    await cluster.admin.create('services', { metadata: place, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } });
    const asks = async (pool: string | null) => {
      const body = { metadata: { annotations: { 'signalbox.dev/load-balancer-pool': pool } } };
      await cluster.admin.patch('services', place, { type: 'merge', body });
    };
    await expect.poll(said, { timeout: 20_000 }).toMatch(/\bp\b/);
    const first = await said();
    await asks('none');
    await expect.poll(said, { timeout: 20_000 }).toBe('there is no pool none');
    await asks(null);
    await expect.poll(said, { timeout: 20_000 }).toBe(first);
    const counts = async () =>
      (await cluster.admin.list('events', { namespace: 'default' })).items
        .filter(({ involvedObject }) => involvedObject.name === place.name)
        .map(({ count }) => count);
    await expect.poll(counts, { timeout: 20_000 }).toEqual([2, 1]);
    await cluster.admin.delete('services', place);
  }

  test.each(['proxy', 'dns', 'controllers'])(
    'every right of %s is needed, and is named when it is missing',
    {
      timeout: 60_000,
    },
    async (component) => {
      const rights = [
        ...rightsOf((await cluster.admin.get('clusterRoles', { name: `signalbox-${component}` })).rules),
        ...(component === 'controllers'
          ? rightsOf(
              (await cluster.admin.get('roles', { namespace: 'kube-system', name: 'signalbox-controllers' })).rules,
            )
          : []),
      ];
      expect(rights.length).toBeGreaterThan(5);
      for (const [i, missing] of rights.entries()) {
        const account = `${component}-${i}`;
        await grant(
          account,
          rights.filter((right) => right !== missing),
        );
        const lines: string[] = [];
        await work(component, account, { lines, missing });
        const group = missing.group === '' ? '' : `.${missing.group}`;
        const said = `system:serviceaccount:kube-system:${account} may not ${missing.verb} ${missing.resource}${group} `;
        await expect.poll(() => lines.filter((line) => line.startsWith(said))).not.toEqual([]);
        expect(lines.every((line) => line.startsWith(said) && line.endsWith('[API_FORBIDDEN]'))).toBe(true);
      }
    },
  );
});

/** How a component is configured that shares this machine's network with others. */
async function configured(component: string): Promise<string[]> {
  const at = async () => ({ address: '127.0.0.1', port: await freePort() });
  const bound = async () => `127.0.0.1:${await freePort()}`;
  const configs = {
    dns: async () => ({ clusterDomain: 'cluster.local', listen: [await at()], health: await at(), ready: await at() }),
    speaker: async () => ({ nodeName: 'node-1', healthzBindAddress: await bound(), metricsBindAddress: await bound() }),
    controllers: async () => ({
      controllers: ['endpointslice', 'endpoints', 'endpointslicemirroring', 'loadbalancer'],
    }),
  };
  const path = join(cluster.server.dir, `${component}-${randomUUID()}.json`);
  await writeFile(path, JSON.stringify(await configs[component as keyof typeof configs]()));
  return ['--config', path];
}

/** What a server has that is older than EndpointSlices: Leases, which are as they are sent, and a version. */
async function answerAsOld(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url = '' } = request;
  const sent = method === 'GET' ? '' : await text(request);
  response.setHeader('content-type', 'application/json');
  if (url === '/version') response.end(JSON.stringify({ major: '1', minor: '16', gitVersion: 'v1.16.15' }));
  else if (url.includes('/leases') && method !== 'GET') response.writeHead(201).end(sent);
  else
    response.writeHead(404).end(JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'NotFound', code: 404 }));
}

const errorsOf = ({ log }: ComponentProcess) =>
  log.map(({ err }) => (err as { message?: string } | undefined)?.message ?? '').filter((message) => message !== '');

describe('a component that comes to a cluster', () => {
  test.each([
    ['dns', ['list services', 'list endpointslices.discovery.k8s.io']],
    ['speaker', ['list services', 'list nodes', 'list endpointslices.discovery.k8s.io']],
    ['controllers', ['get leases.coordination.k8s.io']],
  ])(
    '%s without any right says which are missing, does not end, and begins when it has them',
    {
      timeout: 60_000,
    },
    async (component, missing) => {
      const account = `poor-${component}`;
      const place = { namespace: 'kube-system', name: account };
      await cluster.admin.create('serviceAccounts', { metadata: place });
      const kubeconfig = ['--kubeconfig', await cluster.kubeconfigOf(account)];
      const process = startComponent([component, ...kubeconfig, ...(await configured(component))]);
      try {
        for (const right of missing) {
          const said = `system:serviceaccount:kube-system:${account} may not ${right} `;
          await expect
            .poll(() => errorsOf(process), { timeout: 20_000 })
            .toContainEqual(expect.stringMatching(new RegExp(`^${said}.*\\[API_FORBIDDEN\\]$`)));
        }
        const subjects = [{ kind: 'ServiceAccount', ...place }];
        const apiGroup = 'rbac.authorization.k8s.io';
        const role = `signalbox-${component}`;
        if (component === 'controllers')
          await cluster.admin.create('roleBindings', {
            metadata: place,
            roleRef: { apiGroup, kind: 'Role', name: role },
            subjects,
          });
        await cluster.admin.create('clusterRoleBindings', {
          metadata: { name: account },
          roleRef: { apiGroup, kind: 'ClusterRole', name: role },
          subjects,
        });
        await expect
          .poll(() => process.log.map(({ msg }) => msg), { timeout: 30_000 })
          .toContain('the API server grants this now');
        expect(process.child.exitCode).toBeNull();
      } finally {
        expect(await process.stop()).toBe(0);
      }
    },
  );

  test.each(['dns', 'speaker', 'controllers'])(
    '%s says that a server is too old, and does not end',
    {
      timeout: 60_000,
    },
    async (component) => {
      const old = createServer((request, response) => void answerAsOld(request, response));
      await once(old.listen(0, '127.0.0.1'), 'listening');
      const server = `http://127.0.0.1:${(old.address() as AddressInfo).port}`;
      const kubeconfig = join(cluster.server.dir, `old-${component}.kubeconfig`);
      await writeKubeconfig(kubeconfig, {
        name: 'old',
        server,
        certificateAuthority: '',
        clientCertificate: '',
        clientKey: '',
      });
      const process = startComponent([component, '--kubeconfig', kubeconfig, ...(await configured(component))]);
      try {
        const said = `API server ${server} (Kubernetes v1.16.15) does not serve`;
        await expect.poll(() => errorsOf(process), { timeout: 20_000 }).toContainEqual(expect.stringContaining(said));
        expect(process.child.exitCode).toBeNull();
      } finally {
        expect(await process.stop()).toBe(0);
        old.close();
      }
    },
  );
});

test('the kustomization of docs/join.md is one that kubectl takes, and keeps the proxy to nodes with the label', async () => {
  const page = await readFile(join(checkout, 'docs/join.md'), 'utf8');
  // Those of the page, the second indented as part of a list.
  const [first = '', second = ''] = [...page.matchAll(/^( *)```yaml\n([\s\S]*?)^\1```$/gm)]
    .map(([, indent = '', block = '']) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''))
    .filter((block) => /^(?:kind: Kustomization|patches:)$/m.test(block));
  const own = join(cluster.server.dir, 'own');
  await mkdir(own);
  await symlink(checkout, join(cluster.server.dir, 'signalbox'));
  await writeFile(join(own, 'kustomization.yaml'), `${first}${second}`);
  const built = await cluster.kubectl('kustomize', own);
  expect(built).toContain('image: registry.example/signalbox:0.1.0');
  expect(built).toContain('signalbox.dev/proxy: "true"');
});

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

test.skipIf(!hasSystemd)('the units of deploy/systemd are what systemd takes (needs systemd-analyze)', async () => {
  const from = join(checkout, 'deploy/systemd');
  const units = await readdir(from);
  expect(units).toHaveLength(3);
  const copies = units.map(async (name) => {
    const path = join(cluster.server.dir, name);
    const unit = await readFile(join(from, name), 'utf8');
    await writeFile(path, unit.replaceAll('/usr/local/lib/signalbox', checkout));
    return path;
  });
  const { stderr } = spawnSync('systemd-analyze', ['verify', ...(await Promise.all(copies))], { encoding: 'utf8' });
  expect(stderr).not.toContain('signalbox-');
});

interface Right {
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
  readonly resourceNames: readonly string[] | undefined;
}

function rightsOf(rules: readonly PolicyRule[] | undefined): Right[] {
  return (rules ?? []).flatMap(({ apiGroups = [], resources = [], verbs, resourceNames }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => ({ group, resource, verb, resourceNames }))),
    ),
  );
}

/** Makes a service account with some rights. */
async function grant(account: string, rights: readonly Right[]): Promise<void> {
  const { admin } = cluster;
  const rules = rights.map(({ group, resource, verb, resourceNames }) => ({
    apiGroups: [group],
    resources: [resource],
    verbs: [verb],
    ...(resourceNames === undefined ? {} : { resourceNames: [...resourceNames] }),
  }));
  await admin.create('serviceAccounts', { metadata: { namespace: 'kube-system', name: account } });
  await admin.create('clusterRoles', { metadata: { name: account }, rules });
  await admin.create('clusterRoleBindings', {
    metadata: { name: account },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: account },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: 'kube-system' }],
  });
}

interface Watched {
  /** Gets the messages of errors that the component writes to its log. */
  readonly lines: string[];
  readonly missing: Right;
}

/** Has a component work as an account until it has come upon the right it lacks. */
async function work(component: string, account: string, { lines, missing }: Watched): Promise<void> {
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(JSON.parse(line).err?.message ?? line) });
  const met = () => expect.poll(() => lines.length, { timeout: 15_000, interval: 10 }).toBeGreaterThan(0);
  if (component === 'dns') {
    const dns = await serveNames(account, lines);
    await met();
    return dns.close();
  }
  const client = connect(await cluster.clientOf(account), { log });
  try {
    if (component === 'proxy') await followAsProxy(client, met);
    else if (missing.resource === 'events' && missing.verb === 'patch') await recordTwice(client, met);
    else if (missing.resource === 'leases' || missing.resource === 'events') await lead(client, account, met);
    else await control(account, { lines, missing, met });
  } finally {
    client.close();
  }
}

/** The DNS server, on ports that are free. */
async function serveNames(account: string, lines: string[]): Promise<{ server: DnsServer; close(): Promise<void> }> {
  const here = { address: '127.0.0.1', port: 0 };
  const config = parseDnsConfig({ listen: [here], clusterDomain: 'cluster.local', health: here, ready: here });
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(JSON.parse(line).err?.message ?? line) });
  const client = connect(await cluster.clientOf(account), { log });
  const server = await DnsServer.start({ config, openClient: async () => client, log });
  return {
    server,
    close: async () => {
      await server.close();
      client.close();
    },
  };
}

/** What of the proxy asks the API. */
async function followAsProxy(client: ApiClient, met: () => Promise<unknown>): Promise<void> {
  const log = pino({ level: 'silent' });
  const source = informerEvents({ client, nodeName: 'node-1', followsPeers: true, log });
  const sink = { service: () => {}, endpointSlice: () => {}, node: () => {}, peer: () => {} };
  const stream = source.follow(sink);
  // It is stopped before.
  stream.synced.catch(() => {});
  const recorder = createEventRecorder(client, { component: 'kube-proxy', host: 'node-1', log });
  const events = new ProxyEvents({ recorder, nodeName: 'node-1', serviceUid: source.serviceUid });
  // The second is counted with the first.
  events.starting();
  events.starting();
  await met();
  stream.stop();
  await recorder.flush();
}

/** The second is counted with the first. */
async function recordTwice(client: ApiClient, met: () => Promise<unknown>): Promise<void> {
  const recorder = createEventRecorder(client, { component: 'signalbox-load-balancer' });
  const about = { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'default', name: 'balanced' } };
  for (const message of ['twice', 'twice']) recorder.record(about, { type: 'Warning', reason: 'Told', message });
  await met();
}

async function lead(client: ApiClient, account: string, met: () => Promise<unknown>): Promise<void> {
  // The first leader makes it.
  const made = cluster.admin.delete('leases', { namespace: 'kube-system', name: 'signalbox-controllers' });
  await made.catch((error: unknown) => expect(error).toMatchObject({ code: 404 }));
  const stop = new AbortController();
  const leading = runAsLeader(
    {
      client,
      lease: { namespace: 'kube-system', name: 'signalbox-controllers' },
      identity: account,
      events: createEventRecorder(client, { component: 'signalbox-controllers' }),
      times: { leaseDuration: 1_000, renewDeadline: 800, retryPeriod: 50 },
    },
    (signal) => aborted(signal),
    stop.signal,
  );
  await met().finally(() => stop.abort());
  await leading;
}

async function control(
  account: string,
  { lines, missing, met }: Watched & { readonly met: () => Promise<unknown> },
): Promise<void> {
  const config = parseControllersConfig({ controllers: ['endpointslice', 'endpoints', 'endpointslicemirroring'] });
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(JSON.parse(line).err?.message ?? line) });
  const client = await cluster.clientOf(account);
  const running = startControllers(config, { client, rootCertificate: undefined, log });
  try {
    // Reading shows at once; writing when something happens, which comes to no end then.
    if (!['list', 'watch'].includes(missing.verb)) {
      const ended = happen(account).catch((error: unknown) => {
        if (lines.length === 0) throw error;
      });
      await Promise.race([met(), ended]);
    }
    await met();
  } finally {
    await running.stop();
  }
}
