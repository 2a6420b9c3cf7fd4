import type { EndpointSlice, Service } from '../../src/api/generated/types.ts';
import type { NodeFacts } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';

/** How large a generated cluster is; every third of all endpoints is on the node that is measured. */
export interface Size {
  readonly services: number;
  /** Of each Service. */
  readonly endpoints: number;
}

/** `10000`: so many Services of two endpoints; `1x10000`: one Service of so many. */
export function parseSize(text: string): Size {
  const [services, endpoints] = text.split('x').map(Number);
  return { services: services ?? 0, endpoints: endpoints ?? 2 };
}

/** As `parseSize` reads it. */
export function sizeText({ services, endpoints }: Size): string {
  return endpoints === 2 ? String(services) : `${services}x${endpoints}`;
}

/** Endpoints of a slice: as many as the slice controller puts in one. */
const endpointsPerSlice = 100;

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

/** How many EndpointSlices each Service has. */
export function slicesPerService({ endpoints }: Size): number {
  return Math.ceil(endpoints / endpointsPerSlice);
}

/** One of its EndpointSlices; the last endpoint is elsewhere in each generation. */
export function endpointSlice(
  i: number,
  generation = 0,
  { endpoints, slice }: { readonly endpoints: number; readonly slice: number } = { endpoints: 2, slice: 0 },
): EndpointSlice {
  const first = i * endpoints + slice * endpointsPerSlice;
  const count = Math.min(endpointsPerSlice, endpoints - slice * endpointsPerSlice);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...metadata(i),
      name: sliceName(i, slice),
      labels: { 'kubernetes.io/service-name': `service-${i}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: Array.from({ length: count }, (_, k) => {
      const number = first + k;
      const moved = k === count - 1 ? generation * 0x100000 : 0;
      return {
        addresses: [address(10, 128, number + moved + 1)],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: number % 3 === 0 ? node.name : 'another',
        targetRef: { kind: 'Pod', namespace: 'default', name: `pod-${number}` },
      };
    }),
  };
}

function sliceName(i: number, slice: number): string {
  return `service-${i}-x${slice}`;
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
