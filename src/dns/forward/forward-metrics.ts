import type { Counter, Family, Gauge, Histogram, MetricRegistry } from '../../component/metrics.ts';
import { rcodeName } from '../wire/mnemonics.ts';

/** What CoreDNS calls the part of itself that asks upstreams. */
const proxy = 'forward';

interface ForwardFamilies {
  readonly duration: Family<Histogram>;
  readonly failedChecks: Family<Counter>;
  readonly reused: Family<Counter>;
  readonly opened: Family<Counter>;
  readonly rejects: Counter;
  readonly allDown: Counter;
}

/** How a server was reached. */
export type Protocol = 'udp' | 'tcp' | 'tcp-tls';

/** The books of what is asked of other servers, under CoreDNS' names. */
export class ForwardMetrics {
  readonly #families: ForwardFamilies;

  /** `secondsBounds`: of the histogram of their answers. */
  constructor(registry: MetricRegistry, secondsBounds: readonly number[]) {
    const toServer = ['proxy_name', 'to'];
    this.#families = {
      duration: registry.histograms(
        {
          name: 'coredns_proxy_request_duration_seconds',
          help: 'Time an upstream took to answer.',
          labels: [...toServer, 'rcode'],
        },
        secondsBounds,
      ),
      failedChecks: registry.counters({
        name: 'coredns_proxy_healthcheck_failures_total',
        help: 'Health checks an upstream did not answer.',
        labels: toServer,
      }),
      reused: registry.counters({
        name: 'coredns_proxy_conn_cache_hits_total',
        help: 'Questions that went over a connection that was open.',
        labels: [...toServer, 'proto'],
      }),
      opened: registry.counters({
        name: 'coredns_proxy_conn_cache_misses_total',
        help: 'Questions for which a connection was opened.',
        labels: [...toServer, 'proto'],
      }),
      rejects: registry.counter({
        name: 'coredns_forward_max_concurrent_rejects_total',
        help: 'Queries refused because too many were under way.',
      }),
      allDown: registry.counter({
        name: 'coredns_forward_healthcheck_broken_total',
        help: 'Questions for which all upstreams were down, so that one of them was asked blindly.',
      }),
    };
  }

  /** Counts an upstream's answer. */
  countAnswer(upstream: string, code: number, seconds: number): void {
    this.#families.duration.of(proxy, upstream, rcodeName(code)).observe(seconds);
  }

  /** Counts a health check that failed. */
  countFailedCheck(upstream: string): void {
    this.#families.failedChecks.of(proxy, upstream).add();
  }

  /** Counts a question by whether it had to open its connection, or its socket. */
  countConnection(upstream: string, protocol: Protocol, isReused: boolean): void {
    (isReused ? this.#families.reused : this.#families.opened).of(proxy, upstream, protocol).add();
  }

  /** Counts a query refused for want of room. */
  countReject(): void {
    this.#families.rejects.add();
  }

  /** Counts a question for which there was no upstream that is up. */
  countAllDown(): void {
    this.#families.allDown.add();
  }
}

interface CacheFamilies {
  readonly requests: Family<Counter>;
  readonly hits: Family<Counter>;
  readonly misses: Family<Counter>;
  readonly prefetched: Family<Counter>;
  readonly stale: Family<Counter>;
  readonly evictions: Family<Counter>;
  readonly entries: Family<Gauge>;
}

/** The families of all caches' books. */
export function cacheFamilies(registry: MetricRegistry): CacheFamilies {
  const labels = ['server', 'zones', 'view'];
  const kindLabels = ['server', 'type', 'zones', 'view'];
  return {
    requests: registry.counters({ name: 'coredns_cache_requests_total', help: 'Looked for in the cache.', labels }),
    hits: registry.counters({
      name: 'coredns_cache_hits_total',
      help: 'Found in the cache, whether or not its life was over.',
      labels: kindLabels,
    }),
    misses: registry.counters({ name: 'coredns_cache_misses_total', help: 'Not found in the cache.', labels }),
    prefetched: registry.counters({
      name: 'coredns_cache_prefetch_total',
      help: 'Asked again before its life was over.',
      labels,
    }),
    stale: registry.counters({
      name: 'coredns_cache_served_stale_total',
      help: 'Answered from the cache after its life was over.',
      labels,
    }),
    evictions: registry.counters({
      name: 'coredns_cache_evictions_total',
      help: 'Let go of for want of room.',
      labels: kindLabels,
    }),
    entries: registry.gauges({
      name: 'coredns_cache_entries',
      help: 'Answers in the cache.',
      labels: kindLabels,
      isShared: true,
    }),
  };
}

/** What an answer in the cache says: that there is something, or that there is not. */
export type CacheKind = 'success' | 'denial';

/** The books of one cache. */
export class CacheMetrics {
  readonly #families: CacheFamilies;
  readonly #labels: readonly [server: string, zones: string, view: string];

  constructor(families: CacheFamilies, server: string, zones: string) {
    this.#families = families;
    this.#labels = [server, zones, ''];
  }

  /** Counts a look into the cache, and what was found. */
  countLook(found: CacheKind | undefined): void {
    this.#families.requests.of(...this.#labels).add();
    if (found === undefined) this.#families.misses.of(...this.#labels).add();
    else this.#families.hits.of(...this.#ofKind(found)).add();
  }

  countPrefetch(): void {
    this.#families.prefetched.of(...this.#labels).add();
  }

  countStale(): void {
    this.#families.stale.of(...this.#labels).add();
  }

  countEviction(kind: CacheKind): void {
    this.#families.evictions.of(...this.#ofKind(kind)).add();
  }

  /** Notes that so many more are in it; less than zero for fewer. */
  addEntries(kind: CacheKind, count: number): void {
    this.#families.entries.of(...this.#ofKind(kind)).add(count);
  }

  #ofKind(kind: CacheKind): readonly [server: string, type: string, zones: string, view: string] {
    const [server, zones, view] = this.#labels;
    return [server, kind, zones, view];
  }
}
