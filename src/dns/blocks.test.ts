import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { connect } from '../client/client.ts';
import type { ApiClient } from '../client/types.ts';
import { readDnsConfig } from './config/read.ts';
import { DnsServer } from './server.ts';
import { SmallApi } from './testing/api.ts';
import { type Certified, certify } from './testing/certificates.ts';
import { a, type OtherServer, otherServer, silent, soa } from './testing/servers.ts';

let api: SmallApi;
let client: ApiClient;
let folder: string;
let port: number;
let server: DnsServer | undefined;
const others: OtherServer[] = [];

beforeEach(async () => {
  api = new SmallApi();
  await api.start();
  api.put('namespaces', 'default', {});
  api.put('services', 'default/outside', { spec: { type: 'ExternalName', externalName: 'api.stub.test' } });
  client = connect({ server: api.url });
  port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'dns-blocks-'));
});

afterEach(async () => {
  await server?.close();
  server = undefined;
  client.close();
  await api.stop();
  for (const other of others.splice(0)) await other.close();
  await rm(folder, { recursive: true });
});

async function start(corefile: string, log = silent): Promise<DnsServer> {
  const file = join(folder, 'Corefile');
  await writeFile(file, corefile);
  const { config } = await readDnsConfig(file);
  server = await DnsServer.start({ config, openClient: async () => client, log });
  await server.synced;
  return server;
}

/** A server whose answers are one address. */
async function upstream(address: string, tls?: Certified): Promise<string> {
  const other = await otherServer(({ questions }) => ({ answers: [a(questions?.[0]?.name ?? '', address)] }), tls);
  others.push(other);
  return `127.0.0.1:${other.address.port}`;
}

/** What dig prints, short, as lines. */
async function dig(name: string, ...rest: string[]): Promise<string[]> {
  const args = ['@127.0.0.1', '-p', String(port), '+short', '+time=3', '+tries=1', ...rest, name];
  return (await promisify(execFile)('dig', args)).stdout.trim().split('\n');
}

describe('openBlock', () => {
  test('says which upstreams are this server itself, and where nobody is left to ask', async () => {
    const told: unknown[] = [];
    const log = pino({ base: null }, { write: (line: string) => told.push(JSON.parse(line)) });
    await start(
      `.:${port} {
      bind 127.0.0.1
      forward . 127.0.0.1:${port}
    }`,
      log,
    );
    expect(told).toContainEqual(expect.objectContaining({ zone: '.', upstreams: [`127.0.0.1:${port}`] }));
    expect(told).toContainEqual(
      expect.objectContaining({ zone: '.', msg: 'no server is left to ask for names of this zone' }),
    );
  });

  test('asks another block of the same server, at its own address', async () => {
    const inner = await freePort();
    await start(`.:${port} {
      bind 127.0.0.1
      forward . 127.0.0.1:${inner}
    }
    .:${inner} {
      bind 127.0.0.1
      forward . ${await upstream('192.0.2.1')}
    }`);
    expect(await dig('www.test')).toEqual(['192.0.2.1']);
  });

  test('leaves what a parent says of a zone to the block that has the parent', async () => {
    const asked: string[] = [];
    const other = await otherServer(({ questions = [] }) => {
      asked.push(...questions.map(({ name, type }) => `${name} ${type}`));
      return { answers: [] };
    });
    others.push(other);
    await start(`cluster.local:${port} {
      bind 127.0.0.1
      kubernetes
    }
    .:${port} {
      bind 127.0.0.1
      forward . 127.0.0.1:${other.address.port}
    }`);
    const signer = async (name: string) => await dig(name, 'DS', '+noshort', '+all');
    await signer('cluster.local');
    expect(asked).toEqual(['cluster.local DS']);
    // Below its apex the zone itself says that there is none.
    expect((await signer('svc.cluster.local')).join(' ')).toMatch(/NOERROR.* aa .*cluster\.local\.\s.*SOA/s);
    expect(asked).toHaveLength(1);
  });

  test('asks the servers of the nearest zone, for targets of aliases too', async () => {
    const [all, stub, deep] = [await upstream('192.0.2.1'), await upstream('192.0.2.2'), await upstream('192.0.2.3')];
    await start(`.:${port} {
      bind 127.0.0.1
      kubernetes cluster.local
      forward . ${all}
      forward stub.test ${stub} {
        except odd.stub.test
      }
      forward deep.stub.test ${deep}
      cache
    }`);
    expect(await dig('www.test')).toEqual(['192.0.2.1']);
    expect(await dig('www.stub.test')).toEqual(['192.0.2.2']);
    expect(await dig('www.deep.stub.test')).toEqual(['192.0.2.3']);
    expect(await dig('www.odd.stub.test')).toEqual(['192.0.2.1']);
    expect(await dig('outside.default.svc.cluster.local')).toEqual(['api.stub.test.', '192.0.2.2']);
  });

  test('leaves answers to the next forward that takes the name, and gives its own where none does', async () => {
    const denying = await otherServer(({ questions }) => ({
      flags: questions?.[0]?.name.startsWith('bare') ? 0 : 3,
      authorities: [soa('test', 60)],
    }));
    others.push(denying);
    const [last, elsewhere] = [await upstream('192.0.2.2'), await upstream('192.0.2.3')];
    const denier = `127.0.0.1:${denying.address.port}`;
    await start(`.:${port} {
      bind 127.0.0.1
      forward . ${denier} {
        next NXDOMAIN
        next_on_nodata
      }
      forward . ${elsewhere} {
        except www.test bare.test sub.own.test
      }
      forward . ${last} {
        except sub.own.test
      }
      forward own.test ${denier}
    }`);
    expect(await dig('other.test')).toEqual(['192.0.2.3']);
    expect(await dig('www.test')).toEqual(['192.0.2.2']);
    expect(await dig('bare.test')).toEqual(['192.0.2.2']);
    expect((await dig('www.own.test', '+noshort', '+all')).join(' ')).toMatch(/status: NXDOMAIN/);
    expect((await dig('gone.sub.own.test', '+noshort', '+all')).join(' ')).toMatch(/status: NXDOMAIN/);
  });

  test('answers from hosts before it asks anybody', async () => {
    const all = await upstream('192.0.2.1');
    await writeFile(join(folder, 'hosts'), '192.0.2.77 file.test\n');
    const { metrics } = await start(`.:${port} {
      bind 127.0.0.1
      hosts ${folder}/hosts {
        192.0.2.78 inline.test
        ttl 60
        fallthrough
      }
      forward . ${all}
    }`);
    expect(await dig('file.test')).toEqual(['192.0.2.77']);
    expect(await dig('inline.test')).toEqual(['192.0.2.78']);
    expect(await dig('other.test')).toEqual(['192.0.2.1']);
    expect(metrics.registry.text()).toMatch(/coredns_dns_responses_total\{[^}]*plugin="hosts"\} 2\n/);
    expect(metrics.registry.text()).toMatch(/coredns_plugin_enabled\{[^}]*name="hosts"\} 1\n/);
  });

  test('listens for DNS over TLS, and asks over it', async () => {
    const authority = await certify('Test Authority');
    const own = await certify('dns.test', authority);
    await writeFile(join(folder, 'ca.pem'), authority.cert);
    await writeFile(join(folder, 'cert.pem'), own.cert);
    await writeFile(join(folder, 'key.pem'), own.key);
    const all = await upstream('192.0.2.1', own);
    const corefile = (certificate: string) => `tls://.:${port} {
      bind 127.0.0.1
      tls ${folder}/${certificate} ${folder}/key.pem
      forward . tls://${all} {
        tls ${folder}/ca.pem
        tls_servername dns.test
      }
    }`;
    await start(corefile('cert.pem'));
    expect(await dig('www.test', '+tls', `+tls-ca=${folder}/ca.pem`, '+tls-hostname=dns.test')).toEqual(['192.0.2.1']);
    const byTarget = (name: string) =>
      corefile('cert.pem')
        .replace('tls_servername dns.test\n', '')
        .replace('tls://127.0.0.1:', `tls://127.0.0.1%${name}:`);
    for (const [name, answer] of [
      ['dns.test', '192.0.2.1'],
      ['else.test', ''],
    ] as const) {
      await server?.close();
      await start(byTarget(name));
      expect(await dig('www.test', '+tls')).toEqual([answer]);
    }
    await server?.close();
    await expect(start(corefile('gone.pem'))).rejects.toThrow(/gone\.pem cannot be read.*INVALID_CONFIG/);
  });

  test('keeps answers as its cache says', async () => {
    const all = await upstream('192.0.2.1');
    await start(`.:${port} {
      bind 127.0.0.1
      forward . ${all}
      cache 10 kept.test {
        disable success odd.kept.test
      }
    }`);
    for (const name of ['a.kept.test', 'a.odd.kept.test', 'a.test'])
      for (const _ of [1, 2]) expect(await dig(name)).toEqual(['192.0.2.1']);
    const asked = others[0]?.asked.map(({ name }) => name).sort();
    expect(asked?.filter((name) => name.endsWith('.test'))).toEqual([
      'a.kept.test',
      'a.odd.kept.test',
      'a.odd.kept.test',
      'a.test',
      'a.test',
    ]);
    const [line] = await dig('a.kept.test', '+noshort', '+noall', '+answer');
    expect(Number(line?.split(/\s+/)[1])).toBeLessThanOrEqual(10);
  });
});
