import { describe, expect, test } from 'vitest';
import { formatCidr } from '../net/cidr.ts';
import { maxNodes, planCluster } from './plan.ts';

describe('planCluster', () => {
  test('gives the addresses that texts about Kubernetes show', () => {
    const plan = planCluster(3);
    expect(plan.nodes.map((n) => [n.name, n.ip, n.outsideIp, formatCidr(n.podCidr)])).toEqual([
      ['node-1', '192.168.101.3', '192.168.102.3', '10.244.1.0/24'],
      ['node-2', '192.168.101.4', '192.168.102.4', '10.244.2.0/24'],
      ['node-3', '192.168.101.5', '192.168.102.5', '10.244.3.0/24'],
    ]);
    expect(plan).toMatchObject({
      apiServer: '192.168.101.2',
      client: '192.168.102.100',
      dnsServiceIp: '10.96.0.10',
      kubernetesServiceIp: '10.96.0.1',
    });
  });

  test('gives no address twice, at the most nodes', () => {
    const plan = planCluster(maxNodes);
    const taken = [
      ...plan.nodes.flatMap((n) => [n.ip, n.outsideIp]),
      plan.apiServer,
      plan.client,
      plan.nodeGateway,
      plan.outsideGateway,
    ];
    expect(new Set(taken).size).toBe(taken.length);
  });

  test.each([0, -1, 1.5, maxNodes + 1, Number.NaN])('refuses %d nodes', (count) => {
    expect(() => planCluster(count)).toThrow(/is no possible number of nodes.*INVALID_CONFIG/);
  });
});
