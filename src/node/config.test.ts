import { describe, expect, it } from 'vitest';
import { parseNodeConfig } from './config.ts';

const least = {
  nodeName: 'node-1',
  nodeIps: ['192.168.101.3'],
  podCidrs: ['10.244.1.0/24'],
  stateDir: '/var/lib/x',
  runDir: '/run/x',
  imageDir: '/usr/lib/x',
};

describe('parseNodeConfig', () => {
  it('parseNodeConfig fills in what may be left out', () => {
    expect(parseNodeConfig(least)).toMatchObject({
      nodeName: 'node-1',
      podCidrs: [{ family: 'IPv4', base: '10.244.1.0', prefix: 24 }],
      clusterDns: [],
      clusterDomain: 'cluster.local',
      bridge: 'cni0',
      labels: {},
      resolvConf: '/etc/resolv.conf',
    });
  });

  it.each<[object | null, RegExp]>([
    [null, /is not an object/],
    [{ ...least, nodeName: undefined }, /^nodeName is missing/],
    [{ ...least, nodeIps: [] }, /^nodeIps is empty/],
    [{ ...least, nodeIps: ['x'] }, /INVALID_ADDRESS/],
    [{ ...least, podCidrs: ['10.0.0.0'] }, /INVALID_CIDR/],
    [{ ...least, stateDir: 'relative' }, /^stateDir "relative" is not an absolute path/],
    [{ ...least, labels: ['a'] }, /^labels .* is not an object/],
    [{ ...least, labels: { a: 1 } }, /^labels\.a 1 is not a text/],
    [{ ...least, podCidr: '10.0.0.0/8' }, /^podCidr is no field of the node configuration/],
  ])('parseNodeConfig refuses %j', (value, message) => {
    expect(() => parseNodeConfig(value)).toThrow(message);
  });
});
