import type { EndpointSlice, Service } from '../../src/api/generated/types.ts';
import type { NodeFacts } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';

/** Endpoints of each Service of a generated cluster; every third of all is on the node that is measured. */
const endpointsPerService = 2;

/** The node that is measured. */
export const node: NodeFacts = {
  name: 'bench',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.128.0.0/9')] },
};

/** Service number `i` of a generated cluster, as the API tells of it. */
export function service(i: number): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata(i), name: `service-${i}` },
    spec: {
      type: 'ClusterIP',
      clusterIP: address(10, 96, i + 1),
      clusterIPs: [address(10, 96, i + 1)],
      ipFamilies: ['IPv4'],
      internalTrafficPolicy: 'Cluster',
      selector: { app: `app-${i}` },
      sessionAffinity: 'None',
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }],
    },
    status: { loadBalancer: {} },
  };
}

/** Its EndpointSlice; the last endpoint is elsewhere in each generation. */
export function endpointSlice(i: number, generation = 0): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...metadata(i),
      name: `service-${i}-x`,
      labels: { 'kubernetes.io/service-name': `service-${i}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: Array.from({ length: endpointsPerService }, (_, k) => {
      const number = i * endpointsPerService + k;
      const moved = k === endpointsPerService - 1 ? generation * 0x100000 : 0;
      return {
        addresses: [address(10, 128, number + moved + 1)],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: number % 3 === 0 ? node.name : 'another',
        targetRef: { kind: 'Pod', namespace: 'default', name: `pod-${number}` },
      };
    }),
  };
}

function metadata(i: number) {
  return {
    namespace: 'default',
    uid: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    resourceVersion: `${i + 1}`,
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
}

function address(a: number, b: number, offset: number): string {
  return [a, b + (offset >> 16), (offset >> 8) & 255, offset & 255].join('.');
}
