import type { Pod } from '../api/generated/types.ts';
import type { Ip } from '../net/ip.ts';

/** The three kinds of lines of a resolv.conf: resolv.conf(5). */
export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  /** `name`, or `name:value`. */
  readonly options: readonly string[];
}

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

/** The file's text. */
export function formatResolvConf({ nameservers, searches, options }: ResolvConf): string {
  const lines = [];
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  for (const server of nameservers) lines.push(`nameserver ${server}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** Reads the text of a resolv.conf; the last of several `search` or `options` lines counts, as for the C library. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) nameservers.push(values[0]);
    if (keyword === 'search' || keyword === 'domain') searches = values.filter((domain) => domain !== '.');
    if (keyword === 'options') options = values;
  }
  return { nameservers, searches, options };
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
