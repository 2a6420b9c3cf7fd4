import { describe, expect, it } from 'vitest';
import type { Endpoint, Frontend, ServicePort } from '../../model/types.ts';
import { parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';
import { relaysOf, throughRelays } from './service.ts';

const endpoint = (ip: string): Endpoint => ({ ip: parseIp(ip), port: 8080, local: true });
const all = [endpoint('10.244.1.2'), endpoint('10.244.2.2')];
const local = [endpoint('10.244.1.2')];
const clusterIp: Frontend = {
  kind: 'cluster-ip',
  ip: parseIp('10.96.0.7'),
  port: 80,
  endpoints: all,
  whenEmpty: 'reject',
  masquerade: 'off-cluster',
};
const nodePort: Frontend = {
  kind: 'node-port',
  ip: parseIp('192.168.101.3'),
  port: 30080,
  endpoints: local,
  whenEmpty: 'drop',
  masquerade: 'never',
  inside: { endpoints: all, whenEmpty: 'reject', masquerade: 'off-cluster' },
};
const port: ServicePort = {
  name: 'default/web:http',
  protocol: 'TCP',
  frontends: [clusterIp, nodePort, { ...nodePort, ip: parseIp('192.168.102.3') }],
  affinitySeconds: 60,
};
const relayPorts = new Map(relaysOf(port).map(({ key }, i) => [key, 41_000 + i]));
const through = (of: ServicePort) =>
  throughRelays(of, (key) => ({ ip: parseIp('192.168.101.3'), port: relayPorts.get(key) ?? 0 }));

describe('relaysOf', () => {
  it('has a relay for each destination a client may be led to', () => {
    expect(relaysOf(port)).toEqual([
      expect.objectContaining({ key: 'default/web:http TCP IPv4 cluster-ip', endpoints: all, affinitySeconds: 60 }),
      expect.objectContaining({ key: 'default/web:http TCP IPv4 external', endpoints: local }),
      expect.objectContaining({ key: 'default/web:http TCP IPv4 inside', endpoints: all }),
    ]);
  });

  it('has one a family, and none where nobody answers', () => {
    const six = { ...clusterIp, ip: parseIp('fd00::7'), endpoints: [endpoint('fd00:244::2')] };
    const empty = { ...nodePort, endpoints: [], inside: { ...nodePort, endpoints: [] } };
    const plans = relaysOf({ ...port, frontends: [clusterIp, six, empty] });
    expect(plans.map(({ key }) => key)).toEqual([
      'default/web:http TCP IPv4 cluster-ip',
      'default/web:http TCP IPv6 cluster-ip',
    ]);
  });
});

describe('throughRelays', () => {
  it('leads every frontend to its relay, and keeps the choice of who is led where', () => {
    const frontends = through(port).frontends.slice(0, 3);
    expect(frontends.map(({ endpoints }) => endpoints.map((to) => to.port))).toEqual([[41_000], [41_001], [41_001]]);
    expect(frontends.map(({ inside }) => inside?.endpoints.map((to) => to.port))).toEqual([
      undefined,
      [41_002],
      [41_002],
    ]);
    expect(frontends.every(({ masquerade }) => masquerade === 'never')).toBe(true);
  });

  it('leaves to the rules what only they can do', () => {
    const sourceRanges = [parseCidr('192.0.2.0/24')];
    const empty: Frontend = { ...clusterIp, kind: 'load-balancer-ip', endpoints: [], whenEmpty: 'drop', sourceRanges };
    expect(through({ ...port, frontends: [empty] }).frontends).toEqual([{ ...empty, masquerade: 'never' }]);
  });

  it('lets nobody come to a relay who was not led there', () => {
    expect(through(port).frontends.slice(3)).toEqual(
      [41_000, 41_001, 41_002].map((relay) => ({
        kind: 'external-ip',
        ip: '192.168.101.3',
        port: relay,
        endpoints: [],
        whenEmpty: 'reject',
        masquerade: 'never',
      })),
    );
  });

  it('keeps no affinity, which the relay has', () => {
    expect(through(port)).not.toHaveProperty('affinitySeconds');
  });
});
