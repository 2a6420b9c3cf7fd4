import { describe, expect, test } from 'vitest';
import { formatCidr } from '../net/cidr.ts';
import { controllerNames, parseControllersConfig } from './config.ts';

describe('parseControllersConfig', () => {
  test('parseControllersConfig has a default for everything', () => {
    const config = parseControllersConfig({});
    expect(config).toMatchObject({
      kubeconfig: undefined,
      controllers: controllerNames,
      nodeGraceMs: 40_000,
      leaderElection: true,
      rootCaFile: undefined,
    });
    expect(config.podNetworks.map(({ cidr, nodePrefix }) => [formatCidr(cidr), nodePrefix])).toEqual([
      ['10.244.0.0/16', 24],
    ]);
  });

  test('parseControllersConfig reads all of it', () => {
    const config = parseControllersConfig({
      kubeconfig: '/k',
      controllers: ['scheduler', 'endpointslice', 'scheduler'],
      clusterCidr: '10.0.0.0/8, fd00::/48',
      nodeCidrMaskSizes: { IPv4: 16 },
      nodeGraceSeconds: 5,
      leaderElection: false,
      rootCaFile: '/ca.crt',
    });
    expect(config).toMatchObject({
      kubeconfig: '/k',
      controllers: ['scheduler', 'endpointslice'],
      nodeGraceMs: 5000,
      rootCaFile: '/ca.crt',
    });
    expect(config.podNetworks.map(({ cidr, nodePrefix }) => [formatCidr(cidr), nodePrefix])).toEqual([
      ['10.0.0.0/8', 16],
      ['fd00::/48', 64],
    ]);
  });

  test('parseControllersConfig reads pools of balancers’ addresses', () => {
    const pools = [
      { name: 'a', addresses: ['192.0.2.0/30', 'fd00::1-fd00::2', '192.0.2.9'] },
      { name: 'b', addresses: ['198.51.100.1-198.51.100.9'], namespaces: ['x'], autoAssign: false },
    ];
    const { loadBalancer } = parseControllersConfig({ loadBalancer: { pools, isDefault: false } });
    expect(loadBalancer).toMatchObject({
      className: 'signalbox.dev/load-balancer',
      isDefault: false,
      pools: [
        {
          name: 'a',
          autoAssign: true,
          ranges: [
            { family: 'IPv4' },
            { family: 'IPv6', first: (0xfd00n << 112n) | 1n },
            { first: 0xc000_0209n, last: 0xc000_0209n },
          ],
        },
        { name: 'b', autoAssign: false, namespaces: ['x'] },
      ],
    });
    expect(loadBalancer.pools[0]).not.toHaveProperty('namespaces');
    const reserved = { name: 'c', addresses: ['192.0.2.0/30'], namespaceSelector: 'team in (a,b)' };
    const [pool] = parseControllersConfig({ loadBalancer: { pools: [reserved] } }).loadBalancer.pools;
    expect(['a', 'c'].map((team) => pool?.namespaceSelector?.({ team }))).toEqual([true, false]);
    expect(parseControllersConfig({}).loadBalancer.pools).toEqual([]);
  });

  const pool = (name: string, ...addresses: string[]) => ({ name, addresses });
  test.each([
    [[pool('a', '192.0.2.0/24'), pool('b', '192.0.2.9-192.0.3.1')], /loadBalancer\.pools .*in pool a and in pool b/],
    [[pool('a', '192.0.2.1/32'), pool('a', '192.0.2.2/32')], /loadBalancer\.pools .*two pools a/],
    [[pool('a', '192.0.2.9-192.0.2.1')], /loadBalancer\.pools\[0\]\.addresses\[0\] .*no range/],
    [[pool('a', '192.0.2.0/40')], /loadBalancer\.pools\[0\]\.addresses\[0\] "192\.0\.2\.0\/40" is not a block/],
    [[pool('a', '192.0.2.300')], /loadBalancer\.pools\[0\]\.addresses\[0\] "192\.0\.2\.300" is not an IP address/],
    [[pool('a', '126.0.0.1-128.0.0.1')], /addresses\[0\] .* is of 127\.0\.0\.0\/8/],
    [[pool('a', 'ff02::1')], /addresses\[0\] .* is of ff00::\/8/],
    [[pool('a')], /loadBalancer\.pools\[0\]\.addresses is empty/],
  ])('parseControllersConfig refuses pools %j', (pools, message) => {
    expect(() => parseControllersConfig({ loadBalancer: { pools } })).toThrow(message);
  });

  test.each([
    ['nothing', null, /^the controllers configuration null is not an object/],
    ['an unknown field', { clusterCIDR: 'x' }, /^clusterCIDR is no field of the controllers configuration/],
    [
      'an unknown controller',
      { controllers: ['scheduler', 'job'] },
      /^controllers\[1\] "job" is not .*choose from namespace, /,
    ],
    ['no controller', { controllers: [] }, /^controllers is empty/],
    [
      'a prefix that does not fit',
      { nodeCidrMaskSizes: { IPv4: 8 } },
      /^nodeCidrMaskSizes\.IPv4 8 is not a whole number from 16 to 32/,
    ],
    ['a family that there is not', { nodeCidrMaskSizes: { ipv4: 24 } }, /^nodeCidrMaskSizes\.ipv4 is no field/],
    ['two blocks of a family', { clusterCidr: '10.0.0.0/8,11.0.0.0/8' }, /two blocks of one family/],
    ['an empty path', { kubeconfig: '' }, /^kubeconfig "" is not a text/],
    ['no grace', { nodeGraceSeconds: 0 }, /from 1 to 3600/],
  ])('parseControllersConfig refuses %s', (_what, object, message) => {
    expect(() => parseControllersConfig(object)).toThrow(message);
  });

  test('parseControllersConfig gives a node a whole network that is smaller than a default part', () => {
    expect(parseControllersConfig({ clusterCidr: '10.0.0.0/26' }).podNetworks[0]?.nodePrefix).toBe(26);
  });
});
