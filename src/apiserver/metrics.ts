import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ResourceRequest } from './request-info.ts';

const labelNames = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'] as const;
type Labels = { [L in (typeof labelNames)[number]]: string };

/** The metrics of an API server, by the names that kube-apiserver's have. */
export class ApiServerMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: 'apiserver_request_total',
    help: 'Requests answered, by verb, resource and HTTP status code.',
    labelNames: [...labelNames, 'code'],
    registers: [this.#registry],
  });
  readonly #durations = new Histogram({
    name: 'apiserver_request_duration_seconds',
    help: 'Time from the request to the end of its answer, in seconds. Watches are not counted.',
    labelNames: [...labelNames],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.#registry],
  });
  readonly #watches = new Gauge({
    name: 'apiserver_longrunning_requests',
    help: 'Watches open now.',
    labelNames: [...labelNames],
    registers: [this.#registry],
  });

  /** Sets gauges that are read when asked for. */
  addObjectCounts(count: () => ReadonlyMap<string, number>): void {
    new Gauge({
      name: 'apiserver_storage_objects',
      help: 'Objects stored, by resource.',
      labelNames: ['resource'],
      registers: [this.#registry],
      collect() {
        for (const [resource, objects] of count()) this.set({ resource }, objects);
      },
    });
  }

  /** Begins counting a request; the result is to be called with its status code at its end. */
  begin(info: ResourceRequest | undefined, method: string): (code: number) => void {
    const labels = labelsOf(info, method);
    if (info?.verb === 'watch') {
      this.#watches.inc(labels);
      return (code) => {
        this.#watches.dec(labels);
        this.#requests.inc({ ...labels, code });
      };
    }
    const start = performance.now();
    return (code) => {
      this.#requests.inc({ ...labels, code });
      this.#durations.observe(labels, (performance.now() - start) / 1000);
    };
  }

  /** In the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}

function labelsOf(info: ResourceRequest | undefined, method: string): Labels {
  if (info === undefined) return { verb: method, group: '', version: '', resource: '', subresource: '', scope: '' };
  const { resource, subresource = '', name, namespace } = info;
  const scope = name !== undefined ? 'resource' : namespace !== undefined ? 'namespace' : 'cluster';
  const verb = (info.verb ?? method).toUpperCase();
  return { verb, group: resource.group, version: resource.version, resource: resource.plural, subresource, scope };
}
