import { describe, expect, it } from 'vitest';
import type { Node } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { parseProxyConfig } from './config.ts';
import { isEligible, nodeFacts } from './node-facts.ts';

const node: Node = {
  metadata: { name: 'node-1', labels: { 'topology.kubernetes.io/zone': 'a' } },
  spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'] },
  status: {
    addresses: [
      { type: 'Hostname', address: 'node-1' },
      { type: 'ExternalIP', address: '203.0.113.3' },
      { type: 'InternalIP', address: '192.168.101.3' },
      { type: 'InternalIP', address: '192.168.101.33' },
      { type: 'ExternalIP', address: '2001:db8::3' },
    ],
  },
};
const interfaceAddresses = () =>
  ['127.0.0.1', '192.168.101.3', '192.168.102.3', '10.244.1.1', '192.168.101.3'].map(parseIp);
const facts = (config: object, of: Node | undefined = node) =>
  nodeFacts({ name: 'node-1', node: of, peers: [], interfaceAddresses }, parseProxyConfig(config));

describe('nodeFacts', () => {
  it('serves node ports on one address a family: internal before external', () => {
    expect(facts({})).toEqual({
      name: 'node-1',
      zone: 'a',
      addresses: ['192.168.101.3', '2001:db8::3'],
      nodePortAddresses: ['192.168.101.3', '2001:db8::3'],
      nodePortsEverywhere: [],
      localTraffic: { by: 'source', blocks: [] },
    });
  });

  it('serves them on the address the user binds to, in its family', () => {
    expect(facts({ bindAddress: '192.168.102.3' }).nodePortAddresses).toEqual(['192.168.102.3', '2001:db8::3']);
  });

  it('serves them on all addresses of the devices in the blocks the user names, but loopback', () => {
    const nodePortAddresses = ['192.168.0.0/16', '127.0.0.0/8'];
    expect(facts({ nodePortAddresses }).nodePortAddresses).toEqual(['192.168.101.3', '192.168.102.3']);
  });

  it('serves them on loopback in iptables mode alone, and not there if the user does not want so', () => {
    const loopback = (config: object) => facts(config).nodePortAddresses.includes(parseIp('127.0.0.1'));
    const nodePortAddresses = ['127.0.0.0/8', '192.168.0.0/16'];
    expect(loopback({ mode: 'iptables', nodePortAddresses })).toBe(true);
    expect(loopback({ mode: 'iptables' })).toBe(true);
    expect(loopback({ mode: 'iptables', iptables: { localhostNodePorts: false } })).toBe(false);
    expect(loopback({ mode: 'iptables', nodePortAddresses: ['192.168.0.0/16'] })).toBe(false);
    expect(loopback({ mode: 'userspace', nodePortAddresses })).toBe(false);
  });

  it('knows Pods by the configured blocks or by those of the node', () => {
    const bases = (config: object) => {
      const { localTraffic } = facts(config);
      return localTraffic.by === 'source' ? localTraffic.blocks.map(({ base }) => base) : [];
    };
    expect(bases({ clusterCIDR: '10.244.0.0/16' })).toEqual(['10.244.0.0']);
    expect(bases({ detectLocalMode: 'NodeCIDR' })).toEqual(['10.244.1.0', 'fd00:244:1::']);
  });

  it('knows Pods by the device their packets come in through', () => {
    const detectLocal = { bridgeInterface: 'cni0', interfaceNamePrefix: 'veth' };
    expect(facts({ detectLocalMode: 'BridgeInterface', detectLocal }).localTraffic).toEqual({
      by: 'interface',
      name: 'cni0',
    });
    expect(facts({ detectLocalMode: 'InterfaceNamePrefix', detectLocal }).localTraffic).toEqual({
      by: 'interface-prefix',
      prefix: 'veth',
    });
  });

  it('knows the addresses of other nodes, where they are told', () => {
    const peers = [parseIp('192.168.101.4')];
    const sources = { name: 'node-1', node: undefined, peers, interfaceAddresses };
    expect(nodeFacts(sources, parseProxyConfig({ mode: 'ipvs' })).peerAddresses).toEqual(peers);
  });

  it('goes on without a Node object', () => {
    const none = nodeFacts(
      { name: 'node-1', node: undefined, peers: [], interfaceAddresses },
      parseProxyConfig({ detectLocalMode: 'NodeCIDR' }),
    );
    expect(none).toEqual({
      name: 'node-1',
      zone: undefined,
      addresses: [],
      nodePortAddresses: [],
      nodePortsEverywhere: [],
      localTraffic: { by: 'source', blocks: [] },
    });
  });
});

describe('isEligible', () => {
  it('is false for a node that is about to go', () => {
    expect(isEligible(node)).toBe(true);
    expect(isEligible({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })).toBe(false);
    const taints = [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }];
    expect(isEligible({ spec: { taints } })).toBe(false);
  });
});
