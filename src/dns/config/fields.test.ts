import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../net/cidr.ts';
import { formatServerAddress, parseServerAddress } from '../forward/address.ts';
import { name } from '../testing/objects.ts';
import { rootName } from '../wire/name.ts';
import { parseDnsConfig } from './fields.ts';

describe('parseDnsConfig', () => {
  test('has a default for everything', () => {
    const config = parseDnsConfig({});
    expect(config).toMatchObject({
      workers: 1,
      maxUdpSize: 1232,
      health: { ip: undefined, port: 8080, lameduckMs: 0 },
      ready: { ip: undefined, port: 8181 },
      metrics: [{ ip: undefined, port: 9153 }],
      reload: undefined,
      kubeconfig: undefined,
    });
    expect(config.servers).toMatchObject([
      {
        zones: [rootName],
        listen: [{ ip: '0.0.0.0', port: 53, transport: 'dns' }],
        kubernetes: {
          zones: [name('cluster.local'), name('in-addr.arpa'), name('ip6.arpa')],
          ttl: 5,
          pods: 'insecure',
          fallthrough: [name('in-addr.arpa'), name('ip6.arpa')],
          nameServer: 'kube-system/kube-dns',
        },
        forward: [{ from: rootName, to: [{ kind: 'resolvConf', path: '/etc/resolv.conf' }] }],
      },
    ]);
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
      workers: 4,
      maxUdpSize: 4096,
      health: { address: '127.0.0.1', port: 0 },
      kubeconfig: '/etc/kubeconfig',
    });
    expect(config).toMatchObject({
      servers: [
        {
          listen: [
            { ip: '10.0.0.1', port: 5353 },
            { ip: '::', port: 53 },
          ],
          kubernetes: { ttl: 30, pods: 'disabled', nameServer: 'dns/server' },
          forward: [
            {
              to: [
                { ip: '192.0.2.1', port: 53 },
                { ip: '192.0.2.2', port: 5353 },
                { ip: '2001:db8::1', port: 53 },
              ],
            },
          ],
        },
      ],
      workers: 4,
      maxUdpSize: 4096,
      health: { ip: '127.0.0.1', port: 0 },
      kubeconfig: '/etc/kubeconfig',
    });
    expect(config.servers[0]?.kubernetes?.zones[0]).toBe(name('example.test'));
    expect(parseDnsConfig({ resolvConf: '/x' }).servers[0]?.forward[0]?.to).toEqual([
      { kind: 'resolvConf', path: '/x' },
    ]);
    expect(parseDnsConfig({ upstreams: [] }).servers[0]?.forward).toEqual([]);
  });

  test('takes server blocks, as a Corefile has them', () => {
    const config = parseDnsConfig({
      servers: [
        {
          zones: ['cluster.local', '10.96.0.0/15'],
          listen: [{ port: 53 }, { address: '::1', port: 853, transport: 'tls' }],
          tls: { certFile: '/cert', keyFile: '/key' },
          errors: { consolidate: [{ interval: '5m', pattern: 'timed out$', level: 'warn' }] },
          log: [{ format: '{common} {>opcode}', classes: ['error'] }],
          loadbalance: false,
          loop: false,
          kubernetes: {
            zones: ['cluster.local', 'in-addr.arpa'],
            pods: 'verified',
            namespaces: ['a'],
            labels: 'app in (x,y)',
            endpointPodNames: true,
            fallthrough: ['in-addr.arpa'],
          },
          hosts: { inline: ['10.0.0.1 one.test'], reload: '1m', fallthrough: ['.'] },
          transfer: [{ to: '*' }, { to: ['192.0.2.1:5353', '2001:db8::1', '10.0.0.0/8'] }],
        },
        {
          cache: {
            success: { maxTtl: 60 },
            prefetch: { amount: 5 },
            serveStale: { refresh: 'verify', duration: '10m' },
            servfail: '1s',
            disableDenial: ['bad.test'],
          },
          forward: [
            { from: 'corp.test', to: ['tls://192.0.2.1'], tls: { serverName: 'dns.test' }, policy: 'round_robin' },
            { to: ['/etc/resolv.conf', '[2001:db8::1]:5353'], except: ['lan'], healthCheck: { interval: '1s' } },
          ],
        },
      ],
      health: { port: 8080, lameduck: '5s' },
      reload: { interval: '10s' },
    });
    expect(config).toMatchObject({
      health: { port: 8080, lameduckMs: 5_000 },
      reload: { intervalMs: 10_000, jitterMs: 5_000 },
      servers: [
        {
          zones: [name('cluster.local'), name('96.10.in-addr.arpa'), name('97.10.in-addr.arpa')],
          listen: [
            { ip: undefined, port: 53, transport: 'dns' },
            { ip: '::1', port: 853, transport: 'tls' },
          ],
          errors: { consolidate: [{ intervalMs: 300_000, level: 'warn' }] },
          log: [{ zones: [rootName], format: expect.stringMatching(/^\{remote\}.*\{>opcode\}$/) }],
          loadbalance: false,
          loop: false,
          kubernetes: {
            pods: 'verified',
            namespaces: ['a'],
            labels: 'app in (x,y)',
            fallthrough: [name('in-addr.arpa')],
          },
          hosts: { file: undefined, reloadMs: 60_000, fallthrough: [rootName], zones: [name('cluster.local'), {}, {}] },
          transfer: [
            { to: '*', notify: [] },
            {
              to: ['192.0.2.1/32', '2001:db8::1/128', '10.0.0.0/8'].map(parseCidr),
              notify: [{ port: 5353 }, { port: 53 }],
            },
          ],
          forward: [],
        },
        {
          zones: [rootName],
          listen: [{ ip: undefined, port: 53 }],
          loadbalance: true,
          cache: {
            success: { capacity: 9984, maxTtl: 60, minTtl: 5 },
            prefetch: { amount: 5, durationMs: 60_000, percentage: 10 },
            serveStale: { durationMs: 600_000, refresh: 'verify' },
            servfailMs: 1_000,
            disableDenial: [name('bad.test')],
          },
          forward: [
            { from: name('corp.test'), to: [{ ip: '192.0.2.1', port: 853, transport: 'tls' }], policy: 'round_robin' },
            {
              from: rootName,
              to: [{ kind: 'resolvConf' }, { port: 5353 }],
              except: [name('lan')],
              healthCheckMs: 1_000,
            },
          ],
        },
      ],
    });
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
    [{ pods: 'some' }, /^pods "some" is not .*choose from disabled, insecure, verified/],
    [{ nameServer: 'kube-dns' }, /^nameServer "kube-dns" is not a Service/],
    [{ upstreams: 'x' }, /^upstreams .* is not a list/],
    [{ upstreams: ['dns.example.com'] }, /^upstreams\[0\] "dns\.example\.com" is not the address of a DNS server/],
    [{ upstreams: ['192.0.2.1:99999'] }, /is not the address of a DNS server/],
    [{ upstreams: [], resolvConf: '/x' }, /^resolvConf stands beside upstreams/],
    [{ servers: [] }, /^servers is empty/],
    [{ servers: [{}], ttl: 5 }, /^ttl stands beside servers/],
    [{ servers: [{}, { zones: ['.'] }] }, /^\. at dns:\/\/:53 is served by two server blocks/],
    [{ servers: [{ zones: ['10.0.0.0/40'] }] }, /^servers\[0\]\.zones\[0\] "10\.0\.0\.0\/40" is not a block/],
    [{ servers: [{ kubernetes: { zones: ['ip6.arpa'] } }] }, /kubernetes\.zones names no cluster domain/],
    [{ servers: [{ kubernetes: { zones: ['a'], labels: '(' } }] }, /labels "\(" is not a label selector/],
    [{ servers: [{ log: [{ format: '{x}' }] }] }, /format cannot have \{x\} written/],
    [{ servers: [{ forward: [{ to: ['doh://x'] }] }] }, /to\[0\] "doh:\/\/x" is asked over doh/],
    [{ servers: [{ forward: [{ from: '10.0.0.0/15', to: ['1.1.1.1'] }] }] }, /from .* is several zones/],
    [{ servers: [{ rewrite: [] }] }, /^servers\[0\]\.rewrite is no field/],
    [{ reload: { interval: '1s' } }, /^reload looks more often than every 2s/],
    [{ maxUdpSize: 65_535 }, /^maxUdpSize 65535/],
    [{ workers: 0 }, /^workers 0/],
    [{ workers: 65 }, /^workers 65/],
    [{ workers: '2' }, /^workers/],
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
