import { describe, expect, it } from 'vitest';
import { type MetricSources, ProxyMetrics } from './proxy-metrics.ts';

const sources: MetricSources = {
  families: ['IPv4', 'IPv6'],
  pendingServices: 3,
  pendingSlices: 0,
  refusedServicePorts: 1,
  versions: new Map([
    ['services', '41'],
    ['endpointslices', ''],
  ]),
  noLocalEndpoints: { internal: 0, external: 2 },
};

/** Values by name and labels. */
function values(metrics: ProxyMetrics): Map<string, string> {
  const lines = metrics.text(sources).split('\n');
  return new Map(
    lines
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const end = line.lastIndexOf(' ');
        return [line.slice(0, end), line.slice(end + 1)];
      }),
  );
}

/** What Kubernetes 1.36 documents for kube-proxy, with the labels of each. */
const documented: { readonly [name: string]: readonly string[] } = {
  kubeproxy_sync_proxy_rules_duration_seconds: ['ip_family'],
  kubeproxy_sync_full_proxy_rules_duration_seconds: ['ip_family'],
  kubeproxy_sync_partial_proxy_rules_duration_seconds: ['ip_family'],
  kubeproxy_sync_proxy_rules_last_timestamp_seconds: ['ip_family'],
  kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds: ['ip_family'],
  kubeproxy_network_programming_duration_seconds: ['ip_family'],
  kubeproxy_sync_proxy_rules_endpoint_changes_pending: ['ip_family'],
  kubeproxy_sync_proxy_rules_endpoint_changes_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_service_changes_pending: ['ip_family'],
  kubeproxy_sync_proxy_rules_service_changes_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_iptables_total: ['table', 'ip_family'],
  kubeproxy_sync_proxy_rules_iptables_last: ['table', 'ip_family'],
  kubeproxy_sync_proxy_rules_iptables_restore_failures_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_nftables_sync_failures_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total: ['ip_family'],
  kubeproxy_sync_proxy_rules_no_local_endpoints_total: ['traffic_policy', 'ip_family'],
  kubeproxy_conntrack_reconciler_sync_duration_seconds: ['ip_family'],
  kubeproxy_conntrack_reconciler_deleted_entries_total: ['ip_family'],
  kubeproxy_proxy_healthz_total: ['code'],
  kubeproxy_proxy_livez_total: ['code'],
  rest_client_requests_total: ['code', 'method', 'host'],
  rest_client_request_duration_seconds: ['verb', 'host'],
  kubernetes_build_info: ['major', 'minor', 'git_version', 'platform'],
  process_cpu_seconds_total: [],
  process_open_fds: [],
  process_resident_memory_bytes: [],
  process_start_time_seconds: [],
  process_virtual_memory_bytes: [],
};

/** After everything has happened that is measured. */
function busyMetrics(): ProxyMetrics {
  const metrics = new ProxyMetrics(() => ({ entries: 7, limit: 100 }));
  const families = ['IPv4', 'IPv6'] as const;
  metrics.queued(families, 1_000);
  metrics.changed('service', families);
  for (const extent of ['full', 'partial'] as const)
    metrics.synced({ extent, families, took: 20, at: 5_000, waiting: [4_000] });
  metrics.checked(families, { took: 1, repaired: true });
  metrics.syncFailed('nftables', ['IPv6']);
  metrics.partialFailed(['IPv6']);
  metrics.cleanupFailed('nftables');
  metrics.flowsCleaned(families, { took: 2, deleted: new Map([['IPv6', 4]]) });
  metrics.tableRules([{ family: 'IPv4', table: 'nat', total: 50, written: 7 }]);
  metrics.healthAsked('healthz', 503);
  metrics.healthAsked('livez', 200);
  metrics.exchanged('10.0.0.1:6443', { method: 'GET', code: '200', milliseconds: 3 });
  return metrics;
}

describe('ProxyMetrics', () => {
  it('has the names and labels of kube-proxy', () => {
    const keys = [...values(busyMetrics()).keys()];
    for (const [name, labels] of Object.entries(documented)) {
      const own = keys.filter((key) => key.replace(/(_bucket|_sum|_count)?(\{.*)?$/, '') === name);
      expect(own.length, name).toBeGreaterThan(0);
      for (const label of labels)
        expect(
          own.every((key) => key.includes(`${label}="`)),
          `${name} ${label}`,
        ).toBe(true);
    }
  });

  it('counts what happened, family by family', () => {
    const has = values(busyMetrics());
    const sync = 'kubeproxy_sync_proxy_rules';
    expect(has.get(`${sync}_duration_seconds_count{ip_family="IPv6"}`)).toBe('2');
    expect(has.get('kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"}')).toBe('2');
    expect(has.get(`${sync}_last_timestamp_seconds{ip_family="IPv4"}`)).toBe('5');
    expect(has.get('kubeproxy_network_programming_duration_seconds_sum{ip_family="IPv4"}')).toBe('2');
    expect(has.get(`${sync}_nftables_sync_failures_total{ip_family="IPv4"}`)).toBe('0');
    expect(has.get(`${sync}_nftables_sync_failures_total{ip_family="IPv6"}`)).toBe('1');
    expect(has.get(`${sync}_iptables_partial_restore_failures_total{ip_family="IPv6"}`)).toBe('1');
    expect(has.get('kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv6"}')).toBe('4');
    expect(has.get(`${sync}_iptables_total{table="nat",ip_family="IPv4"}`)).toBe('50');
    expect(has.get(`${sync}_no_local_endpoints_total{traffic_policy="external",ip_family="IPv4"}`)).toBe('2');
    expect(has.get(`${sync}_service_changes_pending{ip_family="IPv4"}`)).toBe('3');
    expect(has.get('signalbox_proxy_resource_version{resource="services"}')).toBe('41');
    expect(has.has('signalbox_proxy_resource_version{resource="endpointslices"}')).toBe(false);
    expect(has.get('signalbox_proxy_conntrack_entries')).toBe('7');
    expect(has.get('signalbox_proxy_conntrack_limit')).toBe('100');
    expect(has.get('kubeproxy_proxy_healthz_total{code="503"}')).toBe('1');
    expect(Number(has.get('process_virtual_memory_bytes'))).toBeGreaterThan(
      Number(has.get('process_resident_memory_bytes')),
    );
  });
});
