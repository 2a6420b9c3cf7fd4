import { version } from '../api/kubernetes-version.ts';
import { type Counter, type Family, type Gauge, type Histogram, MetricRegistry } from '../component/metrics.ts';
import { addProcessMetrics } from '../component/process-metrics.ts';
import { CacheMetrics, cacheFamilies, ForwardMetrics } from './forward/forward-metrics.ts';
import { HostsMetrics } from './hosts/hosts-metrics.ts';
import { recordType } from './wire/constants.ts';
import { rcodeName } from './wire/mnemonics.ts';

/** How a query came, and from where. DNS over TLS is TCP. */
export interface Client {
  readonly transport: 'udp' | 'tcp';
  readonly family: 'IPv4' | 'IPv6';
  readonly address: string;
  readonly port: number;
  /**
   * Sends a reply of many messages, each made when the client has taken those before; a client that takes none for a
   * while is cut off. Messages that are not sent are told so by `return`. Absent over UDP.
   */
  readonly stream?: (messages: Generator<Buffer, void>) => void;
}

/** Who answered. CoreDNS' word for it is a plugin. */
export type AnswerSource = 'kubernetes' | 'hosts' | 'transfer' | 'forward' | 'cache' | '';

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

const countedNames = new Set([
  ...['A', 'AAAA', 'MX', 'SOA', 'CNAME', 'PTR', 'TXT', 'NS', 'SRV', 'HTTPS'],
  ...['DS', 'DNSKEY', 'RRSIG', 'NSEC', 'NSEC3', 'IXFR', 'AXFR', 'ANY'],
]);
/** The types that are counted by their names; all others are one. */
const countedTypes: ReadonlyMap<number, string> = new Map(
  Object.entries(recordType)
    .filter(([name]) => countedNames.has(name))
    .map(([name, type]) => [type, name]),
);

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
  readonly #queries: QueryFamilies;
  readonly #caches: ReturnType<typeof cacheFamilies>;
  /** The books of what is asked of other servers. */
  readonly forwarding: ForwardMetrics;
  /** The books of hosts files. */
  readonly hosts: HostsMetrics;
  readonly #programming: Family<Histogram>;
  readonly #failedReloads: Counter;
  readonly #panics: Counter;
  readonly #plugins: Family<Gauge>;
  readonly #healthDuration: Histogram;
  readonly #healthFailures: Counter;
  #configDigest = '';

  constructor() {
    const { registry } = this;
    this.#queries = queryFamilies(registry);
    this.#caches = cacheFamilies(registry);
    this.forwarding = new ForwardMetrics(registry, secondsBounds);
    this.hosts = new HostsMetrics(registry);
    this.#programming = registry.histograms(
      {
        name: 'coredns_kubernetes_dns_programming_duration_seconds',
        help: 'Time from a change of a headless Service to its being served.',
        labels: ['service_kind'],
      },
      Array.from({ length: 20 }, (_, i) => 0.001 * 2 ** i),
    );
    this.#plugins = registry.gauges({
      name: 'coredns_plugin_enabled',
      help: 'What is done in each zone.',
      labels: ['server', 'zone', 'view', 'name'],
    });
    this.#healthDuration = registry.histogram(
      { name: 'coredns_health_request_duration_seconds', help: 'Time /health took to answer this server itself.' },
      secondsBounds.slice(0, 14),
    );
    this.#healthFailures = registry.counter({
      name: 'coredns_health_request_failures_total',
      help: 'Times /health did not answer this server itself.',
    });
    registry
      .gauges({
        name: 'coredns_build_info',
        help: 'Which build this is.',
        labels: ['version', 'revision', 'goversion'],
      })
      .of(version.gitVersion, version.gitCommit, version.goVersion)
      .set(1);
    this.#panics = registry.counter({
      name: 'coredns_panics_total',
      help: 'Queries that could not be answered by a mistake in the server.',
    });
    this.#failedReloads = registry.counter({
      name: 'coredns_reload_failed_total',
      help: 'Changed configurations that could not be used.',
    });
    registry.readGauges(
      {
        name: 'coredns_reload_version_info',
        help: 'Hash of the configuration followed.',
        constant: { hash: 'sha512' },
        label: 'value',
      },
      () => new Map([[this.#configDigest, 1]]),
    );
    addProcessMetrics(registry);
  }

  /** The books of the queries for names in one zone at one listening address, named as CoreDNS does: `dns://:53`, `.`. */
  queries(server: string, zone: string): QueryMetrics {
    return new QueryMetrics(this.#queries, server, zone);
  }

  /** The books of a cache of other servers' answers, for a block's listening address and the cache's zones. */
  cache(server: string, zones: string): CacheMetrics {
    return new CacheMetrics(this.#caches, server, zones);
  }

  /** Notes what is done in a zone at a listening address, under the names of CoreDNS' plugins. */
  notePlugins(server: string, zone: string, plugins: readonly string[]): void {
    for (const plugin of plugins) this.#plugins.of(server, zone, '', plugin).set(1);
  }

  /** Forgets what was noted before: none of it is done now. */
  forgetPlugins(): void {
    for (const sample of this.#plugins.samples()) sample.set(0);
  }

  /** Notes how long `/health` took to answer, in seconds; `undefined` when it did not. */
  observeHealth(seconds: number | undefined): void {
    if (seconds === undefined) this.#healthFailures.add();
    else this.#healthDuration.observe(seconds);
  }

  /** Counts what should not have happened. */
  countPanic(): void {
    this.#panics.add();
  }

  /** Notes which configuration is followed, by its SHA-512. */
  noteConfig(digest: string): void {
    this.#configDigest = digest;
  }

  /** Counts a changed configuration that could not be used. */
  countFailedReload(): void {
    this.#failedReloads.add();
  }

  /** Notes how long a change of a headless Service took to get here. */
  observeProgramming(seconds: number): void {
    this.#programming.of('headless_with_selector').observe(seconds);
  }
}

/** The metrics that queries are counted in, by labels of which the first are `server`, `zone` and `view`. */
interface QueryFamilies {
  readonly requests: Family<Counter>;
  readonly dnssecRequests: Family<Counter>;
  readonly responses: Family<Counter>;
  readonly requestSize: Family<Histogram>;
  readonly responseSize: Family<Histogram>;
  readonly duration: Family<Histogram>;
}

function queryFamilies(registry: MetricRegistry): QueryFamilies {
  const byZone = ['server', 'zone', 'view'];
  const byProtocol = [...byZone, 'proto'];
  const sizes = (name: string, help: string) => registry.histograms({ name, help, labels: byProtocol }, sizeBounds);
  return {
    requests: registry.counters({
      name: 'coredns_dns_requests_total',
      help: 'Queries that came, by family and type.',
      labels: [...byProtocol, 'family', 'type'],
    }),
    dnssecRequests: registry.counters({
      name: 'coredns_dns_do_requests_total',
      help: 'Queries that asked for DNSSEC records.',
      labels: byZone,
    }),
    responses: registry.counters({
      name: 'coredns_dns_responses_total',
      help: 'Answers given, by response code and by who had it.',
      labels: [...byZone, 'rcode', 'plugin'],
    }),
    requestSize: sizes('coredns_dns_request_size_bytes', 'Size of queries.'),
    responseSize: sizes('coredns_dns_response_size_bytes', 'Size of answers.'),
    duration: registry.histograms(
      {
        name: 'coredns_dns_request_duration_seconds',
        help: 'Time from a query to its answer.',
        labels: byZone,
      },
      secondsBounds,
    ),
  };
}

/** The books of the queries for names in one zone at one listening address. */
export class QueryMetrics {
  readonly #families: QueryFamilies;
  readonly #labels: readonly [server: string, zone: string, view: string];
  readonly #duration: Histogram;
  readonly #requestSamples = new Map<number, RequestSamples>();
  readonly #responseSamples = new Map<string, Counter>();

  constructor(families: QueryFamilies, server: string, zone: string) {
    this.#families = families;
    this.#labels = [server, zone, ''];
    this.#duration = families.duration.of(...this.#labels);
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
      responses = this.#families.responses.of(...this.#labels, rcodeName(exchange.rcode), exchange.source);
      this.#responseSamples.set(key, responses);
    }
    responses.add();
  }

  #requestSamplesOf({ client, type }: Exchange): RequestSamples {
    const known = countedTypes.has(type) ? type : 0;
    const key = (known << 2) | (client.transport === 'udp' ? 0 : 2) | (client.family === 'IPv4' ? 0 : 1);
    let samples = this.#requestSamples.get(key);
    if (samples === undefined) {
      const family = client.family === 'IPv4' ? '1' : '2';
      const { requests, dnssecRequests, requestSize, responseSize } = this.#families;
      const labels = [...this.#labels, client.transport] as const;
      samples = {
        requests: requests.of(...labels, family, countedTypes.get(known) ?? 'other'),
        dnssecRequests: dnssecRequests.of(...this.#labels),
        requestSize: requestSize.of(...labels),
        responseSize: responseSize.of(...labels),
      };
      this.#requestSamples.set(key, samples);
    }
    return samples;
  }
}
