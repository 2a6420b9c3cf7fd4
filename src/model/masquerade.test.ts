import { describe, expect, it } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { masqueradePolicy } from './masquerade.ts';
import type { NodeFacts } from './types.ts';

const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const context = { node, externalTrafficPolicy: 'Cluster', masqueradeAll: false } as const;
const v4 = parseIp('10.96.0.7');
const v6 = parseIp('fd00:10:96::7');

describe('masqueradePolicy', () => {
  it('masks clients of a cluster IP that are not Pods, where the Pods of that family are known', () => {
    expect(masqueradePolicy('cluster-ip', v4, context)).toBe('off-cluster');
    expect(masqueradePolicy('cluster-ip', v6, context)).toBe('never');
  });

  it('masks every client of a cluster IP if the user wants so', () => {
    expect(masqueradePolicy('cluster-ip', v4, { ...context, masqueradeAll: true })).toBe('always');
  });

  it.each(['node-port', 'external-ip', 'load-balancer-ip'] as const)('masks every client of a %s', (kind) => {
    expect(masqueradePolicy(kind, v4, context)).toBe('always');
  });

  it.each(['node-port', 'external-ip', 'load-balancer-ip'] as const)(
    'keeps the client address at a %s under externalTrafficPolicy Local',
    (kind) => {
      const local = { ...context, externalTrafficPolicy: 'Local', masqueradeAll: true } as const;
      expect(masqueradePolicy(kind, v4, local)).toBe('never');
    },
  );
});
