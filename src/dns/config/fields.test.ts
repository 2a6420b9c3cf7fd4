import { describe, expect, test } from 'vitest';
import { formatServerAddress, parseServerAddress } from '../forward/address.ts';
import { name } from '../testing/objects.ts';
import { rootName } from '../wire/name.ts';
import { parseDnsConfig } from './fields.ts';

describe('parseDnsConfig', () => {
  test('has a default for everything', () => {
    const config = parseDnsConfig({});
    expect(config).toMatchObject({
      maxUdpSize: 1232,
      health: { ip: undefined, port: 8080, lameduckMs: 0 },
      ready: { ip: undefined, port: 8181 },
      metrics: [{ ip: undefined, port: 9153 }],
      reload: undefined,
      workers: 1,
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
