import { describe, expect, it } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import { type Attempt, predict } from './predict.ts';
import type { Endpoint, Frontend, NodeFacts, NodeModel } from './types.ts';

// What it says of everything that Services can do is compared with the tables in test/conformance.
const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.168.101.3')],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16')] },
};
const here: Endpoint = { ip: parseIp('10.244.1.2'), port: 8080, local: true };
const there: Endpoint = { ip: parseIp('10.244.2.2'), port: 8080, local: false };
const fromPod: Attempt = {
  from: 'network',
  source: parseIp('10.244.1.9'),
  destination: parseIp('10.96.0.7'),
  protocol: 'tcp',
  port: 80,
};
const fromOutside: Attempt = { ...fromPod, source: parseIp('192.168.102.100') };
const fromNode: Attempt = { ...fromPod, from: 'node', source: parseIp('192.168.101.3') };

function model(frontend: Partial<Frontend> = {}, affinitySeconds?: number): NodeModel {
  const port = {
    name: 'default/hello',
    protocol: 'TCP' as const,
    frontends: [
      {
        kind: 'cluster-ip' as const,
        ip: parseIp('10.96.0.7'),
        port: 80,
        endpoints: [here, there],
        whenEmpty: 'reject' as const,
        masquerade: 'off-cluster' as const,
        ...frontend,
      },
    ],
    ...(affinitySeconds !== undefined && { affinitySeconds }),
  };
  return { node, servicePorts: new Map([[port.name, port]]), healthChecks: new Map() };
}

describe('predict', () => {
  it('leads to each endpoint equally often, for as long as clients are remembered', () => {
    expect(predict(model({}, 60), fromPod)).toEqual({
      kind: 'served',
      servicePort: 'default/hello',
      routes: [
        { endpoint: here, share: 0.5, client: 'kept' },
        { endpoint: there, share: 0.5, client: 'kept' },
      ],
      affinitySeconds: 60,
    });
  });

  it('leaves other addresses, ports and protocols alone', () => {
    for (const other of [{ port: 81 }, { protocol: 'udp' as const }, { destination: parseIp('10.96.0.8') }])
      expect(predict(model(), { ...fromPod, ...other })).toEqual({ kind: 'untouched' });
  });

  it('says what there is instead of an endpoint', () => {
    expect(predict(model({ endpoints: [] }), fromPod)).toEqual({ kind: 'reject', servicePort: 'default/hello' });
    expect(predict(model({ endpoints: [], whenEmpty: 'drop' }), fromPod)).toMatchObject({ kind: 'drop' });
    const sourceRanges = [parseCidr('192.168.0.0/16')];
    expect(predict(model({ endpoints: [], sourceRanges }), fromPod)).toMatchObject({ kind: 'drop' });
    expect(predict(model({ endpoints: [], sourceRanges }), fromOutside)).toMatchObject({ kind: 'reject' });
  });

  it('leads Pods and processes of the node elsewhere where there is an inside', () => {
    const inside = { endpoints: [there], whenEmpty: 'reject', masquerade: 'off-cluster' } as const;
    const local = model({ endpoints: [here], masquerade: 'never', inside });
    const seen = (attempt: Attempt) => {
      const outcome = predict(local, attempt);
      return outcome.kind === 'served' ? outcome.routes.map(({ endpoint, client }) => [endpoint, client]) : [];
    };
    expect(seen(fromOutside)).toEqual([[here, 'kept']]);
    expect(seen(fromPod)).toEqual([[there, 'kept']]);
    expect(seen(fromNode)).toEqual([[there, 'node']]);
  });

  it('has no client replaced on the way to the node itself, but a Pod that reaches itself', () => {
    const onNode: Endpoint = { ip: parseIp('192.168.101.3'), port: 6443, local: true };
    const client = (attempt: Attempt, endpoint: Endpoint) => {
      const outcome = predict(model({ endpoints: [endpoint], masquerade: 'always' }), attempt);
      return outcome.kind === 'served' ? outcome.routes[0]?.client : outcome.kind;
    };
    expect(client(fromOutside, onNode)).toBe('kept');
    expect(client(fromOutside, here)).toBe('node');
    const hairpin = predict(model({ endpoints: [here], masquerade: 'never' }), { ...fromPod, source: here.ip });
    expect(hairpin).toMatchObject({ routes: [{ client: 'node' }] });
  });
});
