import { execFileSync } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../test/free-port.ts';
import type { ApiClient } from '../../client/types.ts';
import { parseDnsConfig } from '../config/fields.ts';
import { DnsServer } from '../server.ts';
import { service, slice } from '../testing/objects.ts';
import { a, otherServer, silent } from '../testing/servers.ts';
import { type SmallCluster, startSmallCluster } from '../testing/small-cluster.ts';

const anywhere = { address: '127.0.0.1', port: 0 };
const settings = {
  workers: 3,
  listen: [anywhere],
  upstreams: [],
  health: anywhere,
  ready: anywhere,
  metrics: anywhere,
};

let folder: string;
let entry: string;
let cluster: SmallCluster;
let api: SmallCluster['api'];
let client: ApiClient;
let server: DnsServer | undefined;

beforeAll(async () => {
  // Workers are processes, which run JavaScript: this is what the bundle has as a subcommand.
  folder = await mkdtemp(join(tmpdir(), 'dns-workers-'));
  entry = join(folder, 'worker.mjs');
  await symlink(fileURLToPath(new URL('../../../node_modules', import.meta.url)), join(folder, 'node_modules'));
  await build({
    stdin: { contents: "import { runWorker } from './worker.ts'; runWorker();", resolveDir: import.meta.dirname },
    outfile: entry,
    bundle: true,
    format: 'esm',
    platform: 'node',
    external: ['koffi'],
    logLevel: 'error',
    // CommonJS packages in the bundle call require() for Node's own modules.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
}, 60_000);

afterAll(() => rm(folder, { recursive: true }));

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
  const config = parseDnsConfig({ ...settings, ...rest });
  server = await DnsServer.start({ config, openClient: async () => client, log: silent, entry });
  await server.synced;
  return server;
}

/** What dig says, while this process stands still: so it is a worker who answers. */
function dig(...args: string[]): string[] {
  const port = String(server?.addresses[0]?.port);
  const output = execFileSync('dig', ['@127.0.0.1', '-p', port, '+short', '+time=2', '+tries=2', ...args], {
    encoding: 'utf8',
  });
  return output.split('\n').filter((line) => line !== '');
}

const hello = 'hello.default.svc.cluster.local';
const soa = () => dig('cluster.local', 'SOA')[0]?.split(' ')[2];

/** This process's children, but for those of tests beside. */
function workers(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(entry);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function metric(line: string): Promise<string | undefined> {
  const page = await (await fetch(`http://127.0.0.1:${server?.ports.metrics}/metrics`)).text();
  return page
    .split('\n')
    .find((one) => one.startsWith(`${line} `))
    ?.slice(line.length + 1);
}

function resolverAt(port: number): Resolver {
  const resolver = new Resolver();
  resolver.setServers([`127.0.0.1:${port}`]);
  return resolver;
}

/** What Node's resolver makes of an answer that is an error; a resolver of its own each time, so a port of its own. */
async function codeOf(name: string, port: number): Promise<string | undefined> {
  try {
    await resolverAt(port).resolve4(name);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

const asked = 'coredns_dns_requests_total{server="dns://127.0.0.1:0",zone=".",view="",proto="udp",family="1",type="A"}';

describe('Workers', { timeout: 30_000 }, () => {
  test('answer beside the main process, over UDP and TCP, with what it has', async () => {
    await start();
    expect(workers()).toHaveLength(2);
    for (let i = 0; i < 10; i++) expect(dig(hello)).toEqual(['10.96.0.20']);
    expect(dig('+tcp', hello)).toEqual(['10.96.0.20']);
    expect(await metric('signalbox_dns_workers')).toBe('3');
    expect(await metric(asked)).toBe('10');
  });

  test('are told of each change, with its serial number', async () => {
    await start();
    const pets = 'pets.default.svc.cluster.local';
    expect(dig(pets)).toEqual([]);
    for (const hosts of [['10.244.1.2'], ['10.244.1.2', '10.244.1.3'], ['10.244.1.4']]) {
      api.put('endpointslices', 'default/pets-1', slice('pets', hosts, 'http:80'));
      const said = async () => {
        const serial = await metric('signalbox_dns_zone_serial');
        return Array.from({ length: 6 }, () => (soa() === serial ? dig(pets).sort().join() : 'another serial number'));
      };
      await expect.poll(said).toEqual(Array.from({ length: 6 }, () => hosts.join()));
    }
    api.delete('endpointslices', 'default/pets-1');
    await expect.poll(() => dig(pets)).toEqual([]);
  });

  test('are started again when they end, and know all there is before they answer', async () => {
    await start();
    const [first, second] = workers();
    api.put('services', 'default/late', service(['10.96.0.30'], 'http:80'));
    await expect.poll(() => dig('late.default.svc.cluster.local')).toEqual(['10.96.0.30']);
    for (const pid of [first, second]) process.kill(pid ?? 0, 'SIGKILL');
    await expect.poll(() => metric('signalbox_dns_workers_lost_total')).toBe('2');
    await expect.poll(() => metric('signalbox_dns_workers'), { timeout: 20_000 }).toBe('3');
    expect(workers()).not.toContain(first);
    for (let i = 0; i < 8; i++) expect(dig('late.default.svc.cluster.local')).toEqual(['10.96.0.30']);
  });

  test('do not end by signals that are meant for the main process', async () => {
    await start();
    const before = workers();
    for (const pid of before) for (const signal of ['SIGTERM', 'SIGINT']) process.kill(pid, signal);
    expect(dig(hello)).toEqual(['10.96.0.20']);
    expect(workers()).toEqual(before);
  });

  test('give way to others when the configuration changes, or go', async () => {
    const started = await start();
    const before = workers();
    dig(hello);
    await started.apply(parseDnsConfig({ ...settings, ttl: 77 }));
    await expect.poll(() => workers().filter((pid) => before.includes(pid))).toEqual([]);
    expect(workers()).toHaveLength(2);
    for (let i = 0; i < 8; i++) expect(dig('+noshort', '+noall', '+answer', hello)[0]).toMatch(/\s77\s/);
    // What those before had counted stays.
    expect(await metric(asked)).toBe('9');
    await started.apply(parseDnsConfig({ ...settings, ttl: 77, workers: 1 }));
    await expect.poll(workers).toEqual([]);
    expect(await metric('signalbox_dns_workers')).toBe('1');
    expect(await metric(asked)).toBe('9');
  });

  test('end with the server', async () => {
    const started = await start();
    expect(workers()).toHaveLength(2);
    await started.close();
    expect(workers()).toEqual([]);
  });

  test('leave an upstream out that sends queries back, whoever of them hears of it', async () => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const forwarding = (from: number, to: number, rest: object = {}) =>
      parseDnsConfig({
        ...{ health: anywhere, ready: anywhere, metrics: anywhere },
        servers: [{ listen: [{ address: '127.0.0.1', port: from }], forward: [{ to: [`127.0.0.1:${to}`] }], ...rest }],
      });
    const other = await DnsServer.start({
      config: forwarding(otherPort, port, { loop: false }),
      openClient: async () => client,
      log: silent,
    });
    try {
      const config = { ...forwarding(port, otherPort), workers: 3 };
      server = await DnsServer.start({ config, openClient: async () => client, log: silent, entry });
      await server.synced;
      const refused = async () => {
        const codes = await Promise.all(Array.from({ length: 12 }, (_, i) => codeOf(`n${i}.example.com`, port)));
        return codes.every((code) => code === 'EREFUSED');
      };
      await expect.poll(refused, { timeout: 20_000, interval: 500 }).toBe(true);
    } finally {
      await other.close();
    }
  });

  test('ask other servers for themselves, each answer for its own question', async () => {
    const other = await otherServer(({ questions }) => {
      const name = questions?.[0]?.name ?? '';
      return { answers: [a(name, `192.0.2.${/\d+/.exec(name)?.[0] ?? 0}`)] };
    });
    try {
      await start({ upstreams: [`127.0.0.1:${other.address.port}`] });
      // This process has to answer for the upstream: it cannot wait for dig.
      const resolver = resolverAt(server?.addresses[0]?.port ?? 0);
      const names = Array.from({ length: 60 }, (_, i) => i + 1);
      const answers = await Promise.all(names.map((i) => resolver.resolve4(`n${i}.example.com`)));
      expect(answers).toEqual(names.map((i) => [`192.0.2.${i}`]));
    } finally {
      other.close();
    }
  });
});
