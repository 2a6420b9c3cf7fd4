import { version } from '../api/kubernetes-version.ts';
import type { Exchange } from '../client/client.ts';
import { type KnownVersions, versionNumbers } from '../client/resource-version.ts';
import { type Counter, type Family, type Gauge, type Histogram, MetricRegistry } from '../component/metrics.ts';
import { addProcessMetrics } from '../component/process-metrics.ts';
import type { IpFamily } from '../net/ip.ts';
import type { TableRules } from './backend.ts';
import type { ConntrackUsage } from './conntrack-watch.ts';
import type { ProxyMode } from './proxy-mode.ts';

/** Milliseconds count here, where kube-proxy's own buckets begin at 250; from 1 s on they are its own. */
const latencyBuckets = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5],
  ...Array.from({ length: 59 }, (_, i) => i + 1),
  ...Array.from({ length: 12 }, (_, i) => 60 + 5 * i),
  ...Array.from({ length: 7 }, (_, i) => 120 + 30 * i),
];
/** From 1 ms to 16 s, as kube-proxy's, and finer ones below. */
const durationBuckets = [0.0001, 0.00025, 0.0005, ...Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i)];
/** As client-go's. */
const requestBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

const perFamily = ['ip_family'];

const conntrackGauges = [
  ['entries', 'Connections that the kernel tracks.'],
  ['limit', 'How many it may track; it drops new connections beyond.'],
] as const;

/** What is asked of the proxy when somebody reads the metrics, instead of being noted all the time. */
export interface MetricSources {
  /** Those the node has; a sync is of all of them. */
  readonly families: readonly IpFamily[];
  readonly pendingServices: number;
  readonly pendingSlices: number;
  readonly refusedServicePorts: number;
  /** Up to which all changes are in the kernel. */
  readonly versions: KnownVersions;
  /** Service ports without an endpoint here that a policy `Local` confines to this node. */
  readonly noLocalEndpoints: { readonly internal: number; readonly external: number };
}

/** One sync that the kernel acknowledged. */
export interface SyncObservation {
  /** Of all Services, or of what changed. */
  readonly extent: 'full' | 'partial';
  readonly families: readonly IpFamily[];
  /** Milliseconds. */
  readonly took: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The changes of slices that are in the kernel by it: when they had happened, milliseconds since the epoch. */
  readonly waiting: readonly number[];
}

/**
 * The proxy's metrics, under kube-proxy's names and labels (Kubernetes 1.36) where it has the same thing. Times in
 * seconds, moments since the epoch.
 */
export class ProxyMetrics {
  readonly #registry = new MetricRegistry();
  readonly #extents: { readonly [E in SyncObservation['extent']]: Family<Histogram> };
  readonly #syncDuration: Family<Histogram>;
  readonly #networkProgramming: Family<Histogram>;
  readonly #lastSync: Family<Gauge>;
  readonly #lastQueued: Family<Gauge>;
  readonly #changes: {
    readonly [K in 'service' | 'endpoint']: { readonly total: Family<Counter>; readonly pending: Family<Gauge> };
  };
  readonly #noLocalEndpoints: Family<Gauge>;
  readonly #iptables: { readonly total: Family<Gauge>; readonly last: Family<Gauge> };
  readonly #failures: { readonly [mode: string]: Family<Counter> };
  readonly #partialFailures: Family<Counter>;
  readonly #cleanupFailures: Family<Counter>;
  readonly #conntrackDuration: Family<Histogram>;
  readonly #conntrackDeleted: Family<Counter>;
  readonly #health: { readonly [K in 'healthz' | 'livez']: Family<Counter> };
  readonly #requests: { readonly total: Family<Counter>; readonly duration: Family<Histogram> };
  readonly #repairs: Counter;
  readonly #otherFailures: Counter;
  readonly #refusedServicePorts: Gauge;
  readonly #resourceVersion: Family<Gauge>;

  /** `conntrack` is asked when somebody reads the metrics. */
  constructor(conntrack: () => ConntrackUsage) {
    const histogram = (name: string, help: string, bounds: readonly number[] = durationBuckets) =>
      this.#registry.histograms({ name: `kubeproxy_${name}`, help, labels: perFamily }, bounds);
    const counter = (name: string, help: string, labels: readonly string[] = perFamily) =>
      this.#registry.counters({ name: `kubeproxy_${name}`, help, labels });
    const gauge = (name: string, help: string, labels: readonly string[] = perFamily) =>
      this.#registry.gauges({ name: `kubeproxy_${name}`, help, labels });

    this.#syncDuration = histogram(
      'sync_proxy_rules_duration_seconds',
      'From the start of a sync to the word of the kernel.',
    );
    this.#extents = {
      full: histogram(
        'sync_full_proxy_rules_duration_seconds',
        'The same, of loads of all Services and comparisons with the kernel.',
      ),
      partial: histogram('sync_partial_proxy_rules_duration_seconds', 'The same, of syncs that bring changes only.'),
    };
    this.#networkProgramming = histogram(
      'network_programming_duration_seconds',
      'From the change an EndpointSlice was written for, or its arrival here, to the word of the kernel.',
      latencyBuckets,
    );
    this.#lastSync = gauge('sync_proxy_rules_last_timestamp_seconds', 'When a sync last succeeded.');
    this.#lastQueued = gauge('sync_proxy_rules_last_queued_timestamp_seconds', 'When a sync was last asked for.');
    const changes = (kind: 'service' | 'endpoint', what: string) => ({
      total: counter(`sync_proxy_rules_${kind}_changes_total`, `Changes of ${what} that matter to the rules.`),
      pending: gauge(`sync_proxy_rules_${kind}_changes_pending`, `Changed ${what} that wait for a sync.`),
    });
    this.#changes = { service: changes('service', 'Services'), endpoint: changes('endpoint', 'EndpointSlices') };
    this.#noLocalEndpoints = gauge(
      'sync_proxy_rules_no_local_endpoints_total',
      'Service ports with a policy Local and no endpoint on this node.',
      ['traffic_policy', ...perFamily],
    );
    this.#iptables = {
      total: gauge('sync_proxy_rules_iptables_total', 'Rules of ours in a table of iptables.', ['table', ...perFamily]),
      last: gauge('sync_proxy_rules_iptables_last', 'Rules written by the last sync.', ['table', ...perFamily]),
    };
    this.#failures = {
      iptables: counter(
        'sync_proxy_rules_iptables_restore_failures_total',
        'Syncs and comparisons in iptables mode that failed.',
      ),
      nftables: counter(
        'sync_proxy_rules_nftables_sync_failures_total',
        'Syncs and comparisons in nftables mode that failed.',
      ),
    };
    this.#partialFailures = counter(
      'sync_proxy_rules_iptables_partial_restore_failures_total',
      'Syncs in iptables mode whose changes by themselves were refused, so that all was compared and written.',
    );
    this.#otherFailures = this.#registry.counter({
      name: 'signalbox_proxy_sync_failures_total',
      help: 'Syncs and comparisons that failed, in whatever mode.',
    });
    this.#cleanupFailures = counter(
      'sync_proxy_rules_nftables_cleanup_failures_total',
      'Removals of the rules of an earlier nftables mode that failed.',
    );
    this.#conntrackDuration = histogram(
      'conntrack_reconciler_sync_duration_seconds',
      'Time to look over connection tracking for stale UDP flows.',
    );
    this.#conntrackDeleted = counter(
      'conntrack_reconciler_deleted_entries_total',
      'Entries of stale UDP flows removed from connection tracking.',
    );
    this.#health = {
      healthz: counter('proxy_healthz_total', 'Answers of /healthz.', ['code']),
      livez: counter('proxy_livez_total', 'Answers of /livez.', ['code']),
    };
    this.#requests = {
      total: this.#registry.counters({
        name: 'rest_client_requests_total',
        help: 'Requests to the API server.',
        labels: ['code', 'method', 'host'],
      }),
      duration: this.#registry.histograms(
        {
          name: 'rest_client_request_duration_seconds',
          help: 'Time to the answer of the API server.',
          labels: ['verb', 'host'],
        },
        requestBuckets,
      ),
    };
    this.#repairs = this.#registry.counter({
      name: 'signalbox_proxy_repairs_total',
      help: 'Comparisons with the kernel that found something changed by others, and put it right.',
    });
    this.#refusedServicePorts = this.#registry.gauge({
      name: 'signalbox_proxy_refused_service_ports',
      help: 'Service ports that the kernel refused.',
    });
    this.#resourceVersion = this.#registry.gauges({
      name: 'signalbox_proxy_resource_version',
      help: 'All changes of a resource up to this version are in the kernel.',
      labels: ['resource'],
    });
    for (const [name, help] of conntrackGauges) {
      this.#registry.readGauge({ name: `signalbox_proxy_conntrack_${name}`, help }, () => conntrack()[name]);
    }
    addBuildInfo(this.#registry);
    addProcessMetrics(this.#registry);
  }

  get #perFamilyCounters(): readonly Family<Counter>[] {
    const { service, endpoint } = this.#changes;
    return [
      service.total,
      endpoint.total,
      this.#conntrackDeleted,
      ...Object.values(this.#failures),
      this.#partialFailures,
      this.#cleanupFailures,
    ];
  }

  queued(families: readonly IpFamily[], at: number): void {
    for (const family of families) this.#lastQueued.of(family).set(at / 1000);
  }

  changed(kind: 'service' | 'endpoint', families: readonly IpFamily[]): void {
    for (const family of families) this.#changes[kind].total.of(family).add();
  }

  synced({ extent, families, took, at, waiting }: SyncObservation): void {
    for (const family of families) {
      this.#syncDuration.of(family).observe(took / 1000);
      this.#extents[extent].of(family).observe(took / 1000);
      this.#lastSync.of(family).set(at / 1000);
      const latency = this.#networkProgramming.of(family);
      for (const since of waiting) latency.observe((at - since) / 1000);
    }
  }

  /** A comparison with the kernel that came to its end. */
  checked(
    families: readonly IpFamily[],
    { took, repaired }: { readonly took: number; readonly repaired: boolean },
  ): void {
    for (const family of families) this.#extents.full.of(family).observe(took / 1000);
    if (repaired) this.#repairs.add();
  }

  syncFailed(mode: ProxyMode, families: readonly IpFamily[]): void {
    this.#otherFailures.add();
    for (const family of families) this.#failures[mode]?.of(family).add();
  }

  /** Changes that had to be written with all the rest. */
  partialFailed(families: readonly IpFamily[]): void {
    for (const family of families) this.#partialFailures.of(family).add();
  }

  /** Of whatever family: what was to be removed is not known. */
  cleanupFailed(mode: ProxyMode): void {
    if (mode === 'nftables') for (const family of ['IPv4', 'IPv6']) this.#cleanupFailures.of(family).add();
  }

  /** One pass over connection tracking, of both families at once. */
  flowsCleaned(
    families: readonly IpFamily[],
    { took, deleted }: { readonly took: number; readonly deleted: ReadonlyMap<IpFamily, number> },
  ): void {
    for (const family of families) {
      this.#conntrackDuration.of(family).observe(took / 1000);
      this.#conntrackDeleted.of(family).add(deleted.get(family) ?? 0);
    }
  }

  tableRules(tables: readonly TableRules[]): void {
    for (const { family, table, total, written } of tables) {
      this.#iptables.total.of(table, family).set(total);
      this.#iptables.last.of(table, family).set(written);
    }
  }

  healthAsked(page: 'healthz' | 'livez', status: number): void {
    this.#health[page].of(String(status)).add();
  }

  exchanged(host: string, { method, code, milliseconds }: Exchange): void {
    this.#requests.total.of(code, method, host).add();
    this.#requests.duration.of(method, host).observe(milliseconds / 1000);
  }

  /** All metrics as text, ready to be sent. */
  text(sources: MetricSources): string {
    for (const family of sources.families) {
      // Counters are there before they count, so that their first step is seen.
      for (const counters of this.#perFamilyCounters) counters.of(family);
      this.#changes.service.pending.of(family).set(sources.pendingServices);
      this.#changes.endpoint.pending.of(family).set(sources.pendingSlices);
      for (const policy of ['internal', 'external'] as const)
        this.#noLocalEndpoints.of(policy, family).set(sources.noLocalEndpoints[policy]);
    }
    this.#refusedServicePorts.set(sources.refusedServicePorts);
    for (const [resource, version] of versionNumbers(sources.versions)) this.#resourceVersion.of(resource).set(version);
    return this.#registry.text();
  }
}

/** Which release a component is of, under the names that Kubernetes' components use. */
function addBuildInfo(registry: MetricRegistry): void {
  const labels = {
    major: version.major,
    minor: version.minor,
    git_version: version.gitVersion,
    git_commit: version.gitCommit,
    git_tree_state: version.gitTreeState,
    build_date: version.buildDate,
    go_version: version.goVersion,
    compiler: version.compiler,
    platform: version.platform,
  };
  registry
    .gauges({ name: 'kubernetes_build_info', help: 'The release, in labels.', labels: Object.keys(labels) })
    .of(...Object.values(labels))
    .set(1);
}
