import { describe, expect, it } from 'vitest';
import type { EndpointSlice, Node, Service } from '../api/generated/types.ts';
import { publications } from './publications.ts';

const node = (name: string, ip: string, ready = 'True', ipv6?: string): Node => ({
  metadata: { name },
  status: {
    conditions: [{ type: 'Ready', status: ready }],
    addresses: [ip, ...(ipv6 === undefined ? [] : [ipv6])].map((address) => ({ type: 'InternalIP', address })),
  },
});
const nodes = [node('node-1', '192.0.2.1'), node('node-2', '192.0.2.2', 'Unknown'), node('node-3', '192.0.2.3')];

const service = (spec: Service['spec'], more: Partial<Service> = {}): Service => ({
  metadata: { namespace: 'default', name: 'web' },
  ...(spec === undefined ? {} : { spec }),
  ...more,
});
const of = (what: Service, slices: readonly EndpointSlice[] = [], among: readonly Node[] = nodes) =>
  publications({ services: [what], nodes: among, slicesOf: () => slices });

describe('publications', () => {
  it('leads a node port to that port of the nodes that are Ready', () => {
    const found = of(service({ type: 'NodePort', ports: [{ name: 'web', port: 8080, nodePort: 30_080 }] }));
    expect(found).toMatchObject([
      {
        key: 'default/web nodePort 30080/TCP',
        way: 'nodePort',
        portName: 'web',
        port: 8080,
        protocols: ['TCP'],
        scheme: 'tcp',
        targets: [
          { ip: '192.0.2.1', port: 30_080 },
          { ip: '192.0.2.3', port: 30_080 },
        ],
      },
    ]);
  });

  it('leads a balancer to its address once it has one, by two ways', () => {
    const spec: Service['spec'] = { type: 'LoadBalancer', ports: [{ port: 443 }] };
    expect(of(service(spec))).toEqual([]);
    const ingress = [{ ip: '198.51.100.7', ipMode: 'VIP' }, { hostname: 'elsewhere.example' }];
    const found = of(service(spec, { status: { loadBalancer: { ingress } } }));
    const targets = [{ ip: '198.51.100.7', port: 443 }];
    expect(found).toMatchObject([
      { key: 'default/web loadBalancer 443/TCP', scheme: 'https', targets },
      { key: 'default/web ownAddress 443/TCP', scheme: 'https', targets },
    ]);
  });

  it('leaves out balancers that answer for themselves, SCTP, Services inside and those about to go', () => {
    const ingress = [{ ip: '198.51.100.7', ipMode: 'Proxy' }];
    const balancer: Service['spec'] = { type: 'LoadBalancer', ports: [{ port: 80 }] };
    expect(of(service(balancer, { status: { loadBalancer: { ingress } } }))).toEqual([]);
    expect(of(service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_080, protocol: 'SCTP' }] }))).toEqual([]);
    expect(of(service({ type: 'ClusterIP', ports: [{ port: 80 }] }))).toEqual([]);
    const metadata = { namespace: 'default', name: 'web', deletionTimestamp: '2026-01-01T00:00:00Z' };
    expect(of(service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }, { metadata }))).toEqual([]);
  });

  it('asks only nodes with an endpoint under externalTrafficPolicy Local', () => {
    const ports = [{ port: 80, nodePort: 30_080 }];
    const local = service({ type: 'NodePort', externalTrafficPolicy: 'Local', ports });
    const slice = { addressType: 'IPv4', endpoints: [{ addresses: [], nodeName: 'node-3' }] };
    expect(of(local, [slice])[0]?.targets).toEqual([{ ip: '192.0.2.3', port: 30_080 }]);
    expect(of(local)[0]?.targets).toEqual([]);
  });

  it("takes the nodes' addresses of the Service's first family", () => {
    const ports = [{ port: 80, nodePort: 30_080 }];
    const dual = [node('node-1', '192.0.2.1', 'True', '2001:db8::1')];
    const [found] = of(service({ type: 'NodePort', ipFamilies: ['IPv6', 'IPv4'], ports }), [], dual);
    expect(found?.targets).toEqual([{ ip: '2001:db8::1', port: 30_080 }]);
  });

  it('takes cluster DNS by its cluster IPs, for both protocols', () => {
    const metadata = { namespace: 'kube-system', name: 'kube-dns' };
    const dns = service({ clusterIPs: ['10.96.0.10'], ports: [{ port: 53, protocol: 'UDP' }] }, { metadata });
    expect(of(dns)).toMatchObject([
      { way: 'dns', protocols: ['UDP', 'TCP'], targets: [{ ip: '10.96.0.10', port: 53 }] },
    ]);
  });

  it.each([
    [{ port: 80 }, 'http'],
    [{ port: 443 }, 'https'],
    [{ port: 9000 }, 'tcp'],
    [{ port: 9000, name: 'http-admin' }, 'http'],
    [{ port: 9000, name: 'httpbin' }, 'tcp'],
    [{ port: 80, name: 'https' }, 'https'],
    [{ port: 80, name: 'http', appProtocol: 'mysql' }, 'tcp'],
    [{ port: 9000, appProtocol: 'kubernetes.io/h2c' }, 'http'],
    [{ port: 80, protocol: 'UDP' as const }, 'udp'],
  ])('reads of %o that it is %s', (port, scheme) => {
    expect(of(service({ type: 'NodePort', ports: [{ nodePort: 30_080, ...port }] }))).toMatchObject([{ scheme }]);
  });
});
