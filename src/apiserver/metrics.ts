import { MetricRegistry, metricsContentType } from '../component/metrics.ts';
import type { ResourceRequest } from './request-info.ts';

const labels = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'];

/** The metrics of an API server, by the names that kube-apiserver's have. */
export class ApiServerMetrics {
  readonly #registry = new MetricRegistry();
  readonly #requests = this.#registry.counters({
    name: 'apiserver_request_total',
    help: 'Requests answered, by verb, resource and HTTP status code.',
    labels: [...labels, 'code'],
  });
  readonly #durations = this.#registry.histograms(
    {
      name: 'apiserver_request_duration_seconds',
      help: 'Time from the request to the end of its answer, in seconds. Long-running requests are not counted.',
      labels,
    },
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  );
  readonly #longRunning = this.#registry.gauges({
    name: 'apiserver_longrunning_requests',
    help: 'Watches and proxied requests under way now.',
    labels,
  });

  /** Sets gauges that are read when asked for. */
  addObjectCounts(count: () => ReadonlyMap<string, number>): void {
    this.#registry.readGauges(
      { name: 'apiserver_storage_objects', help: 'Objects stored, by resource.', label: 'resource' },
      count,
    );
  }

  /** Begins counting a request; the result is to be called with its status code at its end. */
  begin(info: ResourceRequest | undefined, method: string): (code: number) => void {
    const values = labelValues(info, method);
    if (info?.verb === 'watch' || info?.subresource === 'proxy') {
      const open = this.#longRunning.of(...values);
      open.add(1);
      return (code) => {
        open.add(-1);
        this.#requests.of(...values, String(code)).add();
      };
    }
    const start = performance.now();
    return (code) => {
      this.#requests.of(...values, String(code)).add();
      this.#durations.of(...values).observe((performance.now() - start) / 1000);
    };
  }

  /** In the Prometheus text format. */
  text(): string {
    return this.#registry.text();
  }

  get contentType(): string {
    return metricsContentType;
  }
}

/** In the order of `labels`. */
function labelValues(info: ResourceRequest | undefined, method: string): string[] {
  if (info === undefined) return [method, '', '', '', '', ''];
  const { resource, subresource = '', name, namespace } = info;
  const scope = name !== undefined ? 'resource' : namespace !== undefined ? 'namespace' : 'cluster';
  const verb = (info.verb ?? method).toUpperCase();
  return [verb, resource.group, resource.version, resource.plural, subresource, scope];
}
