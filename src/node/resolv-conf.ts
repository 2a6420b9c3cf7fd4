import type { Pod } from '../api/generated/types.ts';
import type { Ip } from '../net/ip.ts';
import type { ResolvConf } from '../net/resolv-conf.ts';

/** What a Pod's resolv.conf is made from, beside the Pod. */
export interface ResolvConfSource {
  readonly clusterDns: readonly Ip[];
  readonly clusterDomain: string;
  /** The host's. */
  readonly host: ResolvConf;
}

/** As many as the C library and Kubernetes take. */
const limits = { nameservers: 3, searches: 32, searchChars: 2048 };

/**
 * The resolver configuration of a Pod, by its `dnsPolicy` and `dnsConfig`. What exceeds the limits (3 name servers, 32
 * search domains of 2048 characters together) is left out from the end.
 */
export function podResolvConf(pod: Pod, source: ResolvConfSource): ResolvConf {
  const base = byPolicy(pod, source);
  const { nameservers = [], searches = [], options = [] } = pod.spec?.dnsConfig ?? {};
  const added = options.map(({ name = '', value }) => (value === undefined ? name : `${name}:${value}`));
  return {
    nameservers: distinct([...base.nameservers, ...nameservers]).slice(0, limits.nameservers),
    searches: shortened(distinct([...base.searches, ...searches])),
    options: overridden([...base.options, ...added]),
  };
}

function byPolicy(pod: Pod, { clusterDns, clusterDomain, host }: ResolvConfSource): ResolvConf {
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'None') return { nameservers: [], searches: [], options: [] };
  // A Pod in the node's network has the node's DNS unless it asks for the cluster's.
  const own = policy === 'ClusterFirst' && pod.spec?.hostNetwork === true;
  if (policy === 'Default' || own || clusterDns.length === 0) return host;
  const namespace = pod.metadata?.namespace ?? 'default';
  return {
    nameservers: clusterDns,
    searches: [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...host.searches],
    options: ['ndots:5'],
  };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

function shortened(searches: readonly string[]): string[] {
  let room = limits.searchChars;
  return searches.slice(0, limits.searches).filter((domain) => {
    room -= domain.length + 1;
    return room >= 0;
  });
}

/** Of options with the same name the last one counts, in the place of the first. */
function overridden(options: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const option of options) byName.set(option.split(':', 1)[0] ?? '', option);
  return [...byName.values()];
}
