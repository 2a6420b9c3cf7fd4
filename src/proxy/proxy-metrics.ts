import { MetricRegistry } from '../component/metrics.ts';

/** Milliseconds count here, where kube-proxy's own buckets begin at 250; from 1 s on they are its own. */
const latencyBuckets = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5],
  ...Array.from({ length: 59 }, (_, i) => i + 1),
  ...Array.from({ length: 12 }, (_, i) => 60 + 5 * i),
  ...Array.from({ length: 7 }, (_, i) => 120 + 30 * i),
];
/** From 1 ms to 16 s, as kube-proxy's, and finer ones below. */
const durationBuckets = [0.0001, 0.00025, 0.0005, ...Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i)];

/** What is asked of the proxy when somebody reads the metrics, instead of being noted all the time. */
export interface MetricSources {
  readonly pendingServices: number;
  readonly pendingSlices: number;
  readonly refusedServicePorts: number;
}

/** The proxy's metrics, under kube-proxy's names where it has the same thing. Times in seconds, moments since the epoch. */
export class ProxyMetrics {
  readonly #registry = new MetricRegistry();
  readonly syncDuration = this.#registry.histogram(
    {
      name: 'kubeproxy_sync_proxy_rules_duration_seconds',
      help: 'Time from the start of a sync to the acknowledgement of the kernel.',
    },
    durationBuckets,
  );
  readonly fullSyncDuration = this.#registry.histogram(
    {
      name: 'kubeproxy_sync_full_proxy_rules_duration_seconds',
      help: 'The same, of the first load of all Services and of comparisons of all with the kernel.',
    },
    durationBuckets,
  );
  readonly partialSyncDuration = this.#registry.histogram(
    {
      name: 'kubeproxy_sync_partial_proxy_rules_duration_seconds',
      help: 'The same, of syncs that bring changes only.',
    },
    durationBuckets,
  );
  readonly networkProgrammingDuration = this.#registry.histogram(
    {
      name: 'kubeproxy_network_programming_duration_seconds',
      help: 'Time from the change that an EndpointSlice was written for, or its arrival here, to the acknowledgement of the kernel.',
    },
    latencyBuckets,
  );
  readonly lastSync = this.#registry.gauge({
    name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    help: 'When a sync last succeeded.',
  });
  readonly lastQueued = this.#registry.gauge({
    name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    help: 'When a sync was last asked for.',
  });
  readonly serviceChanges = this.#registry.counter({
    name: 'kubeproxy_sync_proxy_rules_service_changes_total',
    help: 'Changes of Services that matter to the rules.',
  });
  readonly endpointChanges = this.#registry.counter({
    name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
    help: 'Changes of EndpointSlices that matter to the rules.',
  });
  readonly syncFailures = this.#registry.counter({
    name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total',
    help: 'Syncs and comparisons that failed.',
  });
  readonly repairs = this.#registry.counter({
    name: 'signalbox_proxy_repairs_total',
    help: 'Comparisons with the kernel that found something changed by others, and put it right.',
  });
  readonly deletedFlows = this.#registry.counter({
    name: 'kubeproxy_conntrack_reconciler_deleted_entries_total',
    help: 'Entries of stale UDP flows removed from connection tracking.',
  });
  readonly healthz = this.#registry.counters({
    name: 'kubeproxy_proxy_healthz_total',
    help: 'Answers of /healthz.',
    labels: ['code'],
  });
  readonly livez = this.#registry.counters({
    name: 'kubeproxy_proxy_livez_total',
    help: 'Answers of /livez.',
    labels: ['code'],
  });

  readonly #pendingServices = this.#registry.gauge({
    name: 'kubeproxy_sync_proxy_rules_service_changes_pending',
    help: 'Services that wait for a sync.',
  });
  readonly #pendingSlices = this.#registry.gauge({
    name: 'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
    help: 'EndpointSlices that wait for a sync.',
  });
  readonly #refusedServicePorts = this.#registry.gauge({
    name: 'signalbox_proxy_refused_service_ports',
    help: 'Service ports that the kernel refused.',
  });

  constructor() {
    this.#registry.readGauge({ name: 'process_resident_memory_bytes', help: 'Resident memory.' }, () =>
      process.memoryUsage.rss(),
    );
    this.#registry.readGauge(
      { name: 'process_start_time_seconds', help: 'When the process started.' },
      () => performance.timeOrigin / 1000,
    );
  }

  /** All metrics as text, ready to be sent. */
  text({ pendingServices, pendingSlices, refusedServicePorts }: MetricSources): string {
    this.#pendingServices.set(pendingServices);
    this.#pendingSlices.set(pendingSlices);
    this.#refusedServicePorts.set(refusedServicePorts);
    return this.#registry.text();
  }
}
