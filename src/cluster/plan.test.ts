import { describe, expect, test } from 'vitest';
import { parseControllersConfig } from '../controllers/config.ts';
import { allocatePodCidrs } from '../controllers/nodes/pod-cidr.ts';
import { formatCidr } from '../net/cidr.ts';
import { clusterFamilies, maxNodes, planCluster } from './plan.ts';

describe('planCluster', () => {
  test('gives the addresses that texts about Kubernetes show', () => {
    const plan = planCluster(3, 'ipv4');
    expect(plan.nodes.map((n) => [n.name, n.ips, n.outsideIps, n.podCidrs.map(formatCidr)])).toEqual([
      ['node-1', ['192.168.101.3'], ['192.168.102.3'], ['10.244.1.0/24']],
      ['node-2', ['192.168.101.4'], ['192.168.102.4'], ['10.244.2.0/24']],
      ['node-3', ['192.168.101.5'], ['192.168.102.5'], ['10.244.3.0/24']],
    ]);
    expect(plan).toMatchObject({
      apiServers: ['192.168.101.2'],
      clients: ['192.168.102.100'],
      dnsServiceIps: ['10.96.0.10'],
      kubernetesServiceIps: ['10.96.0.1'],
    });
  });

  test('has both families in a dual cluster, IPv4 first, and IPv6 alone in the other', () => {
    const plan = planCluster(2, 'dual');
    expect(plan.nodes[1]).toMatchObject({
      ips: ['192.168.101.4', 'fd00:192:168:101::4'],
      outsideIps: ['192.168.102.4', 'fd00:192:168:102::4'],
    });
    expect(plan.nodes[1]?.podCidrs.map(formatCidr)).toEqual(['10.244.2.0/24', 'fd00:10:244:2::/64']);
    expect(plan.dnsServiceIps).toEqual(['10.96.0.10', 'fd00:10:96::a']);
    expect(planCluster(2, 'ipv6').nodes[0]?.ips).toEqual(['fd00:192:168:101::3']);
  });

  test.each(clusterFamilies)('gives no address twice, at the most nodes (%s)', (families) => {
    const plan = planCluster(maxNodes, families);
    const taken = [
      ...plan.nodes.flatMap((n) => [...n.ips, ...n.outsideIps]),
      ...plan.apiServers,
      ...plan.clients,
      ...plan.nodeGateways,
      ...plan.outsideGateways,
    ];
    expect(new Set(taken).size).toBe(taken.length);
  });

  test.each(clusterFamilies)('gives nodes the blocks that the controllers will give them (%s)', (families) => {
    const plan = planCluster(maxNodes, families);
    const podNetworks = parseControllersConfig({
      clusterCidr: plan.networks.map(({ pods }) => formatCidr(pods)).join(','),
    }).podNetworks;
    for (const { name, podCidrs } of plan.nodes) {
      expect(podCidrs.map(formatCidr)).toEqual(allocatePodCidrs(name, podNetworks, new Set()));
    }
  });

  test.each([0, -1, 1.5, maxNodes + 1, Number.NaN])('refuses %d nodes', (count) => {
    expect(() => planCluster(count, 'ipv4')).toThrow(/is no possible number of nodes.*INVALID_CONFIG/);
  });
});
