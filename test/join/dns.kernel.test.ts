import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type DecodedPacket, decode, encode } from 'dns-packet';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { endpoints, serveEndpoints } from '../../src/proxy/testing/loopback-bed.ts';
import {
  type ComponentProcess,
  checkout,
  type JoinedCluster,
  startComponent,
  startJoinedCluster,
} from '../integration/joined-cluster.ts';

const [before, after] = endpoints;
const clusterIp = '10.96.0.7';
const dnsIp = '10.96.0.10';
const place = { namespace: 'kube-system', name: 'kube-dns' };
const running: ComponentProcess[] = [];
let cluster: JoinedCluster;
let closeEndpoints = () => {};

beforeAll(async () => {
  closeEndpoints = await serveEndpoints();
  cluster = await startJoinedCluster();
  for (const part of ['proxy', 'dns', 'dns-service'])
    await cluster.kubectl('apply', '-k', join(checkout, 'deploy', part));
  const configured = await readFile(join(checkout, 'deploy/proxy/config.yaml'), 'utf8');
  const config = join(cluster.server.dir, 'config.yaml');
  const kubeconfig = await cluster.kubeconfigOf('signalbox-proxy');
  await writeFile(config, configured.replace('/etc/signalbox/kubeconfig.yaml', kubeconfig).replace('-997', '500'));
  await cluster.admin.create('nodes', { metadata: { name: 'node-1' } });
  const hello = { namespace: 'default', name: 'hello' };
  await cluster.admin.create('services', { metadata: hello, spec: { clusterIP: clusterIp, ports: [{ port: 80 }] } });
  running.push(startComponent(['proxy', '--config', config, '--hostname-override', 'node-1']));
}, 120_000);
afterAll(async () => {
  for (const each of running) await each.stop();
  closeEndpoints();
  await cluster.close();
});

/** What the cluster had before, as far as anybody asks: a server that knows one name. */
async function startOtherServer() {
  const socket = createSocket('udp4', (message, from) => {
    const { id, questions = [] }: DecodedPacket = decode(message);
    const name = questions[0]?.name ?? '';
    const answer = { type: 'A', name, ttl: 5, data: clusterIp } as const;
    socket.send(encode({ type: 'response', id: id ?? 0, questions, answers: [answer] }), from.port, from.address);
    answered++;
  });
  let answered = 0;
  await once(socket.bind(53, before), 'listening');
  return { answered: () => answered, close: () => socket.close() };
}

/** The endpoints of the Service `kube-dns`, as controllers of the cluster write them. */
async function serveFrom(...ips: readonly string[]): Promise<void> {
  const slice = {
    metadata: { ...place, labels: { 'kubernetes.io/service-name': place.name } },
    addressType: 'IPv4',
    ports: [{ name: 'dns', port: 53, protocol: 'UDP' }],
    endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
  };
  const { items } = await cluster.admin.list('endpointSlices', { namespace: place.namespace });
  const [known] = items;
  if (known === undefined) await cluster.admin.create('endpointSlices', slice);
  else await cluster.admin.update('endpointSlices', { ...known, ...slice, metadata: known.metadata });
}

/** Asks once, as a client that does not ask again. */
async function ask(server: string): Promise<string> {
  const resolver = new Resolver({ timeout: 20_000, tries: 1 });
  resolver.setServers([server]);
  resolver.setLocalAddress(before);
  return resolver.resolve4('hello.default.svc.cluster.local').then(
    (ips) => ips.join(),
    (error: NodeJS.ErrnoException) => error.code ?? String(error),
  );
}

test('signalbox dns takes the place of another server behind kube-dns, and no query is lost', {
  timeout: 200_000,
}, async () => {
  const other = await startOtherServer();
  await serveFrom(before);
  await vi.waitFor(async () => expect(await ask(dnsIp)).toBe(clusterIp), { timeout: 40_000 });

  const asked: Promise<string>[] = [];
  // 100 a second.
  const load = setInterval(() => asked.push(ask(dnsIp)), 10);
  const isUnderLoad = (count: number) => vi.waitFor(() => expect(asked.length).toBeGreaterThan(count), 40_000);
  await isUnderLoad(20);
  const config = join(cluster.server.dir, 'dns.json');
  const listen = [{ address: after, port: 53 }];
  const page = (port: number) => ({ address: '127.0.0.1', port });
  await writeFile(
    config,
    JSON.stringify({ listen, clusterDomain: 'cluster.local', health: page(8080), ready: page(8181) }),
  );
  const kubeconfig = await cluster.kubeconfigOf('signalbox-dns');
  running.push(startComponent(['dns', '--kubeconfig', kubeconfig, '--config', config]));
  await vi.waitFor(async () => expect((await fetch('http://127.0.0.1:8181/ready')).status).toBe(200), 40_000);
  // Both answer, as they do when Deployments are scaled one after the other.
  await serveFrom(before, after);
  await isUnderLoad(asked.length + 50);
  await serveFrom(after);
  await vi.waitFor(
    async () => {
      const known = other.answered();
      for (let i = 0; i < 8; i++) expect(await ask(dnsIp)).toBe(clusterIp);
      // The load goes on, and reaches it no more.
      expect(other.answered()).toBe(known);
    },
    { timeout: 40_000 },
  );
  other.close();
  await isUnderLoad(asked.length + 50);
  clearInterval(load);
  expect(new Set(await Promise.all(asked))).toEqual(new Set([clusterIp]));
  expect(await cluster.refusals()).toEqual([]);
});
