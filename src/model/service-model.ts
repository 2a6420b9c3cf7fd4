import type { TrackedChanges } from '../tracker/change-tracker.ts';
import { sameValue } from '../tracker/same-value.ts';
import type { ServiceFacts } from '../tracker/service-facts.ts';
import type { SliceFacts } from '../tracker/slice-facts.ts';
import { type Contest, FrontendOwners, frontendKey } from './frontend-owners.ts';
import { healthCheckOf } from './health-checks.ts';
import { type NodePolicy, servicePortsOf } from './service-ports.ts';
import type { HealthCheck, NodeFacts, NodeModel, ServicePort } from './types.ts';

/** One Service port's step. No `previous`: new. No `current`: gone. */
export interface ServicePortChange {
  readonly name: string;
  readonly previous: ServicePort | undefined;
  readonly current: ServicePort | undefined;
}

/** A frontend that several Service ports claim or claimed, of which the owner or the line behind it changed. */
export interface ContestChange {
  readonly frontend: string;
  /** Names of Service ports; no `owner`: nobody claims it any more. */
  readonly previousOwner: string | undefined;
  readonly owner: string | undefined;
  readonly waiting: readonly string[];
}

/** What balancers may ask about a Service, in one step. No `previous`: new. No `current`: nothing any more. */
export interface HealthCheckChange {
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly previous: HealthCheck | undefined;
  readonly current: HealthCheck | undefined;
}

/** What the model's step means for the kernel, for balancers, and for people who read the log. */
export interface ModelChange {
  readonly servicePorts: readonly ServicePortChange[];
  readonly contests: readonly ContestChange[];
  readonly healthChecks: readonly HealthCheckChange[];
}

interface ServiceState {
  service: ServiceFacts | undefined;
  /** Ordered by key. */
  slices: readonly SliceFacts[];
  /** Its ports with all they claim. */
  claimed: readonly ServicePort[];
}

const none: readonly never[] = [];

/**
 * The node's model, kept up to date by changes. What it says depends only on the latest facts, never on the way there:
 * it equals the model made from scratch. A change costs as much as the Services it concerns are large, however many
 * others there are. No clock, no I/O.
 */
export class ServiceModel implements NodeModel {
  readonly #policy: NodePolicy;
  readonly #services = new Map<string, ServiceState>();
  readonly #servicePorts = new Map<string, ServicePort>();
  readonly #healthChecks = new Map<string, HealthCheck>();
  readonly #owners = new FrontendOwners();
  #node: NodeFacts;

  constructor(node: NodeFacts, policy: NodePolicy) {
    this.#node = node;
    this.#policy = policy;
  }

  get node(): NodeFacts {
    return this.#node;
  }

  get servicePorts(): ReadonlyMap<string, ServicePort> {
    return this.#servicePorts;
  }

  get healthChecks(): ReadonlyMap<string, HealthCheck> {
    return this.#healthChecks;
  }

  /** Takes changes of Services and slices in. Only their Services are looked at, and those that share a frontend. */
  apply(changes: TrackedChanges): ModelChange {
    const concerned = new Set<string>();
    for (const { key, current: service } of changes.services) {
      this.#stateOf(key).service = service;
      concerned.add(key);
    }
    for (const { key, previous, current } of changes.slices) {
      if (previous !== undefined) this.#updateSlice(previous.service, { key, slice: undefined }, concerned);
      if (current !== undefined) this.#updateSlice(current.service, { key, slice: current }, concerned);
    }
    return this.#recompute(concerned);
  }

  /** Takes new facts about the node in; if they differ, every Service is looked at. */
  setNode(node: NodeFacts): ModelChange {
    if (sameValue(node, this.#node)) return { servicePorts: [], contests: [], healthChecks: [] };
    this.#node = node;
    return this.#recompute(new Set(this.#services.keys()));
  }

  #updateSlice(
    service: string,
    { key, slice }: { key: string; slice: SliceFacts | undefined },
    concerned: Set<string>,
  ) {
    const state = this.#stateOf(service);
    const others = state.slices.filter((other) => other.key !== key);
    state.slices = slice === undefined ? others : [...others, slice].sort((a, b) => (a.key < b.key ? -1 : 1));
    concerned.add(service);
  }

  #stateOf(key: string): ServiceState {
    const known = this.#services.get(key);
    if (known !== undefined) return known;
    const state = { service: undefined, slices: none, claimed: none };
    this.#services.set(key, state);
    return state;
  }

  #recompute(concerned: ReadonlySet<string>): ModelChange {
    const lines = new Lines(this.#owners);
    const names = new Set<string>();
    const healthChecks: HealthCheckChange[] = [];
    for (const key of concerned) {
      const state = this.#stateOf(key);
      const claimed = this.#claimedBy(state);
      this.#moveClaims(key, { before: state.claimed, after: claimed }, lines);
      for (const { name } of state.claimed) names.add(name);
      for (const { name } of claimed) names.add(name);
      state.claimed = claimed;
      const healthCheck = this.#settleHealthCheck(key, state);
      if (healthCheck !== undefined) healthChecks.push(healthCheck);
      if (state.service === undefined && state.slices.length === 0) this.#services.delete(key);
    }
    const { contests, concernedPorts } = lines.changes();
    for (const name of concernedPorts) names.add(name);
    const servicePorts: ServicePortChange[] = [];
    for (const name of names) {
      const change = this.#settle(name);
      if (change !== undefined) servicePorts.push(change);
    }
    return { servicePorts, contests, healthChecks };
  }

  /** The Service's ports as they are now. Unchanged ones are the same objects as before, so that nothing is kept twice. */
  #claimedBy({ service, slices, claimed }: ServiceState): readonly ServicePort[] {
    if (service === undefined) return none;
    return servicePortsOf(service, slices, { node: this.#node, policy: this.#policy }).map((port) => {
      const before = claimed.find(({ name }) => name === port.name);
      return before !== undefined && sameValue(before, port) ? before : port;
    });
  }

  #moveClaims(
    key: string,
    { before, after }: { before: readonly ServicePort[]; after: readonly ServicePort[] },
    lines: Lines,
  ): void {
    const created = this.#services.get(key)?.service?.created ?? 0;
    for (const port of before) {
      const now = after.find(({ name }) => name === port.name);
      if (now !== port) lines.release(port);
    }
    for (const port of after) lines.claim(port, created);
  }

  /** Gives a Service port those frontends that it owns, and says whether that is news. */
  #settle(name: string): ServicePortChange | undefined {
    const end = name.indexOf(':');
    const claimed = this.#services.get(end < 0 ? name : name.slice(0, end))?.claimed.find((port) => port.name === name);
    const previous = this.#servicePorts.get(name);
    const current = claimed && this.#owned(claimed);
    if (current === previous || sameValue(current, previous)) return undefined;
    if (current === undefined) this.#servicePorts.delete(name);
    else this.#servicePorts.set(name, current);
    return { name, previous, current };
  }

  #settleHealthCheck(service: string, state: ServiceState): HealthCheckChange | undefined {
    const previous = this.#healthChecks.get(service);
    const current = healthCheckOf(state.service, state.slices, this.#node.name);
    if (sameValue(previous, current)) return undefined;
    if (current === undefined) this.#healthChecks.delete(service);
    else this.#healthChecks.set(service, current);
    return { service, previous, current };
  }

  #owned(port: ServicePort): ServicePort {
    const frontends = port.frontends.filter(
      (frontend) => this.#owners.ownerOf(frontendKey(port.protocol, frontend)) === port.name,
    );
    return frontends.length === port.frontends.length ? port : { ...port, frontends };
  }
}

/** Who had a frontend, and who waited for it. */
interface Standing {
  readonly owner: string | undefined;
  readonly contest: Contest | undefined;
}

const unclaimed: Standing = { owner: undefined, contest: undefined };

/** The claims one step of the model moves, and what comes of it in the end, whatever the order of moves was. */
class Lines {
  readonly #owners: FrontendOwners;
  /** How it stood before the first move, by frontend. */
  readonly #before = new Map<string, Standing>();

  constructor(owners: FrontendOwners) {
    this.#owners = owners;
  }

  claim(port: ServicePort, created: number): void {
    for (const frontend of port.frontends) {
      const key = frontendKey(port.protocol, frontend);
      this.#note(key);
      this.#owners.claim(key, { name: port.name, created, clusterIp: frontend.kind === 'cluster-ip' });
    }
  }

  release(port: ServicePort): void {
    for (const frontend of port.frontends) {
      const key = frontendKey(port.protocol, frontend);
      this.#note(key);
      this.#owners.release(key, port.name);
    }
  }

  /** Contests to tell about, and the Service ports that gained or lost a frontend. */
  changes(): { readonly contests: ContestChange[]; readonly concernedPorts: ReadonlySet<string> } {
    const contests: ContestChange[] = [];
    const concernedPorts = new Set<string>();
    for (const [frontend, before] of this.#before) {
      const owner = this.#owners.ownerOf(frontend);
      const contest = this.#owners.contestFor(frontend);
      if (owner !== before.owner) {
        for (const name of [before.owner, owner]) if (name !== undefined) concernedPorts.add(name);
      }
      if (!sameValue(contest, before.contest)) {
        contests.push({ frontend, previousOwner: before.owner, owner, waiting: contest?.waiting ?? [] });
      }
    }
    return { contests, concernedPorts };
  }

  #note(key: string): void {
    if (this.#before.has(key)) return;
    const owner = this.#owners.ownerOf(key);
    this.#before.set(key, owner === undefined ? unclaimed : { owner, contest: this.#owners.contestFor(key) });
  }
}
