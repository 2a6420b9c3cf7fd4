import type { IpFamily } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';
import type { TrafficPolicy } from '../tracker/service-facts.ts';
import type { EndpointFacts, SliceFacts } from '../tracker/slice-facts.ts';
import type { Endpoint } from './types.ts';

/** An endpoint that may be chosen, if the policies let it. */
export interface Candidate {
  readonly endpoint: Endpoint;
  /** Terminating and still serving: taken only when nobody is ready. */
  readonly draining: boolean;
  /** As `EndpointFacts`. */
  readonly forNodes?: readonly string[];
  readonly forZones?: readonly string[];
}

/** Where the clients of a node are, for endpoints that are meant for clients nearby. */
export interface Vicinity {
  /** Name of the node. */
  readonly node: string;
  readonly zone: string | undefined;
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
 * two of them: it counts as ready if one says so, as local if one says so, and is meant for the clients of both.
 */
export function mergeEndpoints(slices: readonly SliceFacts[], query: EndpointQuery): Candidate[] {
  const merged = new CandidateList();
  for (const { family, ports, endpoints } of slices) {
    if (family !== query.family) continue;
    for (const { name, protocol, port } of ports) {
      if (name !== query.portName || protocol !== query.protocol) continue;
      for (const facts of endpoints) merged.add(candidateOf(facts, port, query.nodeName));
    }
  }
  return merged.sorted();
}

function candidateOf({ ip, node, draining, forNodes, forZones }: EndpointFacts, port: number, here: string): Candidate {
  const endpoint = { ip, port, local: node === here };
  // Without hints, as nearly everywhere, nothing is spread: this is done for every endpoint of the cluster.
  if (forNodes === undefined && forZones === undefined) return { endpoint, draining };
  return { endpoint, draining, ...hints({ forNodes, forZones }) };
}

function hints({ forNodes, forZones }: { forNodes: Hint; forZones: Hint }): Pick<Candidate, 'forNodes' | 'forZones'> {
  return { ...(forNodes === undefined ? {} : { forNodes }), ...(forZones === undefined ? {} : { forZones }) };
}

type Hint = readonly string[] | undefined;

/** Two slices' word on one endpoint. */
function both(a: Candidate, b: Candidate): Candidate {
  const { ip, port } = a.endpoint;
  return {
    endpoint: { ip, port, local: a.endpoint.local || b.endpoint.local },
    draining: a.draining && b.draining,
    ...hints({ forNodes: union(a.forNodes, b.forNodes), forZones: union(a.forZones, b.forZones) }),
  };
}

function union(a: Hint, b: Hint): Hint {
  if (a === undefined || b === undefined) return a ?? b;
  return [...new Set([...a, ...b])].sort();
}

/** Candidates by address and port. Most Services have few, for which looking through a list is quicker than a map. */
class CandidateList {
  readonly #list: Candidate[] = [];
  readonly #places = new Map<string, number>();

  add(candidate: Candidate): void {
    const place = this.#placeOf(candidate.endpoint);
    const other = place === undefined ? undefined : this.#list[place];
    if (place === undefined || other === undefined) this.#list.push(candidate);
    else this.#list[place] = both(other, candidate);
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
export function readyElseDraining(candidates: readonly Candidate[]): readonly Candidate[] {
  const ready = candidates.filter(({ draining }) => !draining);
  return ready.length > 0 ? ready : candidates;
}

/**
 * Of ready candidates those meant for clients nearby (`trafficDistribution`, KEP-4444, KEP-3015, KEP-2433): for this
 * node if the slices have a node for everyone and this node for some; else for its zone, if they have a zone for
 * everyone and this zone for some; else all. So a hint is never followed into having no endpoint, and one candidate
 * without hint, as while controllers change, makes the whole Service forget about that kind of them.
 */
export function nearest(ready: readonly Candidate[], { node, zone }: Vicinity): readonly Candidate[] {
  return (
    meantFor(ready, node, ({ forNodes }) => forNodes) ?? meantFor(ready, zone, ({ forZones }) => forZones) ?? ready
  );
}

function meantFor(
  ready: readonly Candidate[],
  here: string | undefined,
  hintOf: (candidate: Candidate) => Hint,
): readonly Candidate[] | undefined {
  if (here === undefined || ready.some((candidate) => hintOf(candidate) === undefined)) return undefined;
  const near = ready.filter((candidate) => hintOf(candidate)?.includes(here));
  return near.length === 0 ? undefined : near;
}

/**
 * The endpoints that new connections go to under a traffic policy. `Cluster` takes those nearest of the whole cluster's
 * ready ones; draining ones, when nobody is ready, wherever they are. `Local` takes those on this node, and looks at no
 * hint (KEP-2086 for internal traffic). Readiness is judged among those, so that a node whose last local endpoint is
 * terminating goes on serving while a balancer takes it out.
 */
export function endpointsUnderPolicy(
  policy: TrafficPolicy,
  candidates: readonly Candidate[],
  vicinity: Vicinity,
): Endpoint[] {
  const reached =
    policy === 'Local'
      ? readyElseDraining(candidates.filter(({ endpoint }) => endpoint.local))
      : nearestReady(candidates, vicinity);
  return reached.map(({ endpoint }) => endpoint);
}

function nearestReady(candidates: readonly Candidate[], vicinity: Vicinity): readonly Candidate[] {
  const ready = readyElseDraining(candidates);
  return ready.some(({ draining }) => draining) ? ready : nearest(ready, vicinity);
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
