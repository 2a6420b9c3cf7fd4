import type { IpFamily } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';
import type { TrafficPolicy } from '../tracker/service-facts.ts';
import type { SliceFacts } from '../tracker/slice-facts.ts';
import type { Endpoint } from './types.ts';

/** An endpoint that may be chosen, if the policies let it. */
export interface Candidate {
  readonly endpoint: Endpoint;
  /** Terminating and still serving: taken only when nobody is ready. */
  readonly draining: boolean;
}

/** Which of a Service's endpoints are asked for. */
export interface EndpointQuery {
  readonly family: IpFamily;
  /** Name and protocol of the Service port; a slice's port of the same two has the number. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly nodeName: string;
}

/**
 * The endpoints of all slices of a Service together, each address and port once, ordered by address and port so that
 * the order of slices has no influence (KEP-752). While controllers move an endpoint from slice to slice it can be in
 * two of them: it counts as ready if one says so, and as local if one says so.
 */
export function mergeEndpoints(slices: readonly SliceFacts[], query: EndpointQuery): Candidate[] {
  const merged = new CandidateList();
  for (const { family, ports, endpoints } of slices) {
    if (family !== query.family) continue;
    for (const { name, protocol, port } of ports) {
      if (name !== query.portName || protocol !== query.protocol) continue;
      for (const { ip, node, draining } of endpoints) {
        merged.add({ endpoint: { ip, port, local: node === query.nodeName }, draining });
      }
    }
  }
  return merged.sorted();
}

/** Candidates by address and port. Most Services have few, for which looking through a list is quicker than a map. */
class CandidateList {
  readonly #list: Candidate[] = [];
  readonly #places = new Map<string, number>();

  add(candidate: Candidate): void {
    const place = this.#placeOf(candidate.endpoint);
    const other = place === undefined ? undefined : this.#list[place];
    if (place === undefined || other === undefined) this.#list.push(candidate);
    else {
      const { ip, port, local } = candidate.endpoint;
      this.#list[place] = {
        endpoint: { ip, port, local: local || other.endpoint.local },
        draining: candidate.draining && other.draining,
      };
    }
  }

  sorted(): Candidate[] {
    return this.#list.sort((a, b) => byAddress(a.endpoint, b.endpoint));
  }

  #placeOf({ ip, port }: Endpoint): number | undefined {
    const list = this.#list;
    if (list.length <= listedAtMost) {
      const place = list.findIndex(({ endpoint }) => endpoint.ip === ip && endpoint.port === port);
      return place < 0 ? undefined : place;
    }
    for (let i = this.#places.size; i < list.length; i++) {
      const endpoint = list[i]?.endpoint;
      if (endpoint !== undefined) this.#places.set(`${endpoint.ip} ${endpoint.port}`, i);
    }
    return this.#places.get(`${ip} ${port}`);
  }
}
const listedAtMost = 8;

/** Ready endpoints; when there are none, those that terminate and still serve (KEP-1669). */
export function readyElseDraining(candidates: readonly Candidate[]): Endpoint[] {
  const chosen = candidates.some(({ draining }) => !draining)
    ? candidates.filter(({ draining }) => !draining)
    : candidates;
  return chosen.map(({ endpoint }) => endpoint);
}

/**
 * The endpoints that new connections go to under a traffic policy: `Cluster` takes the whole cluster's, `Local` only
 * those on this node (KEP-2086 for internal traffic). Readiness is judged among those, so that a node whose last local
 * endpoint is terminating goes on serving while a balancer takes it out.
 */
export function endpointsUnderPolicy(policy: TrafficPolicy, candidates: readonly Candidate[]): Endpoint[] {
  return readyElseDraining(policy === 'Local' ? candidates.filter(({ endpoint }) => endpoint.local) : candidates);
}

/**
 * What a client meets where the policy leaves no endpoint. If nobody in the cluster could answer it is refused at
 * once. If only this node has nobody, its packets are dropped: whoever sent them here is about to learn that another
 * node serves, and a refusal would break what a retransmission saves (KEP-2086, KEP-1669).
 */
export function answerWhenEmpty(policy: TrafficPolicy, candidates: readonly Candidate[]): 'reject' | 'drop' {
  return policy === 'Local' && candidates.length > 0 ? 'drop' : 'reject';
}

function byAddress(a: Endpoint, b: Endpoint): number {
  if (a.ip !== b.ip) return a.ip < b.ip ? -1 : 1;
  return a.port - b.port;
}
