import { type Counter, type Family, type Histogram, MetricRegistry } from '../component/metrics.ts';
import { recordType } from './wire/constants.ts';

/** How a query came. */
export interface Client {
  readonly transport: 'udp' | 'tcp';
  readonly family: 'IPv4' | 'IPv6';
}

/** Who answered. CoreDNS' word for it is a plugin. */
export type AnswerSource = 'kubernetes' | 'forward' | 'cache' | '';

/** One query and its answer, for the books. Sizes in octets. */
export interface Exchange {
  readonly client: Client;
  readonly type: number;
  readonly dnssecOk: boolean;
  readonly rcode: number;
  readonly source: AnswerSource;
  readonly requestSize: number;
  readonly responseSize: number;
  readonly seconds: number;
}

const typeNames = new Map<number, string>(Object.entries(recordType).map(([name, type]) => [type, name]));
const rcodeNames = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

/** 0.25 ms, doubled fifteen times. */
const secondsBounds = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
const sizeBounds = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16e3, 32e3, 48e3, 64e3];

/** The samples of one kind of exchange, found once. */
interface RequestSamples {
  readonly requests: Counter;
  readonly dnssecRequests: Counter;
  readonly requestSize: Histogram;
  readonly responseSize: Histogram;
}

/** The metrics of the DNS server, under the names CoreDNS' users have on their dashboards. */
export class DnsMetrics {
  readonly registry = new MetricRegistry();
  readonly #server: string;
  readonly #requestSamples = new Map<number, RequestSamples>();
  readonly #responseSamples = new Map<string, Counter>();
  readonly #requests: Family<Counter>;
  readonly #dnssecRequests: Family<Counter>;
  readonly #responses: Family<Counter>;
  readonly #requestSize: Family<Histogram>;
  readonly #responseSize: Family<Histogram>;
  readonly #duration: Histogram;
  readonly #cacheHits: Family<Counter>;
  readonly #cacheMisses: Counter;
  readonly #upstreamDuration: Family<Histogram>;
  readonly #upstreamFailures: Family<Counter>;
  readonly #rejects: Counter;
  readonly #programming: Family<Histogram>;

  /** `server` is the label CoreDNS gives: `dns://:53`. */
  constructor(server: string) {
    this.#server = server;
    const { registry } = this;
    const byProtocol = ['server', 'zone', 'view', 'proto'];
    this.#requests = registry.counters({
      name: 'coredns_dns_requests_total',
      help: 'Queries that came, by family and type.',
      labels: [...byProtocol, 'family', 'type'],
    });
    this.#dnssecRequests = registry.counters({
      name: 'coredns_dns_do_requests_total',
      help: 'Queries that asked for DNSSEC records.',
      labels: ['server', 'zone', 'view'],
    });
    this.#responses = registry.counters({
      name: 'coredns_dns_responses_total',
      help: 'Answers given, by response code and by who had it.',
      labels: ['server', 'zone', 'view', 'rcode', 'plugin'],
    });
    const sizes = (name: string, help: string) => registry.histograms({ name, help, labels: byProtocol }, sizeBounds);
    this.#requestSize = sizes('coredns_dns_request_size_bytes', 'Size of queries.');
    this.#responseSize = sizes('coredns_dns_response_size_bytes', 'Size of answers.');
    const duration = { name: 'coredns_dns_request_duration_seconds', help: 'Time from a query to its answer.' };
    this.#duration = registry
      .histograms({ ...duration, labels: ['server', 'zone', 'view'] }, secondsBounds)
      .of(server, '.', '');
    const cached = { labels: ['server', 'type', 'zones', 'view'] };
    this.#cacheHits = registry.counters({
      ...cached,
      name: 'coredns_cache_hits_total',
      help: 'Answers from the cache.',
    });
    this.#cacheMisses = registry
      .counters({ name: 'coredns_cache_misses_total', help: 'Not in the cache.', labels: ['server', 'zones', 'view'] })
      .of(server, '.', '');
    this.#upstreamDuration = registry.histograms(
      {
        name: 'coredns_proxy_request_duration_seconds',
        help: 'Time an upstream took to answer.',
        labels: ['proxy_name', 'to', 'rcode'],
      },
      secondsBounds,
    );
    this.#upstreamFailures = registry.counters({
      name: 'coredns_proxy_healthcheck_failures_total',
      help: 'Queries an upstream did not answer.',
      labels: ['proxy_name', 'to'],
    });
    this.#rejects = registry.counter({
      name: 'coredns_forward_max_concurrent_rejects_total',
      help: 'Queries refused because too many were under way.',
    });
    this.#programming = registry.histograms(
      {
        name: 'coredns_kubernetes_dns_programming_duration_seconds',
        help: 'Time from a change of a headless Service to its being served.',
        labels: ['service_kind'],
      },
      Array.from({ length: 20 }, (_, i) => 0.001 * 2 ** i),
    );
  }

  /** Counts a query and its answer. */
  count(exchange: Exchange): void {
    const samples = this.#requestSamplesOf(exchange);
    samples.requests.add();
    if (exchange.dnssecOk) samples.dnssecRequests.add();
    samples.requestSize.observe(exchange.requestSize);
    samples.responseSize.observe(exchange.responseSize);
    this.#duration.observe(exchange.seconds);
    const key = `${exchange.rcode}${exchange.source}`;
    let responses = this.#responseSamples.get(key);
    if (responses === undefined) {
      responses = this.#responses.of(this.#server, '.', '', rcodeName(exchange.rcode), exchange.source);
      this.#responseSamples.set(key, responses);
    }
    responses.add();
  }

  /** Counts an answer that was in the cache. */
  countCacheHit(isDenial: boolean): void {
    this.#cacheHits.of(this.#server, isDenial ? 'denial' : 'success', '.', '').add();
  }

  /** Counts one that was not. */
  countCacheMiss(): void {
    this.#cacheMisses.add();
  }

  /** Counts an upstream's answer. */
  countUpstream(upstream: string, code: number, seconds: number): void {
    this.#upstreamDuration.of('forward', upstream, rcodeName(code)).observe(seconds);
  }

  /** Counts an upstream's silence. */
  countUpstreamFailure(upstream: string): void {
    this.#upstreamFailures.of('forward', upstream).add();
  }

  /** Counts a query refused for want of room. */
  countReject(): void {
    this.#rejects.add();
  }

  /** Notes how long a change of a headless Service took to get here. */
  observeProgramming(seconds: number): void {
    this.#programming.of('headless_with_selector').observe(seconds);
  }

  #requestSamplesOf({ client, type }: Exchange): RequestSamples {
    const known = typeNames.has(type) ? type : 0;
    const key = (known << 2) | (client.transport === 'udp' ? 0 : 2) | (client.family === 'IPv4' ? 0 : 1);
    let samples = this.#requestSamples.get(key);
    if (samples === undefined) {
      const family = client.family === 'IPv4' ? '1' : '2';
      const labels = [this.#server, '.', '', client.transport] as const;
      samples = {
        requests: this.#requests.of(...labels, family, typeNames.get(known) ?? 'other'),
        dnssecRequests: this.#dnssecRequests.of(this.#server, '.', ''),
        requestSize: this.#requestSize.of(...labels),
        responseSize: this.#responseSize.of(...labels),
      };
      this.#requestSamples.set(key, samples);
    }
    return samples;
  }
}

function rcodeName(code: number): string {
  return rcodeNames[code] ?? String(code);
}
