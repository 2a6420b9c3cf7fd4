import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type DecodedPacket, decode } from 'dns-packet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import type { ApiClient } from '../client/types.ts';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { parseDnsConfig } from './config/fields.ts';
import { formatServerAddress } from './forward/address.ts';
import { type Overrides, runDns } from './run.ts';
import { DnsServer } from './server.ts';
import { lines, questionPacket, rcodeOf } from './testing/ask.ts';
import { certify } from './testing/certificates.ts';
import { name, service, slice } from './testing/objects.ts';
import { a, otherServer, silent } from './testing/servers.ts';
import { type SmallCluster, startSmallCluster } from './testing/small-cluster.ts';

const anywhere = { address: '127.0.0.1', port: 0 };
const settings = { listen: [anywhere], upstreams: [], health: anywhere, ready: anywhere, metrics: anywhere };

let cluster: SmallCluster;
let api: SmallCluster['api'];
let client: ApiClient;
let server: DnsServer | undefined;

beforeEach(async () => {
  cluster = await startSmallCluster();
  ({ api, client } = cluster);
});

afterEach(async () => {
  await server?.close();
  server = undefined;
  await cluster.stop();
});

async function start(rest: object = {}): Promise<DnsServer> {
  server = await DnsServer.start({
    config: parseDnsConfig({ ...settings, ...rest }),
    openClient: async () => client,
    log: silent,
  });
  return server;
}

interface Port {
  readonly port?: number;
  /** Sent once only: an answer that does not come is missed. */
  readonly once?: boolean;
}

async function resolve(
  name: string,
  { port = server?.addresses[0]?.port ?? 0, ...rest }: Port = {},
): Promise<DecodedPacket> {
  const socket = createSocket('udp4');
  const send = () => socket.send(questionPacket({ name, type: 'A' }), port, '127.0.0.1');
  send();
  const again = rest.once === true ? undefined : setInterval(send, 100);
  const [reply] = (await once(socket, 'message', { signal: AbortSignal.timeout(20_000) })) as [Buffer];
  clearInterval(again);
  socket.close();
  return decode(reply);
}

const page = async (port: number | undefined, path: string) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return `${response.status} ${await response.text()}`;
};

describe('DnsServer', () => {
  test('serves what the API has', async () => {
    const { synced } = await start();
    await synced;
    expect(lines((await resolve('hello.default.svc.cluster.local')).answers)).toEqual([
      'hello.default.svc.cluster.local A 10.96.0.20',
    ]);
    expect(rcodeOf(await resolve('default.svc.cluster.local'))).toBe('NOERROR');
    expect(rcodeOf(await resolve('hello.vacant.svc.cluster.local'))).toBe('NXDOMAIN');
    expect(rcodeOf(await resolve('example.com'))).toBe('REFUSED');
  });

  test('fails, and is not ready, until it has seen all once', async () => {
    api.hold();
    const { ports, synced } = await start();
    expect(rcodeOf(await resolve('hello.default.svc.cluster.local'))).toBe('SERVFAIL');
    expect(rcodeOf(await resolve('gone.default.svc.cluster.local'))).toBe('SERVFAIL');
    expect(await page(ports.ready, '/ready')).toBe('503 kubernetes');
    expect(await page(ports.health, '/health')).toBe('200 OK');
    api.go();
    await synced;
    expect(rcodeOf(await resolve('hello.default.svc.cluster.local'))).toBe('NOERROR');
    expect(await page(ports.ready, '/ready')).toBe('200 OK');
  });

  test('serves a change as soon as it is told', async () => {
    await (await start()).synced;
    const name = 'pets.default.svc.cluster.local';
    const count = async () => (await resolve(name)).answers?.length;
    expect(rcodeOf(await resolve(name))).toBe('NXDOMAIN');
    api.put('endpointslices', 'default/pets-1', slice('pets', ['10.244.1.2', '10.244.1.3'], 'http:80'));
    await expect.poll(count).toBe(2);
    api.put('endpointslices', 'default/pets-1', slice('pets', ['10.244.1.2', '!10.244.1.3'], 'http:80'));
    await expect.poll(count).toBe(1);
    api.delete('endpointslices', 'default/pets-1');
    await expect.poll(async () => rcodeOf(await resolve(name))).toBe('NXDOMAIN');
    api.delete('services', 'default/hello');
    await expect.poll(async () => rcodeOf(await resolve('hello.default.svc.cluster.local'))).toBe('NXDOMAIN');
  });

  test('goes on from memory while the API is away, and catches up after', async () => {
    await (await start()).synced;
    await api.stop();
    expect(rcodeOf(await resolve('hello.default.svc.cluster.local'))).toBe('NOERROR');
    api.put('services', 'default/late', service(['10.96.0.30'], 'http:80'));
    api.delete('services', 'default/hello');
    await api.start();
    await expect.poll(async () => rcodeOf(await resolve('late.default.svc.cluster.local'))).toBe('NOERROR');
    expect(rcodeOf(await resolve('default.svc.cluster.local'))).toBe('NOERROR');
  });

  test('gives its zones to a secondary that dig plays, and tells it of changes', async () => {
    const secondary = createSocket('udp4');
    secondary.bind(0, '127.0.0.1');
    await once(secondary, 'listening');
    const peer = { ip: parseIp('127.0.0.1'), port: secondary.address().port };
    const config = parseDnsConfig(settings);
    const transfer = [{ zones: [name('cluster.local')], to: [parseCidr(`${peer.ip}/32`)], notify: [peer] }];
    const servers = config.servers.map((block) => ({ ...block, transfer }));
    server = await DnsServer.start({ config: { ...config, servers }, openClient: async () => client, log: silent });
    const [notification] = (await once(secondary, 'message', { signal: AbortSignal.timeout(20_000) })) as [Buffer];
    expect(decode(notification).questions).toEqual([{ name: 'cluster.local', type: 'SOA', class: 'IN' }]);
    const port = String(server.addresses[0]?.port);
    const { stdout } = await promisify(execFile)('dig', ['@127.0.0.1', '-p', port, 'cluster.local', 'AXFR']);
    expect(stdout).toMatch(/^hello\.default\.svc\.cluster\.local\.\s+5\s+IN\s+A\s+10\.96\.0\.20$/m);
    secondary.close();
  });

  test('counts, on its metrics page', async () => {
    const { ports, synced } = await start();
    await synced;
    api.put('endpointslices', 'default/pets-1', slice('pets', ['10.244.1.2'], 'http:80'));
    await expect.poll(async () => rcodeOf(await resolve('pets.default.svc.cluster.local'))).toBe('NOERROR');
    const annotations = {
      'endpoints.kubernetes.io/last-change-trigger-time': new Date(Date.now() - 500).toISOString(),
    };
    const changed = slice('pets', ['10.244.1.3'], 'http:80');
    api.put('endpointslices', 'default/pets-1', { ...changed, metadata: { ...changed.metadata, annotations } });
    await expect
      .poll(async () => lines((await resolve('pets.default.svc.cluster.local')).answers))
      .toEqual(['pets.default.svc.cluster.local A 10.244.1.3']);
    const text = await page(ports.metrics, '/metrics');
    expect(text).toMatch(/coredns_dns_responses_total\{[^}]*rcode="NOERROR",plugin="kubernetes"\} [1-9]/);
    expect(text).toMatch(/coredns_kubernetes_dns_programming_duration_seconds_count\{[^}]*\} 1\n/);
    expect(text).toMatch(/programming_duration_seconds_sum\{[^}]*\} 0\.[5-9]/);
    expect(text).toMatch(/signalbox_dns_zone_names \d+\n/);
    expect(text).toMatch(/signalbox_dns_resource_version\{resource="endpointslices"\} [1-9]/);
    expect(text).toMatch(
      /coredns_plugin_enabled\{server="dns:\/\/127\.0\.0\.1:0",zone="\.",view="",name="kubernetes"\} 1\n/,
    );
    expect(text).toMatch(/coredns_build_info\{version="v[^"]+",revision=/);
    await expect.poll(() => page(ports.metrics, '/metrics')).toMatch(/signalbox_dns_zone_age_seconds 0\n/);
    await expect
      .poll(() => page(ports.metrics, '/metrics'))
      .toMatch(/coredns_health_request_duration_seconds_count [1-9]/);
    expect(await page(ports.metrics, '/')).toMatch(/^404/);
  });

  test('says which port is taken, and leaves nothing open', async () => {
    const { addresses } = await start();
    const config = parseDnsConfig({
      ...settings,
      listen: [anywhere, { address: '127.0.0.1', port: addresses[0]?.port }],
    });
    await expect(DnsServer.start({ config, openClient: async () => client, log: silent })).rejects.toThrow(
      /127\.0\.0\.1:\d+ TCP cannot be listened on.*PORT_TAKEN/,
    );
  });

  test('closes while it waits for other servers', async () => {
    const upstream = await otherServer(() => undefined);
    const started = await start({ upstreams: [formatServerAddress(upstream.address)] });
    const socket = createSocket('udp4');
    socket.send(questionPacket({ name: 'example.com', type: 'A' }), started.addresses[0]?.port ?? 0, '127.0.0.1');
    await expect.poll(() => upstream.asked.some(({ name }) => name === 'example.com')).toBe(true);
    await started.close();
    // Whatever comes of the question now must find nobody to trip over.
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.close();
    await upstream.close();
  });

  test('closes all its sockets', async () => {
    const first = await start();
    const { addresses, ports } = first;
    await first.close();
    await start({
      listen: [{ address: '127.0.0.1', port: addresses[0]?.port }],
      ready: { ...anywhere, port: ports.ready },
    });
  });
});

describe('DnsServer.apply', () => {
  const again = (started: Pick<DnsServer, 'addresses' | 'ports'>, rest: object) => {
    const listen = started.addresses.map(({ ip, port }) => ({ address: ip, port }));
    const { health, ready, metrics } = started.ports;
    const pages = { health: at(health), ready: at(ready), metrics: at(metrics) };
    return parseDnsConfig({ ...settings, ...pages, listen, ...rest });
  };
  const at = (port: number) => ({ ...anywhere, port });
  /** A server at ports that are known. */
  const startKnown = async () => {
    const [dns, health, ready, metrics] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const addresses = [{ ip: parseIp(anywhere.address), port: dns }];
    const config = again({ addresses, ports: { health, ready, metrics } }, {});
    server = await DnsServer.start({ config, openClient: async () => client, log: silent });
    await server.synced;
    return server;
  };
  const hello = 'hello.default.svc.cluster.local';

  test('leaves all as it was when a port is taken, and can go on after', async () => {
    const started = await startKnown();
    const { addresses, ports } = started;
    const taken = createSocket('udp4').bind(0, '127.0.0.1');
    await once(taken, 'listening');
    const more = [...addresses.map(({ ip, port }) => ({ address: ip, port })), at(taken.address().port)];
    await expect(started.apply(again(started, { listen: more, ttl: 9 }))).rejects.toThrow(/PORT_TAKEN/);
    expect((await resolve(hello)).answers).toMatchObject([{ ttl: 5 }]);
    taken.close();
    await once(taken, 'close');
    await started.apply(again(started, { listen: more, ttl: 9 }));
    expect((await resolve(hello)).answers).toMatchObject([{ ttl: 9 }]);
    expect(started.addresses).toHaveLength(2);
    expect(await page(ports.ready, '/ready')).toBe('200 OK');
  });

  test('answers by the old configuration until the new one knows its zones', async () => {
    const started = await startKnown();
    api.hold();
    const applied = started.apply(again(started, { clusterDomain: 'other.test' }));
    expect(rcodeOf(await resolve(hello))).toBe('NOERROR');
    expect(rcodeOf(await resolve('hello.default.svc.other.test'))).toBe('REFUSED');
    api.go();
    await applied;
    expect(rcodeOf(await resolve(hello))).toBe('REFUSED');
    expect(rcodeOf(await resolve('hello.default.svc.other.test'))).toBe('NOERROR');
  });

  test('does not go to another cluster', async () => {
    const started = await startKnown();
    await expect(started.apply(again(started, { kubeconfig: '/elsewhere' }))).rejects.toThrow(
      /^kubeconfig cannot change while the server runs/,
    );
  });
});

describe('runDns', () => {
  let folder: string;
  let port: number;
  let stop: AbortController;
  let running: Promise<void> | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dns-run-'));
    const contents = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'c' } }],
      clusters: [{ name: 'c', cluster: { server: api.url } }],
    };
    await writeFile(join(folder, 'kubeconfig'), JSON.stringify(contents));
    port = await freePort();
    stop = new AbortController();
  });

  afterEach(async () => {
    stop.abort();
    await running;
    running = undefined;
    await rm(folder, { recursive: true });
  });

  async function run(text: string, file = 'Corefile', overrides: Overrides = {}): Promise<void> {
    await writeFile(join(folder, file), text);
    running = runDns(join(folder, file), stop.signal, overrides);
    await expect.poll(() => code('hello.default.svc.cluster.local')).toBe('NOERROR');
  }

  const code = async (name: string, once = false) => rcodeOf(await resolve(name, { port, once }));

  test('runs by the fields of a file until it is told to stop', async () => {
    const listen = [{ address: '127.0.0.1', port }];
    await run(JSON.stringify({ ...settings, listen, kubeconfig: join(folder, 'kubeconfig') }), 'dns.json');
    stop.abort();
    await running;
  });

  test('goes by the kubeconfig of the command line, whatever its file names', async () => {
    const listen = [{ address: '127.0.0.1', port }];
    const overrides = { kubeconfig: join(folder, 'kubeconfig') };
    await run(JSON.stringify({ ...settings, listen, kubeconfig: '/elsewhere' }), 'dns.json', overrides);
  });

  const corefile = (health: number, more = '') => `.:${port} {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      kubeconfig ${folder}/kubeconfig
      fallthrough in-addr.arpa ip6.arpa
    }
    health 127.0.0.1:${health} {
      lameduck 500ms
    }
    ready 127.0.0.1:${health}
    prometheus 127.0.0.1:${health}
    reload 2s 1s
    ${more}
  }`;

  test('runs by a Corefile: goes over to a changed one without losing a query, and stays with the last that was good', async () => {
    const upstream = await otherServer(({ questions }) => ({ answers: [a(questions?.[0]?.name ?? '', '192.0.2.1')] }));
    const health = await freePort();
    await run(corefile(health));
    expect(await code('www.example.com')).toBe('REFUSED');
    expect(await page(health, '/ready')).toBe('200 OK');
    // Asked without a pause while the configuration changes: each is answered.
    let asked = 0;
    let isDone = false;
    const asking = (async () => {
      for (; !isDone; asked++) expect(await code('hello.default.svc.cluster.local', true)).toBe('NOERROR');
    })();
    await writeFile(join(folder, 'Corefile'), corefile(health, `forward . 127.0.0.1:${upstream.address.port}`));
    await expect.poll(() => code('www.example.com')).toBe('NOERROR');
    isDone = true;
    await asking;
    expect(asked).toBeGreaterThan(10);
    await writeFile(join(folder, 'Corefile'), corefile(health, 'rewrite name a b'));
    await expect.poll(() => page(health, '/metrics')).toMatch(/^coredns_reload_failed_total [1-9]/m);
    expect(await code('www.example.com')).toBe('NOERROR');
    await upstream.close();
  });

  test('SIGUSR1 has its configuration read anew at once', async () => {
    const health = await freePort();
    const unwatched = (more: string) => corefile(health, more).replace('reload 2s 1s', '');
    await run(unwatched(''));
    await writeFile(join(folder, 'Corefile'), unwatched('forward . 127.0.0.1:1'));
    expect(await code('www.example.com')).toBe('REFUSED');
    process.kill(process.pid, 'SIGUSR1');
    await expect.poll(() => code('www.example.com')).toBe('SERVFAIL');
    await writeFile(join(folder, 'Corefile'), unwatched('autopath'));
    process.kill(process.pid, 'SIGUSR1');
    await expect.poll(() => page(health, '/metrics')).toMatch(/^coredns_reload_failed_total 1$/m);
    expect(await code('hello.default.svc.cluster.local')).toBe('NOERROR');
  });

  test('goes to the cluster of the context that is named', async () => {
    const contents = {
      'current-context': 'elsewhere',
      contexts: ['here', 'elsewhere'].map((cluster) => ({ name: cluster, context: { cluster } })),
      clusters: [
        { name: 'here', cluster: { server: api.url } },
        { name: 'elsewhere', cluster: { server: 'http://127.0.0.1:1' } },
      ],
    };
    await writeFile(join(folder, 'two'), JSON.stringify(contents));
    await run(corefile(await freePort()).replace('/kubeconfig', '/two here'));
    expect(await code('hello.default.svc.cluster.local')).toBe('NOERROR');
  });

  test('goes to the API server that is named, over TLS by the files that are, and to others of it', async () => {
    const authority = await certify('authority');
    const shown = await certify('api.test', authority);
    const { cert, key } = await certify('dns', authority);
    for (const [file, text] of Object.entries({ cert, key, ca: authority.cert }))
      await writeFile(join(folder, file), text);
    const relay = createHttpsServer({ ...shown, ca: authority.cert, requestCert: true, rejectUnauthorized: true });
    relay.on('request', (asked, reply) => {
      request(`${api.url}${asked.url}`, (response) => void response.on('error', () => reply.end()).pipe(reply))
        .on('error', () => reply.end())
        .end();
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const { port: relayPort } = relay.address() as { port: number };
    const tls = `tls ${folder}/cert ${folder}/key ${folder}/ca`;
    const byEndpoint = corefile(await freePort()).replace(
      `kubeconfig ${folder}/kubeconfig`,
      `endpoint https://127.0.0.1:1 https://127.0.0.1:${relayPort}\n${tls}`,
    );
    await run(byEndpoint);
    relay.close();
    relay.closeAllConnections();
  });

  test('serves on for its lameduck time, and says that it is about to go', async () => {
    const health = await freePort();
    await run(corefile(health));
    expect(await page(health, '/health')).toBe('200 OK');
    const told = performance.now();
    stop.abort();
    await expect.poll(() => page(health, '/ready')).toBe('503 Shutting down');
    expect(await page(health, '/health')).toBe('200 OK');
    expect(await code('hello.default.svc.cluster.local')).toBe('NOERROR');
    await running;
    expect(performance.now() - told).toBeGreaterThanOrEqual(495);
  });

  test('needs no kubeconfig for names that are not of a cluster', async () => {
    await writeFile(join(folder, 'hosts'), '192.0.2.7 printer.example\n');
    await writeFile(join(folder, 'Corefile'), `.:${port} {\n  bind 127.0.0.1\n  hosts ${folder}/hosts\n}\n`);
    running = runDns(join(folder, 'Corefile'), stop.signal);
    await expect.poll(() => code('printer.example')).toBe('NOERROR');
  });

  test('refuses what it cannot read, and says where', async () => {
    await writeFile(join(folder, 'Corefile'), '.:53 {\n  autopath @kubernetes\n}\n');
    await expect(runDns(join(folder, 'Corefile'), stop.signal)).rejects.toThrow(
      /Corefile:2 plugin autopath is not supported.*INVALID_CONFIG/,
    );
    await expect(runDns(join(folder, 'gone'), stop.signal)).rejects.toThrow(/gone cannot be read \(ENOENT\)/);
  });
});
