import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDnsConfig, readUpstreams } from './config.ts';
import { formatServerAddress, parseServerAddress } from './forward/address.ts';
import { name } from './testing/objects.ts';

describe('parseDnsConfig', () => {
  test('has a default for everything', () => {
    expect(parseDnsConfig({})).toEqual({
      listen: [{ ip: '0.0.0.0', port: 53 }],
      clusterDomain: name('cluster.local'),
      ttl: 5,
      pods: 'insecure',
      nameServer: 'kube-system/kube-dns',
      upstreams: '/etc/resolv.conf',
      maxUdpSize: 1232,
      health: { ip: undefined, port: 8080 },
      ready: { ip: undefined, port: 8181 },
      metrics: { ip: undefined, port: 9153 },
      kubeconfig: undefined,
    });
  });

  test('takes what is given', () => {
    const config = parseDnsConfig({
      listen: [
        { address: '10.0.0.1', port: 5353 },
        { address: '::', port: 53 },
      ],
      clusterDomain: 'Example.TEST.',
      ttl: 30,
      pods: 'disabled',
      nameServer: 'dns/server',
      upstreams: ['192.0.2.1', '192.0.2.2:5353', '[2001:db8::1]:53'],
      maxUdpSize: 4096,
      health: { address: '127.0.0.1', port: 0 },
      kubeconfig: '/etc/kubeconfig',
    });
    expect(config).toMatchObject({
      listen: [
        { ip: '10.0.0.1', port: 5353 },
        { ip: '::', port: 53 },
      ],
      clusterDomain: name('example.test'),
      ttl: 30,
      upstreams: [
        { ip: '192.0.2.1', port: 53 },
        { ip: '192.0.2.2', port: 5353 },
        { ip: '2001:db8::1', port: 53 },
      ],
      health: { ip: '127.0.0.1', port: 0 },
    });
    expect(parseDnsConfig({ resolvConf: '/x' }).upstreams).toBe('/x');
  });

  test.each([
    [null, /^the DNS configuration null is not an object/],
    [[], /is not an object/],
    [{ forward: [] }, /^forward is no field of the DNS configuration/],
    [{ listen: [] }, /^listen is empty/],
    [{ listen: '0.0.0.0:53' }, /^listen .* is not a list/],
    [{ listen: [{ address: 'localhost', port: 53 }] }, /^listen\[0\]\.address "localhost" is not an IP address/],
    [{ listen: [{ address: '0.0.0.0' }] }, /^listen\[0\]\.port is missing/],
    [{ listen: [{ address: '0.0.0.0', port: 53, tls: true }] }, /^listen\[0\]\.tls is no field/],
    [{ metrics: { port: 65_536 } }, /^metrics\.port 65536 is not a whole number from 0 to 65535/],
    [{ clusterDomain: 'a..b' }, /^clusterDomain "a\.\.b" is not a domain/],
    [{ clusterDomain: '.' }, /^clusterDomain/],
    [{ ttl: -1 }, /^ttl -1 is not a whole number from 0 to 3600/],
    [{ ttl: '5' }, /^ttl "5" is not/],
    [{ pods: 'verified' }, /^pods "verified" is not .*choose from disabled, insecure/],
    [{ nameServer: 'kube-dns' }, /^nameServer "kube-dns" is not a Service/],
    [{ upstreams: 'x' }, /^upstreams .* is not a list/],
    [{ upstreams: ['dns.example.com'] }, /^upstreams\[0\] "dns\.example\.com" is not the address of a DNS server/],
    [{ upstreams: ['192.0.2.1:99999'] }, /is not the address of a DNS server/],
    [{ upstreams: [], resolvConf: '/x' }, /^resolvConf stands beside upstreams/],
    [{ maxUdpSize: 65_535 }, /^maxUdpSize 65535/],
  ])('refuses %j, with a reason', (object, message) => {
    expect(() => parseDnsConfig(object)).toThrow(message);
    expect(() => parseDnsConfig(object)).toThrow(/INVALID_CONFIG/);
  });
});

describe('parseServerAddress', () => {
  test.each(['192.0.2.1:53', '[2001:db8::1]:5353'])('is the inverse of formatServerAddress for %s', (text) => {
    expect(formatServerAddress(parseServerAddress(text))).toBe(text);
  });
});

describe('readUpstreams', () => {
  const upstreamsOf = async (object: object) => (await readUpstreams(parseDnsConfig(object))).map(formatServerAddress);

  test('leaves this server itself out', async () => {
    const upstreams = ['127.0.0.1', '127.0.0.53', '127.0.0.1:5353', '192.0.2.1', '10.0.0.1'];
    expect(await upstreamsOf({ upstreams })).toEqual(['127.0.0.1:5353', '192.0.2.1:53', '10.0.0.1:53']);
    const listen = [{ address: '10.0.0.1', port: 53 }];
    expect(await upstreamsOf({ upstreams, listen })).toEqual(
      upstreams.slice(0, -1).map((u) => formatServerAddress(parseServerAddress(u))),
    );
  });

  test('reads a resolv.conf, and says which it cannot read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dns-config-'));
    await writeFile(join(folder, 'resolv.conf'), 'nameserver 127.0.0.53\nnameserver 192.0.2.1\n');
    expect(await upstreamsOf({ resolvConf: join(folder, 'resolv.conf') })).toEqual(['192.0.2.1:53']);
    const many = Array.from({ length: 20 }, (_, i) => `nameserver 198.51.100.${i}`);
    await writeFile(join(folder, 'resolv.conf'), many.join('\n'));
    expect(await upstreamsOf({ resolvConf: join(folder, 'resolv.conf') })).toHaveLength(15);
    await expect(upstreamsOf({ resolvConf: join(folder, 'gone') })).rejects.toThrow(
      /gone cannot be read.*INVALID_CONFIG/,
    );
    await rm(folder, { recursive: true });
  });
});
