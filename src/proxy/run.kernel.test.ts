import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { soon } from '../../test/soon.ts';
import { openConntrack } from '../kernel/conntrack.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import { parseProxyConfig } from './config.ts';
import { runProxy } from './run.ts';
import { ask, endpoints, serveEndpoints } from './testing/loopback-bed.ts';
import { SmallApi, service, slice } from './testing/small-api.ts';

let closeEndpoints = () => {};
const udpServers = endpoints.map(() => createSocket('udp4'));

beforeAll(async () => {
  closeEndpoints = await serveEndpoints();
  for (const [i, ip] of endpoints.entries()) {
    const udp = udpServers[i];
    udp?.on('message', (question, from) => udp.send(`${ip} ${question}`, from.port, from.address));
    udp?.bind(5353, ip);
  }
});

afterAll(() => {
  closeEndpoints();
  for (const server of udpServers) server.close();
});

/** Each test has an API and a proxy of its own; rules that one before left are taken over. */
let api: SmallApi;
let client: Socket;
let stop: AbortController;
let folder: string;
let running: Promise<void>;

beforeEach(async () => {
  api = new SmallApi();
  client = createSocket('udp4');
  stop = new AbortController();
  folder = await mkdtemp(join(tmpdir(), 'signalbox-proxy-'));
  const kubeconfig = join(folder, 'kubeconfig');
  await api.kubeconfig(kubeconfig);
  api.put('nodes', {
    metadata: { name: 'node-1' },
    status: { addresses: [{ type: 'InternalIP', address: '10.244.1.2' }] },
  });
  api.put('services', service('hello', '10.96.0.7', { port: 80 }));
  api.put('endpointslices', slice('hello', endpoints[0], { port: 8080 }));
  api.put('services', service('dns', '10.96.0.10', { port: 53, protocol: 'UDP' }));
  api.put('endpointslices', slice('dns', endpoints[0], { port: 5353, protocol: 'UDP' }));
  const config = parseProxyConfig({
    hostnameOverride: 'node-1',
    clusterCIDR: '10.244.0.0/16',
    clientConnection: { kubeconfig },
    nftables: { syncPeriod: '200ms' },
    // Nothing of the machine.
    conntrack: { maxPerCore: 0 },
    oomScoreAdj: 0,
  });
  running = runProxy(config, stop.signal);
  await once(client.bind(0, endpoints[0]), 'listening');
  await soon(async () => expect((await get('http://127.0.0.1:10256/healthz')).status).toBe(200));
  await soon(async () => expect(await askSoon('10.96.0.7', 80)).toBe(endpoints[0]));
});

afterEach(async () => {
  stop.abort();
  await running;
  api.close();
  client.close();
  await rm(folder, { recursive: true });
});

const askSoon = (ip: string, port: number) => ask(ip, port, 1_000);

let questions = 0;

/** Who answers this very question: answers to earlier ones may come late. */
async function askUdp(ip: string, port: number, timeoutMs = 20_000): Promise<string> {
  const question = `${++questions}`;
  const signal = AbortSignal.timeout(timeoutMs);
  client.send(question, port, ip);
  for (;;) {
    const [data] = await once(client, 'message', { signal });
    const [who = '', answered] = String(data).split(' ');
    if (answered === question) return who;
  }
}

/** As `askUdp`, for what may get lost. */
const askUdpSoon = (ip: string, port: number) => askUdp(ip, port, 500);

/** Who answers a client that has not asked before. */
async function askUdpOnce(ip: string, port: number): Promise<string> {
  const socket = createSocket('udp4');
  try {
    await once(socket.bind(0, endpoints[0]), 'listening');
    socket.send('once', port, ip);
    const [data] = await once(socket, 'message', { signal: AbortSignal.timeout(500) });
    return String(data).split(' ')[0] ?? '';
  } finally {
    socket.close();
  }
}

/** Where the kernel leads the UDP flows to an address. */
function udpFlows(ip: string): string[] {
  const conntrack = openConntrack();
  try {
    return conntrack
      .list({ protocol: 'UDP' })
      .filter(({ original }) => original.destination === ip)
      .map(({ original, reply }) => `${original.source} ${original.sourcePort} ${reply.source} ${reply.sourcePort}`);
  } finally {
    conntrack.close();
  }
}

const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
};

describe('runProxy, in the kernel', () => {
  it('leads connections to a Service to its endpoint, and follows when it changes', async () => {
    api.put('endpointslices', slice('hello', endpoints[1], { port: 8080 }));
    await soon(async () => expect(await askSoon('10.96.0.7', 80)).toBe(endpoints[1]));
  });

  it('asks the API for no more than concerns it', () => {
    const notOurs = '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name';
    expect([...api.asked].sort()).toEqual([
      `endpointslices ${notOurs}`,
      'nodes metadata.name=node-1',
      `services ${notOurs}`,
    ]);
  });

  it('tells its Node that it starts', async () => {
    await soon(() =>
      expect(api.posted).toContainEqual(
        expect.objectContaining({
          type: 'Normal',
          reason: 'Starting',
          involvedObject: expect.objectContaining({ kind: 'Node', name: 'node-1', uid: 'node-1' }),
          source: { component: 'kube-proxy', host: 'node-1' },
        }),
      ),
    );
  });

  it('refuses at once when the last endpoint goes, and serves again when one comes', async () => {
    api.remove('endpointslices', 'hello-x');
    await soon(async () => expect(await askSoon('10.96.0.7', 80)).toBe('ECONNREFUSED'));
    api.put('endpointslices', slice('hello', endpoints[1], { port: 8080 }));
    await soon(async () => expect(await askSoon('10.96.0.7', 80)).toBe(endpoints[1]));
  });

  it('moves a UDP client that never stops to the new endpoint', async () => {
    expect(await askUdp('10.96.0.10', 53)).toBe(endpoints[0]);
    api.put('endpointslices', slice('dns', endpoints[1], { port: 5353, protocol: 'UDP' }));
    await soon(async () => expect(await askUdpSoon('10.96.0.10', 53)).toBe(endpoints[1]));
    const { body } = await get('http://127.0.0.1:10249/metrics');
    expect(body).toMatch(/kubeproxy_conntrack_reconciler_deleted_entries_total\{ip_family="IPv4"\} [1-9]/);
  });

  it('lets go of a UDP client that never stops when the Service goes, and takes it back when it comes again', async () => {
    expect(await askUdp('10.96.0.10', 53)).toBe(endpoints[0]);
    expect(udpFlows('10.96.0.10')).not.toEqual([]);
    api.remove('services', 'dns');
    await soon(() => expect(udpFlows('10.96.0.10')).toEqual([]));
    await expect(askUdp('10.96.0.10', 53, 200)).rejects.toThrow();
    api.put('services', service('dns', '10.96.0.10', { port: 53, protocol: 'UDP' }));
    await soon(async () => expect(await askUdpSoon('10.96.0.10', 53)).toBe(endpoints[0]));
  });

  it('lets a UDP client stay with an endpoint that is terminating, as long as that serves', async () => {
    expect(await askUdp('10.96.0.10', 53)).toBe(endpoints[0]);
    const dns = slice('dns', endpoints[1], { port: 5353, protocol: 'UDP' });
    const draining = { addresses: [endpoints[0]], conditions: { ready: false, serving: true, terminating: true } };
    api.put('endpointslices', { ...dns, endpoints: [...(dns.endpoints ?? []), draining] });
    // A new client is led elsewhere: so the proxy has heard of it.
    await soon(() => expect(askUdpOnce('10.96.0.10', 53)).resolves.toBe(endpoints[1]));
    expect(await askUdp('10.96.0.10', 53)).toBe(endpoints[0]);
    api.put('endpointslices', dns);
    await soon(async () => expect(await askUdpSoon('10.96.0.10', 53)).toBe(endpoints[1]));
    api.put('endpointslices', slice('dns', endpoints[0], { port: 5353, protocol: 'UDP' }));
    await soon(async () => expect(await askUdpSoon('10.96.0.10', 53)).toBe(endpoints[0]));
  });

  it('leaves UDP flows alone that lead to endpoints that stay', async () => {
    expect(await askUdp('10.96.0.10', 53)).toBe(endpoints[0]);
    const flow = udpFlows('10.96.0.10').find((text) => text.startsWith(`${endpoints[0]} ${client.address().port} `));
    expect(flow).toBeDefined();
    api.put('services', service('other', '10.96.0.11', { port: 53, protocol: 'UDP' }));
    api.put('endpointslices', slice('other', endpoints[0], { port: 5353, protocol: 'UDP' }));
    await soon(async () => expect(await askUdpSoon('10.96.0.11', 53)).toBe(endpoints[0]));
    api.remove('services', 'other');
    await soon(() => expect(udpFlows('10.96.0.11')).toEqual([]));
    expect(udpFlows('10.96.0.10')).toContain(flow);
  });

  it('brings the rules back that somebody deleted', async () => {
    const kernel = openNftables('signalbox');
    kernel.remove('IPv4');
    kernel.close();
    // The proxy runs in this process, and has had no turn yet.
    expect(spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' }).stdout).not.toContain('table ip signalbox');
    await soon(async () => expect(await askSoon('10.96.0.7', 80)).toBe(endpoints[0]));
  });

  it('says how it is', async () => {
    const health = await get('http://127.0.0.1:10256/healthz');
    expect(health.status).toBe(200);
    const at = expect.stringMatching(/^\d{4}-/);
    const proxyHealth = {
      lastUpdated: at,
      currentTime: at,
      healthy: true,
      status: { IPv4: { lastUpdated: at, healthy: true } },
    };
    expect(JSON.parse(health.body)).toEqual({ ...proxyHealth, nodeEligible: true });
    expect(JSON.parse((await get('http://127.0.0.1:10256/livez')).body)).toEqual(proxyHealth);
    expect(await get('http://127.0.0.1:10249/proxyMode')).toEqual({ status: 200, body: 'nftables' });
    expect((await get('http://127.0.0.1:10256/nothing')).status).toBe(404);
  });

  it('is unhealthy to balancers, but alive, when its node is about to go', async () => {
    const taints = [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }];
    api.put('nodes', { metadata: { name: 'node-1' }, spec: { taints } });
    await soon(async () => expect((await get('http://127.0.0.1:10256/healthz')).status).toBe(503));
    expect((await get('http://127.0.0.1:10256/livez')).status).toBe(200);
  });

  it('stops when told, and what it did goes on working', async () => {
    stop.abort();
    await running;
    expect(await ask('10.96.0.7', 80)).toBe(endpoints[0]);
    await expect(get('http://127.0.0.1:10256/healthz')).rejects.toThrow();
  });
});
