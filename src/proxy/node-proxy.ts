import type { EndpointSlice, Node, Service } from '../api/generated/types.ts';
import type { KnownVersions } from '../client/resource-version.ts';
import type { Logger } from '../component/log.ts';
import { type ContestChange, type ModelChange, ServiceModel, type ServicePortChange } from '../model/service-model.ts';
import type { NodeFacts, ServicePort } from '../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../net/ip.ts';
import { ChangeTracker } from '../tracker/change-tracker.ts';
import { sameValue } from '../tracker/same-value.ts';
import type { Backend, SyncResult } from './backend.ts';
import type { ProxyConfig } from './config.ts';
import type { EventSink } from './events.ts';
import { SyncHealth } from './health.ts';
import { isEligible, nodeFacts } from './node-facts.ts';
import type { ProxyEvents } from './proxy-events.ts';
import type { MetricSources, ProxyMetrics } from './proxy-metrics.ts';
import type { ServiceHealthServers } from './service-health.ts';
import { type FlowReview, StaleFlows } from './stale-flows.ts';
import { SyncLoop } from './sync-loop.ts';

/** What a node's proxy works with. */
export interface NodeProxyOptions {
  readonly nodeName: string;
  readonly config: ProxyConfig;
  readonly backend: Backend;
  readonly log: Logger;
  readonly metrics: ProxyMetrics;
  readonly events: Pick<ProxyEvents, 'contested' | 'refused' | 'noticed'>;
  readonly healthChecks: Pick<ServiceHealthServers, 'update'>;
  /** Removes UDP flows that lead elsewhere than the reviews allow, in one pass; gives how many. */
  readonly removeStaleFlows: (reviews: readonly FlowReview[]) => ReadonlyMap<IpFamily, number>;
  /** How far the API's changes have been told to this proxy. */
  readonly knownVersions: () => KnownVersions;
  /** Addresses of the node's devices, now. */
  readonly interfaceAddresses: () => readonly Ip[];
}

const retryBackoff = { initial: 100, max: 10_000 };

/**
 * The proxy of one node: takes events in, and keeps the kernel at what they come to. No Service is written before
 * `begin`; from then on every event is in the kernel after the next sync, and the periodic check keeps it there.
 */
export class NodeProxy implements EventSink {
  readonly health: SyncHealth;
  /** Resolves when the kernel has all Services for the first time. */
  readonly synced: Promise<void>;
  readonly #options: NodeProxyOptions;
  readonly #tracker = new ChangeTracker(Date.now());
  readonly #model: ServiceModel;
  readonly #loop: SyncLoop;
  readonly #staleFlows: StaleFlows;
  /** How far the kernel has them, as was seen last. */
  #syncedVersions: KnownVersions = new Map();
  /** Steps of the model that the kernel has not acknowledged yet, each Service port once. */
  readonly #unsynced = new Map<string, ServicePortChange>();
  /** Those of them that the kernel refused; tried again after the back-off. */
  readonly #refused = new Map<string, ServicePortChange>();
  /** By slice, when the change happened that is on its way to the kernel; milliseconds since the epoch. */
  readonly #waiting = new Map<string, number>();
  #node: Node | undefined;
  readonly #peers = new Map<string, readonly Ip[]>();
  /** All addresses of `#peers`. */
  #peerAddresses: readonly Ip[] = [];
  #peersChanged = false;
  #syncedNode: NodeFacts | undefined;
  /** The node whose health checks are answered as they are now; none when they have changed. */
  #healthChecksOf: NodeFacts | undefined;
  #begun = false;
  #resolveSynced: () => void = () => {};

  constructor(options: NodeProxyOptions) {
    const { minSyncPeriod, syncPeriod, masqueradeAll } = options.config.sync;
    this.#options = options;
    this.#model = new ServiceModel(this.#nodeFacts(), { masqueradeAll });
    this.#staleFlows = new StaleFlows(options.config.mode);
    this.health = new SyncHealth(2 * syncPeriod);
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
    this.#loop = new SyncLoop({
      sync: (retry) => this.#sync(retry),
      check: (signal) => this.#check(signal),
      onError: (error) => this.#failed(error),
      minPeriod: minSyncPeriod,
      checkPeriod: syncPeriod,
      backoff: retryBackoff,
    });
  }

  /** Whether balancers outside may send new connections to this node. */
  get eligible(): boolean {
    return isEligible(this.#node);
  }

  service(key: string, service: Service | undefined): void {
    if (!this.#tracker.recordService(key, service, Date.now())) return;
    this.#options.metrics.changed('service', this.families);
    this.#request();
  }

  endpointSlice(key: string, slice: EndpointSlice | undefined): void {
    if (!this.#tracker.recordSlice(key, slice, Date.now())) return;
    this.#options.metrics.changed('endpoint', this.families);
    this.#request();
  }

  node(node: Node | undefined): void {
    this.#node = node;
    if (this.#begun) this.#tellIfUnknown();
    if (!sameValue(this.#nodeFacts(), this.#model.node)) this.#request();
  }

  peer(name: string, addresses: readonly Ip[] | undefined): void {
    if (sameValue(this.#peers.get(name), addresses)) return;
    if (addresses === undefined) this.#peers.delete(name);
    else this.#peers.set(name, addresses);
    this.#peersChanged = true;
    this.#request();
  }

  /**
   * Writes ahead what needs no Service; to be called once, before `begin`.
   * @throws SignalboxError when the kernel cannot do what the mode needs, or does not let this process
   */
  prepare(): Promise<void> {
    return this.#options.backend.prepare(this.#model.node);
  }

  /** Begins to write Services, and to check: to be called when all that there is has been told. */
  begin(): void {
    this.#begun = true;
    this.#tellIfUnknown();
    this.#request();
    this.#loop.startChecks();
  }

  /** Compares with the kernel without waiting for the period to end. */
  checkSoon(): void {
    this.#loop.checkSoon();
  }

  /** Resolves when nothing is written any more. What is in the kernel stays. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** The metrics as text, as of now. */
  metricsText(): string {
    return this.#options.metrics.text({
      families: this.families,
      pendingServices: this.#tracker.pendingCounts.services,
      pendingSlices: this.#tracker.pendingCounts.slices,
      refusedServicePorts: this.#refused.size,
      versions: this.#versionsInKernel(),
      noLocalEndpoints: noLocalEndpoints(this.#model.servicePorts.values()),
    });
  }

  #versionsInKernel(): KnownVersions {
    // Most changes of objects matter to no rule: no sync is made for them, and nothing waits.
    if (this.health.isUpToDate) this.#syncedVersions = this.#options.knownVersions();
    return this.#syncedVersions;
  }

  /** Address families the node has; before its object is known, that which every node has. */
  get families(): readonly IpFamily[] {
    const families = new Set(this.#model.node.addresses.map(familyOf));
    return families.size === 0 ? ['IPv4'] : [...families];
  }

  #request(): void {
    const now = Date.now();
    this.health.queued(now);
    this.#options.metrics.queued(this.families, now);
    if (this.#begun) this.#loop.request();
  }

  async #sync(retry: boolean): Promise<boolean> {
    const began = performance.now();
    this.health.syncStarted();
    const versions = this.#options.knownVersions();
    this.#advance();
    if (retry) this.#requeueRefused();
    const isFirst = this.#syncedNode === undefined;
    const otherChecks = this.#healthChecksOf === undefined;
    if (isFirst || otherChecks || this.#unsynced.size > 0 || this.#model.node !== this.#syncedNode) {
      await this.#write();
      this.#observe(isFirst, performance.now() - began);
    }
    this.health.syncSucceeded(Date.now());
    this.#syncedVersions = versions;
    this.#settleHealthChecks();
    return this.#cleanFlows() && this.#refused.size === 0;
  }

  /** Takes what is pending into the model, and notes what that means for the kernel. */
  #advance(): void {
    const changes = this.#tracker.take();
    for (const { key, since } of changes.slices) {
      if (!this.#waiting.has(key)) this.#waiting.set(key, since);
    }
    this.#queue(this.#model.apply(changes));
    this.#queue(this.#model.setNode(this.#nodeFacts()));
  }

  #queue({ servicePorts, contests, healthChecks }: ModelChange): void {
    if (healthChecks.length > 0) this.#healthChecksOf = undefined;
    for (const change of servicePorts) {
      const { name, current } = change;
      const { previous } = this.#unsynced.get(name) ?? this.#refused.get(name) ?? change;
      this.#unsynced.set(name, { name, previous, current });
    }
    for (const contest of contests) this.#tellContest(contest);
  }

  /** What balancers are told comes after what the kernel does. */
  #settleHealthChecks(): void {
    const { node, healthChecks } = this.#model;
    if (this.#healthChecksOf === node) return;
    this.#options.healthChecks.update(healthChecks.values(), node);
    this.#healthChecksOf = node;
  }

  #requeueRefused(): void {
    for (const [name, change] of this.#refused) {
      if (!this.#unsynced.has(name)) this.#unsynced.set(name, change);
    }
  }

  async #write(): Promise<void> {
    const { backend } = this.#options;
    const { node, healthChecks } = this.#model;
    const updates = new Map([...this.#unsynced].map(([name, { current }]) => [name, current]));
    const result = await backend.sync(node, updates, healthChecks);
    this.#syncedNode = node;
    this.#note(result);
    const accepted = [...this.#unsynced.values()].filter(({ name }) => !result.refused.has(name));
    for (const { name } of accepted) this.#refused.delete(name);
    this.#unsynced.clear();
    this.#staleFlows.note(accepted);
  }

  #note({ refused, notices = [], tables = [], partialFailures = [] }: SyncResult): void {
    const { log, events, metrics } = this.#options;
    for (const { reason, message, ...about } of notices) {
      log.warn({ ...about, reason }, message);
      events.noticed({ ...about, reason, message });
    }
    metrics.tableRules(tables);
    metrics.partialFailed(partialFailures);
    for (const [name, err] of refused) {
      const isKnown = this.#refused.has(name);
      log[isKnown ? 'debug' : 'warn']({ servicePort: name, err }, 'a Service port was refused; all others are served');
      if (!isKnown) events.refused(name, err);
      const current = this.#model.servicePorts.get(name);
      this.#refused.set(name, this.#unsynced.get(name) ?? { name, previous: undefined, current });
    }
  }

  #observe(isFirst: boolean, tookMs: number): void {
    const at = Date.now();
    this.#options.metrics.synced({
      extent: isFirst ? 'full' : 'partial',
      families: this.families,
      took: tookMs,
      at,
      // Nobody waited for what was there before the proxy.
      waiting: isFirst ? [] : [...this.#waiting.values()],
    });
    this.#waiting.clear();
    if (isFirst) this.#resolveSynced();
    const { log } = this.#options;
    const details = { servicePorts: this.#model.servicePorts.size, ms: Math.round(tookMs * 100) / 100 };
    if (isFirst) log.info(details, 'the kernel has all Services');
    else log.debug(details, 'the kernel has the changes');
  }

  /** Whether no flow is left that leads to an endpoint that is gone. */
  #cleanFlows(): boolean {
    const reviews = this.#staleFlows.review(this.#model.servicePorts);
    if (reviews.length === 0) return true;
    const began = performance.now();
    try {
      const deleted = this.#options.removeStaleFlows(reviews);
      this.#options.metrics.flowsCleaned(this.families, { took: performance.now() - began, deleted });
      this.#staleFlows.clear();
      return true;
    } catch (error) {
      this.#options.log.warn({ err: error }, 'stale UDP flows could not be removed; will try again');
      return false;
    }
  }

  async #check(signal: AbortSignal): Promise<boolean> {
    const began = performance.now();
    if (!sameValue(this.#nodeFacts(), this.#model.node)) this.#request();
    if (this.#syncedNode === undefined) return false;
    const result = await this.#options.backend.check(signal);
    const repaired = result.repaired.length > 0;
    if (!signal.aborted) {
      this.#options.metrics.checked(this.families, { took: performance.now() - began, repaired });
    }
    this.#note(result);
    if (repaired) {
      this.#options.log.warn(
        { repaired: result.repaired },
        'somebody changed what the proxy has in the kernel; repaired',
      );
    }
    return this.#refused.size === 0;
  }

  /** Mostly it is the name that is wrong: Services work all the same, but for what is about this node. */
  #tellIfUnknown(): void {
    if (this.#node !== undefined) return;
    this.#options.log.warn(
      { node: this.#options.nodeName },
      'there is no Node of this name (hostnameOverride gives another): its addresses and its zone are not known, and no endpoint is local',
    );
  }

  #failed(error: unknown): void {
    this.#options.metrics.syncFailed(this.#options.config.mode, this.families);
    this.#options.log.error({ err: error }, 'the kernel could not be brought up to date; will try again');
  }

  #tellContest(contest: ContestChange): void {
    const { frontend, previousOwner, owner, waiting } = contest;
    const { log, events } = this.#options;
    events.contested(contest);
    if (owner === undefined) return;
    if (waiting.length > 0) {
      log.warn({ frontend, owner, waiting }, 'several Services claim one address and port; its owner alone serves it');
    } else if (owner === previousOwner)
      log.info({ frontend, owner }, 'no other Service claims the address and port now');
    else
      log.info({ frontend, owner, previousOwner }, 'an address and port went over to the Service that waited for it');
  }

  #nodeFacts(): NodeFacts {
    const { nodeName: name, config, interfaceAddresses } = this.#options;
    if (this.#peersChanged) this.#peerAddresses = [...this.#peers.values()].flat();
    this.#peersChanged = false;
    return nodeFacts({ name, node: this.#node, peers: this.#peerAddresses, interfaceAddresses }, config);
  }
}

/** Service ports that a policy confines to this node's endpoints, of which there is none. */
function noLocalEndpoints(servicePorts: Iterable<ServicePort>): MetricSources['noLocalEndpoints'] {
  const counts = { internal: 0, external: 0 };
  for (const { frontends } of servicePorts) {
    // Where nobody answers elsewhere either, connections are refused instead.
    const empty = frontends.filter(({ endpoints, whenEmpty }) => endpoints.length === 0 && whenEmpty === 'drop');
    if (empty.some(({ kind }) => kind === 'cluster-ip')) counts.internal++;
    if (empty.some(({ kind }) => kind !== 'cluster-ip')) counts.external++;
  }
  return counts;
}
