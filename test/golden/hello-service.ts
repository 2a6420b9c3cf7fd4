import type { Destination, Endpoint, Frontend, NodeFacts, ServicePort } from '../../src/model/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIp } from '../../src/net/ip.ts';

/** The node whose rules are shown. */
export const node: NodeFacts = {
  name: 'node-1',
  zone: undefined,
  addresses: [parseIp('192.168.101.3')],
  nodePortAddresses: [parseIp('192.168.101.3'), parseIp('192.168.102.3'), parseIp('fd00:192:168:101::3')],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [parseCidr('10.244.0.0/16'), parseCidr('fd00:10:244::/56')] },
};
function endpoint(ip: string, local = false): Endpoint {
  return { ip: parseIp(ip), port: 8080, local };
}

const threePods = [endpoint('10.244.1.2', true), endpoint('10.244.2.2'), endpoint('10.244.3.2')];
/** Where clients of a Service with three Pods, one of them on the node, are led: inside, and from outside. */
const inside: Destination = { endpoints: threePods, whenEmpty: 'reject', masquerade: 'off-cluster' };
export const outside: Destination = { ...inside, masquerade: 'always' };
/** With `externalTrafficPolicy: Local`. */
export const localOnly = {
  endpoints: threePods.slice(0, 1),
  whenEmpty: 'drop',
  masquerade: 'never',
  inside,
} as const;

/** A frontend with its destination. */
export function at(
  kind: Frontend['kind'],
  ip: string,
  port: number,
  destination: Omit<Frontend, 'kind' | 'ip' | 'port'>,
): Frontend {
  return { kind, ip: parseIp(ip), port, ...destination };
}

export const clusterIp = at('cluster-ip', '10.96.17.4', 80, inside);
/** The Service of the examples. */
export const helloService: ServicePort = { name: 'default/hello-service', protocol: 'TCP', frontends: [clusterIp] };
