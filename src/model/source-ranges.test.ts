import { expect, it } from 'vitest';
import { formatCidr, parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import type { ServiceFacts } from '../tracker/service-facts.ts';
import { allowedSources } from './source-ranges.ts';
import type { NodeFacts } from './types.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.168.101.3'), parseIp('fd00:101::3')],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [] },
};
const service: ServiceFacts = {
  key: 'default/hello',
  created: 1,
  clusterIps: [],
  externalIps: [],
  loadBalancerIps: [parseIp('192.0.2.1'), parseIp('192.0.2.2'), parseIp('2001:db8::1')],
  internalTrafficPolicy: 'Cluster',
  externalTrafficPolicy: 'Cluster',
  ports: [],
};
const allowed = (family: 'IPv4' | 'IPv6', ...ranges: readonly string[]) =>
  allowedSources(service, ranges.map(parseCidr), { node, family }).map(formatCidr);

it('allowedSources are the ranges of the family; nobody where there is none of it', () => {
  expect(allowed('IPv4', '10.0.0.0/8', 'fd01::/16')).toEqual(['10.0.0.0/8']);
  expect(allowed('IPv6', '10.0.0.0/8')).toEqual([]);
});

it('allowedSources have the addresses of the balancer as well where the node itself is allowed', () => {
  const ranges = ['192.168.0.0/16', 'fd00:101::/64'];
  expect(allowed('IPv4', ...ranges)).toEqual(['192.168.0.0/16', '192.0.2.1/32', '192.0.2.2/32']);
  expect(allowed('IPv6', ...ranges)).toEqual(['fd00:101::/64', '2001:db8::1/128']);
});
