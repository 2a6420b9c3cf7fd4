import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { ServerAddress } from '../forward/address.ts';
import type { Name } from '../wire/name.ts';

/** What the DNS server is to do, whichever file says it. Times are milliseconds, lives of records seconds. */
export interface DnsConfig extends ApiAccess {
  /** At least one. A query belongs to the block of its listening address whose zone is the nearest to its name. */
  readonly servers: readonly ServerBlock[];
  /** `/health`; without it there is no such page. */
  readonly health: HealthSettings | undefined;
  /** `/ready`; without it there is no such page. */
  readonly ready: HttpAddress | undefined;
  /** `/metrics`, the same at each address. */
  readonly metrics: readonly HttpAddress[];
  /** How the configuration's file is watched; without it, it is read once. */
  readonly reload: ReloadSettings | undefined;
  /** Processes that answer, this one among them. */
  readonly workers: number;
  /** The largest UDP answer, in octets. */
  readonly maxUdpSize: number;
}

/** Where the cluster's API is; where nothing is said of it, the environment decides. */
export interface ApiAccess {
  /** Path. */
  readonly kubeconfig: string | undefined;
  /** Which of its contexts; without it, the current one. */
  readonly context: string | undefined;
  /** The API server, where it is named instead of a kubeconfig. */
  readonly apiServer: ApiServerSettings | undefined;
}

/** How an API server is reached. */
export interface ApiServerSettings {
  /** URL. */
  readonly server: string;
  /** URLs of the same API, for when `server` cannot be reached. */
  readonly otherServers: readonly string[];
  /** Paths of PEM files; without them nothing is shown, and the authorities this machine trusts are trusted. */
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly caFile: string } | undefined;
}

/** Where an HTTP page is served; on all addresses when none is named. */
export interface HttpAddress {
  readonly ip: Ip | undefined;
  readonly port: number;
}

/** `/health`, and how long to go on serving when told to stop, while `/ready` answers 503. */
export interface HealthSettings extends HttpAddress {
  readonly lameduckMs: number;
}

/** A file is looked at every `intervalMs`, give or take up to `jitterMs`. */
export interface ReloadSettings {
  readonly intervalMs: number;
  readonly jitterMs: number;
}

/** Plain DNS over UDP and TCP, or DNS over TLS (RFC 7858). */
export type DnsTransport = 'dns' | 'tls';

/** Where DNS is served. */
export interface ListenAddress {
  /** All addresses of the machine, IPv4 and IPv6 as far as it has them, when none is named. */
  readonly ip: Ip | undefined;
  readonly port: number;
  readonly transport: DnsTransport;
}

/**
 * What is done for the names of some zones at some addresses. Who answers is tried in the order that
 * `handlers/order.ts` declares.
 */
export interface ServerBlock {
  /** At least one; the root is all names. */
  readonly zones: readonly Name[];
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** The certificate shown where the transport is TLS. */
  readonly tls: ServerTlsSettings | undefined;
  /** That failures are logged, and how. */
  readonly errors: ErrorsSettings | undefined;
  /** Which queries are logged; the first rule that has the name in a zone decides. */
  readonly log: readonly LogRule[];
  /** Whether the addresses of an answer take turns at being first. */
  readonly loadbalance: boolean;
  /** Whether upstreams are probed for sending queries back to this server. */
  readonly loop: boolean;
  readonly hosts: HostsSettings | undefined;
  readonly cache: CacheSettings | undefined;
  readonly kubernetes: KubernetesSettings | undefined;
  /** The one whose zone is the nearest to the one asked for decides, and of several such the first. */
  readonly transfer: readonly TransferRule[];
  /** Of those that take a name, the one whose zone is the nearest to it is asked. */
  readonly forward: readonly ForwardSettings[];
}

/** Paths of PEM files. */
export interface ServerTlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  /** Whose certificates clients must show; without it none is asked for. */
  readonly clientCaFile: string | undefined;
}

/** How failures are logged. */
export interface ErrorsSettings {
  /** Failures whose message fits a pattern are counted and told once each interval; the first that fits takes it. */
  readonly consolidate: readonly {
    readonly intervalMs: number;
    readonly pattern: RegExp;
    readonly level: 'error' | 'warn' | 'info' | 'debug';
    /** Whether the first of an interval is told at once. */
    readonly showFirst: boolean;
  }[];
}

/** What came of a query, as CoreDNS' log sorts them. */
export type ResponseClass = 'success' | 'denial' | 'error';

/** Queries of some zones and classes, and the line logged of each. */
export interface LogRule {
  readonly zones: readonly Name[];
  /** CoreDNS' replacers, such as `{remote}` and `{rcode}`, in a text. */
  readonly format: string;
  /** Empty for all. */
  readonly classes: readonly ResponseClass[];
}

/** Names of a file in the form of `/etc/hosts`, and of the configuration itself. */
export interface HostsSettings {
  /** Path; without it there are the inline lines alone. */
  readonly file: string | undefined;
  /** Lines as in the file. */
  readonly inline: readonly string[];
  /** The zones answered for. */
  readonly zones: readonly Name[];
  /** Life of the records, in seconds. */
  readonly ttl: number;
  /** Whether addresses are answered with their names. */
  readonly reverse: boolean;
  /** How often the file is looked at; 0 for once. */
  readonly reloadMs: number;
  /** Zones whose names, where the file has none, are left to the next; names of no such zone fail. */
  readonly fallthrough: readonly Name[];
}

/** How answers of other servers are kept. Answers of the cluster's own zones never are. */
export interface CacheSettings {
  /** Answers about names in these are kept. */
  readonly zones: readonly Name[];
  readonly success: CacheBounds;
  readonly denial: CacheBounds;
  /** Life of a failure, in milliseconds; 0 for none. */
  readonly servfailMs: number;
  /** Answers asked for often are asked again before they expire. */
  readonly prefetch: PrefetchSettings | undefined;
  /** Expired answers are given while upstreams do not answer. */
  readonly serveStale: ServeStaleSettings | undefined;
  /** Zones whose answers, or denials, are not kept. */
  readonly disableSuccess: readonly Name[];
  readonly disableDenial: readonly Name[];
  /** Whether answers keep the life they came with, however old they are. */
  readonly keepTtl: boolean;
}

/** Answers of one kind: how many, and for how many seconds at most and at least. */
export interface CacheBounds {
  readonly capacity: number;
  readonly maxTtl: number;
  readonly minTtl: number;
}

/** Asked `amount` times with no gap longer than `durationMs`, and less than `percentage` of its life left. */
export interface PrefetchSettings {
  readonly amount: number;
  readonly durationMs: number;
  readonly percentage: number;
}

/** For how long after its end an answer may be given; first after asking (`verify`), or before (`immediate`). */
export interface ServeStaleSettings {
  readonly durationMs: number;
  readonly refresh: 'verify' | 'immediate';
  /** How long `verify` waits for the upstream before it gives the old answer; 0: for its failure. */
  readonly verifyTimeoutMs: number;
}

/** How a cluster's names are served. */
export interface KubernetesSettings {
  /** Cluster domains, of which at least one, and reverse zones (`in-addr.arpa`, `ip6.arpa`, or parts of them). */
  readonly zones: readonly Name[];
  /** Life of the records, in seconds. */
  readonly ttl: number;
  /**
   * Whether `a-b-c-d.NAMESPACE.pod.DOMAIN` answers with the address it spells: never, always, or where a Pod of that
   * namespace has it.
   */
  readonly pods: 'disabled' | 'insecure' | 'verified';
  /** Whether endpoints without hostname are named after their Pod instead of their address. */
  readonly endpointPodNames: boolean;
  /** The namespaces served; empty for all. */
  readonly namespaces: readonly string[];
  /** Label selector of the namespaces served, in the API's text form. */
  readonly namespaceLabels: string | undefined;
  /** Label selector of the Services served, in the API's text form. */
  readonly labels: string | undefined;
  /** Whether endpoints are left out, so that headless Services have no records. */
  readonly noEndpoints: boolean;
  /** Whether a Service with a cluster IP but without ready endpoints does not exist. */
  readonly ignoreEmptyService: boolean;
  /** Zones whose names, where the cluster has none, are left to the next; the root for all of `zones`. */
  readonly fallthrough: readonly Name[];
  /** `namespace/name` of the Service by which clients reach this server. */
  readonly nameServer: string;
}

/** Who may have zones as a whole (AXFR, RFC 5936). */
export interface TransferRule {
  /** The zones and those below. */
  readonly zones: readonly Name[];
  /** Clients by blocks of addresses; `*` for everybody. */
  readonly to: readonly Cidr[] | '*';
  /** Servers that are told of changes (NOTIFY, RFC 1996). */
  readonly notify: readonly ServerAddress[];
}

/** Another server, or the resolv.conf that names some. */
export type ForwardTarget =
  | {
      readonly kind: 'server';
      readonly ip: Ip;
      readonly port: number;
      readonly transport: DnsTransport;
      /** The name its certificate must have, in place of that of the settings. */
      readonly serverName?: string;
    }
  | { readonly kind: 'resolvConf'; readonly path: string };

/** Which names are asked of whom, and how. */
export interface ForwardSettings {
  /** The names asked for: of this zone, and of none of the others. */
  readonly from: Name;
  readonly except: readonly Name[];
  /** At least one, unless other names are to be refused. */
  readonly to: readonly ForwardTarget[];
  /** For targets whose transport is TLS. */
  readonly tls: ClientTlsSettings;
  readonly policy: 'random' | 'round_robin' | 'sequential';
  /** Failed health checks after which an upstream is passed over; 0: it never is. */
  readonly maxFails: number;
  /** Between health checks of an upstream that failed. */
  readonly healthCheckMs: number;
  /** Whether health checks ask for recursion, and the name they ask for. */
  readonly healthCheckRecursion: boolean;
  readonly healthCheckDomain: Name;
  /** How long a connection may be idle before it is closed. */
  readonly expireMs: number;
  /** Questions under way; more are refused. 0: bounded by the server's own limit alone. */
  readonly maxConcurrent: number;
  /** Whether upstreams are asked over TCP only, or over UDP even for clients that came over TCP. */
  readonly forceTcp: boolean;
  readonly preferUdp: boolean;
  /** Response codes for which the next upstream is asked too, besides those that are failures. */
  readonly failover: readonly number[];
  /** Whether questions fail at once while all upstreams are down, instead of being sent to one of them. */
  readonly failFast: boolean;
  /** Response codes, and whether also answers without records, for which the block's next `forward` is asked. */
  readonly next: readonly number[];
  readonly nextOnNoData: boolean;
}

/** Paths of PEM files, and what upstreams' certificates must say. */
export interface ClientTlsSettings {
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** Instead of the certificate authorities the machine trusts. */
  readonly caFile: string | undefined;
  /** Without it the certificate must name the address. */
  readonly serverName: string | undefined;
}
