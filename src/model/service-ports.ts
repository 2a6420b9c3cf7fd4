import { familyOf, type IpFamily } from '../net/ip.ts';
import type { ServiceFacts, ServicePortFacts, TrafficPolicy } from '../tracker/service-facts.ts';
import type { SliceFacts } from '../tracker/slice-facts.ts';
import { answerWhenEmpty, type Candidate, endpointsUnderPolicy, mergeEndpoints, type Vicinity } from './endpoints.ts';
import { insideMasquerade, masqueradePolicy } from './masquerade.ts';
import { allowedSources } from './source-ranges.ts';
import type { Destination, Endpoint, Frontend, NodeFacts, ServicePort } from './types.ts';

/** What the user has decided for the whole node. */
export interface NodePolicy {
  /** Clients of cluster IPs are masqueraded wherever they come from. */
  readonly masqueradeAll: boolean;
}

/** Where a Service is served from, and for whom. */
export interface ServiceContext {
  readonly node: NodeFacts;
  readonly policy: NodePolicy;
}

/** `namespace/name:port`, or `namespace/name` for an unnamed port. */
function servicePortName(service: ServiceFacts, port: ServicePortFacts): string {
  return port.name === '' ? service.key : `${service.key}:${port.name}`;
}

/**
 * All ports of a Service with every address it claims, in the order the Service has them. Whether another Service
 * claims the same address is not looked at here (see `FrontendOwners`).
 */
export function servicePortsOf(
  service: ServiceFacts,
  slices: readonly SliceFacts[],
  context: ServiceContext,
): ServicePort[] {
  return service.ports.map((port) => {
    const reach = new Reach(slices, port, context.node);
    return {
      name: servicePortName(service, port),
      protocol: port.protocol,
      frontends: frontendAddresses(service, port, context.node).map((address) =>
        frontend(service, address, reach, context),
      ),
      ...(service.affinitySeconds === undefined ? {} : { affinitySeconds: service.affinitySeconds }),
      ...(port.protocol === 'UDP' ? { serving: service.clusterIps.flatMap((ip) => reach.serving(familyOf(ip))) } : {}),
    };
  });
}

type FrontendAddress = Pick<Frontend, 'kind' | 'ip' | 'port'>;

/**
 * Addresses that lead to a Service port, each once, in the families of its cluster IPs. If an address is named twice,
 * the earlier kind counts: a balancer's address stays one, with its source ranges, when it is an external IP as well.
 */
function frontendAddresses(service: ServiceFacts, port: ServicePortFacts, node: NodeFacts): FrontendAddress[] {
  const nodePort = port.nodePort ?? 0;
  const claims: FrontendAddress[] = [
    ...service.clusterIps.map((ip) => ({ kind: 'cluster-ip' as const, ip, port: port.port })),
    ...service.loadBalancerIps.map((ip) => ({ kind: 'load-balancer-ip' as const, ip, port: port.port })),
    ...service.externalIps.map((ip) => ({ kind: 'external-ip' as const, ip, port: port.port })),
    ...(nodePort === 0 ? [] : node.nodePortAddresses).map((ip) => ({ kind: 'node-port' as const, ip, port: nodePort })),
  ];
  const kept: FrontendAddress[] = [];
  for (const claim of claims) {
    const family = familyOf(claim.ip);
    if (kept.some(({ ip, port }) => ip === claim.ip && port === claim.port)) continue;
    if (service.clusterIps.some((ip) => familyOf(ip) === family)) kept.push(claim);
  }
  return kept;
}

function frontend(service: ServiceFacts, address: FrontendAddress, reach: Reach, context: ServiceContext): Frontend {
  const { kind, ip } = address;
  const { externalTrafficPolicy, internalTrafficPolicy, sourceRanges } = service;
  const trafficPolicy = kind === 'cluster-ip' ? internalTrafficPolicy : externalTrafficPolicy;
  const family = familyOf(ip);
  const { endpoints, whenEmpty } = reach.under(trafficPolicy, family);
  const { masqueradeAll } = context.policy;
  const masquerade = masqueradePolicy(kind, ip, { node: context.node, externalTrafficPolicy, masqueradeAll });
  // Field by field: spreading objects costs several times as much, and this is done for every Service at the start.
  const open = { kind, ip, port: address.port, endpoints, whenEmpty, masquerade };
  if (kind === 'cluster-ip' || (trafficPolicy === 'Cluster' && sourceRanges === undefined)) return open;
  return {
    ...open,
    ...(trafficPolicy === 'Local' ? { inside: inside(reach, family) } : {}),
    ...(kind === 'load-balancer-ip' && sourceRanges !== undefined
      ? { sourceRanges: allowedSources(service, sourceRanges, { node: context.node, family }) }
      : {}),
  };
}

/** Where Pods and this node's processes are led from an address for outside that keeps others on the node. */
function inside(reach: Reach, family: IpFamily): Destination {
  const { endpoints, whenEmpty } = reach.under('Cluster', family);
  return { endpoints, whenEmpty, masquerade: insideMasquerade };
}

/** The endpoints of one Service port by family and policy, each list made once and shared by its frontends. */
class Reach {
  readonly #slices: readonly SliceFacts[];
  readonly #port: ServicePortFacts;
  readonly #vicinity: Vicinity;
  readonly #candidates: { readonly family: IpFamily; readonly candidates: readonly Candidate[] }[] = [];
  readonly #answers: Answer[] = [];

  constructor(slices: readonly SliceFacts[], port: ServicePortFacts, { name, zone }: NodeFacts) {
    this.#slices = slices;
    this.#port = port;
    this.#vicinity = { node: name, zone };
  }

  under(policy: TrafficPolicy, family: IpFamily): Answer {
    const known = this.#answers.find((answer) => answer.policy === policy && answer.family === family);
    if (known !== undefined) return known;
    const candidates = this.#candidatesOf(family);
    const endpoints: readonly Endpoint[] = endpointsUnderPolicy(policy, candidates, this.#vicinity);
    const answer = { policy, family, endpoints, whenEmpty: answerWhenEmpty(policy, candidates) };
    this.#answers.push(answer);
    return answer;
  }

  /** Whatever the policy. */
  serving(family: IpFamily): Endpoint[] {
    return this.#candidatesOf(family).map(({ endpoint }) => endpoint);
  }

  #candidatesOf(family: IpFamily): readonly Candidate[] {
    const known = this.#candidates.find((entry) => entry.family === family);
    if (known !== undefined) return known.candidates;
    const { name: portName, protocol } = this.#port;
    const candidates = mergeEndpoints(this.#slices, { family, portName, protocol, nodeName: this.#vicinity.node });
    this.#candidates.push({ family, candidates });
    return candidates;
  }
}

interface Answer extends Pick<Frontend, 'endpoints' | 'whenEmpty'> {
  readonly policy: TrafficPolicy;
  readonly family: IpFamily;
}
