import { type Name, parseName, rootName } from '../wire/name.ts';
import type { CacheSettings, ForwardSettings, KubernetesSettings } from './types.ts';

/** More processes than any machine a cluster's DNS runs on has processors to spare. */
export const maxWorkers = 64;

/** Where the names of IPv4 addresses are (RFC 1035 §3.5). */
export const ipv4Zone = parseName('in-addr.arpa') as Name;
/** Where the names of IPv6 addresses are (RFC 3596 §2.5). */
export const ipv6Zone = parseName('ip6.arpa') as Name;
/** The zones of addresses' names. */
export const reverseZones: readonly Name[] = [ipv4Zone, ipv6Zone];

/** What holds where nothing else is said; zones and targets always are. */
export const kubernetesDefaults: Omit<KubernetesSettings, 'zones' | 'fallthrough'> = {
  // As long as clients may keep what has gone; it is what CoreDNS gives too.
  ttl: 5,
  pods: 'disabled',
  endpointPodNames: false,
  namespaces: [],
  namespaceLabels: undefined,
  labels: undefined,
  noEndpoints: false,
  ignoreEmptyService: false,
  nameServer: 'kube-system/kube-dns',
};

/** CoreDNS' figures. */
export const cacheDefaults: Omit<CacheSettings, 'zones'> = {
  success: { capacity: 9984, maxTtl: 3600, minTtl: 5 },
  denial: { capacity: 9984, maxTtl: 1800, minTtl: 5 },
  servfailMs: 5_000,
  prefetch: undefined,
  serveStale: undefined,
  disableSuccess: [],
  disableDenial: [],
  keepTtl: false,
};

/** CoreDNS' figures. */
export const forwardDefaults: Omit<ForwardSettings, 'from' | 'to'> = {
  except: [],
  tls: { certFile: undefined, keyFile: undefined, caFile: undefined, serverName: undefined },
  policy: 'random',
  maxFails: 2,
  healthCheckMs: 500,
  healthCheckRecursion: true,
  healthCheckDomain: rootName,
  expireMs: 10_000,
  maxConcurrent: 0,
  forceTcp: false,
  preferUdp: false,
  failover: [],
  failFast: false,
  next: [],
  nextOnNoData: false,
};

/** What passes any link unfragmented: the figure DNS servers have agreed on in 2020. */
export const defaultUdpSize = 1232;
