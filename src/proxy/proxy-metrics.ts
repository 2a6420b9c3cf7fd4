import { Counter, Gauge, Histogram, type Metric } from './exposition.ts';

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
  readonly syncDuration = new Histogram({
    name: 'kubeproxy_sync_proxy_rules_duration_seconds',
    help: 'Time from the start of a sync to the acknowledgement of the kernel.',
    buckets: durationBuckets,
  });
  readonly fullSyncDuration = new Histogram({
    name: 'kubeproxy_sync_full_proxy_rules_duration_seconds',
    help: 'The same, of the first load of all Services and of comparisons of all with the kernel.',
    buckets: durationBuckets,
  });
  readonly partialSyncDuration = new Histogram({
    name: 'kubeproxy_sync_partial_proxy_rules_duration_seconds',
    help: 'The same, of syncs that bring changes only.',
    buckets: durationBuckets,
  });
  readonly networkProgrammingDuration = new Histogram({
    name: 'kubeproxy_network_programming_duration_seconds',
    help: 'Time from the change that an EndpointSlice was written for, or its arrival here, to the acknowledgement of the kernel.',
    buckets: latencyBuckets,
  });
  readonly lastSync = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
    help: 'When a sync last succeeded.',
  });
  readonly lastQueued = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    help: 'When a sync was last asked for.',
  });
  readonly serviceChanges = new Counter({
    name: 'kubeproxy_sync_proxy_rules_service_changes_total',
    help: 'Changes of Services that matter to the rules.',
  });
  readonly endpointChanges = new Counter({
    name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
    help: 'Changes of EndpointSlices that matter to the rules.',
  });
  readonly syncFailures = new Counter({
    name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total',
    help: 'Syncs and comparisons that failed.',
  });
  readonly repairs = new Counter({
    name: 'signalbox_proxy_repairs_total',
    help: 'Comparisons with the kernel that found something changed by others, and put it right.',
  });
  readonly deletedFlows = new Counter({
    name: 'kubeproxy_conntrack_reconciler_deleted_entries_total',
    help: 'Entries of stale UDP flows removed from connection tracking.',
  });
  readonly healthz = new Counter({
    name: 'kubeproxy_proxy_healthz_total',
    help: 'Answers of /healthz.',
    label: 'code',
  });
  readonly livez = new Counter({ name: 'kubeproxy_proxy_livez_total', help: 'Answers of /livez.', label: 'code' });

  /** All metrics as text, ready to be sent. */
  text(sources: MetricSources): string {
    const all: Metric[] = [
      ...Object.values(this).filter((value) => typeof value === 'object'),
      now(
        'kubeproxy_sync_proxy_rules_service_changes_pending',
        'Services that wait for a sync.',
        sources.pendingServices,
      ),
      now(
        'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
        'EndpointSlices that wait for a sync.',
        sources.pendingSlices,
      ),
      now(
        'signalbox_proxy_refused_service_ports',
        'Service ports that the kernel refused.',
        sources.refusedServicePorts,
      ),
      now('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
      now('process_start_time_seconds', 'When the process started.', performance.timeOrigin / 1000),
    ];
    return all.map((metric) => metric.text()).join('');
  }
}

function now(name: string, help: string, value: number): Gauge {
  const gauge = new Gauge({ name, help });
  gauge.set(value);
  return gauge;
}
