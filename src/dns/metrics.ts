import { type Cell, type CellFamily, type HistogramCell, type HistogramFamily, MetricRegistry } from './exposition.ts';
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

/** The cells of one kind of exchange, found once. */
interface RequestCells {
  readonly requests: Cell;
  readonly dnssecRequests: Cell;
  readonly requestSize: HistogramCell;
  readonly responseSize: HistogramCell;
}

/** The metrics of the DNS server, under the names CoreDNS' users have on their dashboards. */
export class DnsMetrics {
  readonly registry = new MetricRegistry();
  readonly #server: string;
  readonly #requestCells = new Map<number, RequestCells>();
  readonly #responseCells = new Map<string, Cell>();
  readonly #requests: CellFamily;
  readonly #dnssecRequests: CellFamily;
  readonly #responses: CellFamily;
  readonly #requestSize: HistogramFamily;
  readonly #responseSize: HistogramFamily;
  readonly #duration: HistogramCell;
  readonly #cacheHits: CellFamily;
  readonly #cacheMisses: Cell;
  readonly #upstreamDuration: HistogramFamily;
  readonly #upstreamFailures: CellFamily;
  readonly #rejects: Cell;
  readonly #programming: HistogramFamily;

  /** `server` is the label CoreDNS gives: `dns://:53`. */
  constructor(server: string) {
    this.#server = server;
    const { registry } = this;
    const byProtocol = ['server', 'zone', 'view', 'proto'];
    this.#requests = registry.counter({
      name: 'coredns_dns_requests_total',
      help: 'Queries that came, by family and type.',
      labels: [...byProtocol, 'family', 'type'],
    });
    this.#dnssecRequests = registry.counter({
      name: 'coredns_dns_do_requests_total',
      help: 'Queries that asked for DNSSEC records.',
      labels: ['server', 'zone', 'view'],
    });
    this.#responses = registry.counter({
      name: 'coredns_dns_responses_total',
      help: 'Answers given, by response code and by who had it.',
      labels: ['server', 'zone', 'view', 'rcode', 'plugin'],
    });
    const sizes = (name: string, help: string) => registry.histogram({ name, help, labels: byProtocol }, sizeBounds);
    this.#requestSize = sizes('coredns_dns_request_size_bytes', 'Size of queries.');
    this.#responseSize = sizes('coredns_dns_response_size_bytes', 'Size of answers.');
    const duration = { name: 'coredns_dns_request_duration_seconds', help: 'Time from a query to its answer.' };
    this.#duration = registry
      .histogram({ ...duration, labels: ['server', 'zone', 'view'] }, secondsBounds)
      .cell(server, '.', '');
    const cached = { labels: ['server', 'type', 'zones', 'view'] };
    this.#cacheHits = registry.counter({
      ...cached,
      name: 'coredns_cache_hits_total',
      help: 'Answers from the cache.',
    });
    this.#cacheMisses = registry
      .counter({ name: 'coredns_cache_misses_total', help: 'Not in the cache.', labels: ['server', 'zones', 'view'] })
      .cell(server, '.', '');
    this.#upstreamDuration = registry.histogram(
      {
        name: 'coredns_proxy_request_duration_seconds',
        help: 'Time an upstream took to answer.',
        labels: ['proxy_name', 'to', 'rcode'],
      },
      secondsBounds,
    );
    this.#upstreamFailures = registry.counter({
      name: 'coredns_proxy_healthcheck_failures_total',
      help: 'Queries an upstream did not answer.',
      labels: ['proxy_name', 'to'],
    });
    this.#rejects = registry
      .counter({
        name: 'coredns_forward_max_concurrent_rejects_total',
        help: 'Queries refused because too many were under way.',
      })
      .cell();
    this.#programming = registry.histogram(
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
    const cells = this.#requestCellsOf(exchange);
    cells.requests.value++;
    if (exchange.dnssecOk) cells.dnssecRequests.value++;
    cells.requestSize.observe(exchange.requestSize);
    cells.responseSize.observe(exchange.responseSize);
    this.#duration.observe(exchange.seconds);
    const key = `${exchange.rcode}${exchange.source}`;
    let responses = this.#responseCells.get(key);
    if (responses === undefined) {
      responses = this.#responses.cell(this.#server, '.', '', rcodeName(exchange.rcode), exchange.source);
      this.#responseCells.set(key, responses);
    }
    responses.value++;
  }

  /** Counts an answer that was in the cache. */
  countCacheHit(isDenial: boolean): void {
    this.#cacheHits.cell(this.#server, isDenial ? 'denial' : 'success', '.', '').value++;
  }

  /** Counts one that was not. */
  countCacheMiss(): void {
    this.#cacheMisses.value++;
  }

  /** Counts an upstream's answer. */
  countUpstream(upstream: string, code: number, seconds: number): void {
    this.#upstreamDuration.cell('forward', upstream, rcodeName(code)).observe(seconds);
  }

  /** Counts an upstream's silence. */
  countUpstreamFailure(upstream: string): void {
    this.#upstreamFailures.cell('forward', upstream).value++;
  }

  /** Counts a query refused for want of room. */
  countReject(): void {
    this.#rejects.value++;
  }

  /** Notes how long a change of a headless Service took to get here. */
  observeProgramming(seconds: number): void {
    this.#programming.cell('headless_with_selector').observe(seconds);
  }

  #requestCellsOf({ client, type }: Exchange): RequestCells {
    const known = typeNames.has(type) ? type : 0;
    const key = (known << 2) | (client.transport === 'udp' ? 0 : 2) | (client.family === 'IPv4' ? 0 : 1);
    let cells = this.#requestCells.get(key);
    if (cells === undefined) {
      const family = client.family === 'IPv4' ? '1' : '2';
      const labels = [this.#server, '.', '', client.transport] as const;
      cells = {
        requests: this.#requests.cell(...labels, family, typeNames.get(known) ?? 'other'),
        dnssecRequests: this.#dnssecRequests.cell(this.#server, '.', ''),
        requestSize: this.#requestSize.cell(...labels),
        responseSize: this.#responseSize.cell(...labels),
      };
      this.#requestCells.set(key, cells);
    }
    return cells;
  }
}

function rcodeName(code: number): string {
  return rcodeNames[code] ?? String(code);
}
