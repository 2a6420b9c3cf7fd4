import type { Pod } from '../api/generated/types.ts';
import type { Ip } from '../net/ip.ts';

const header = '# Kubernetes-managed hosts file';
const localNames = [
  ['127.0.0.1', 'localhost'],
  ['::1', 'localhost ip6-localhost ip6-loopback'],
  ['fe00::0', 'ip6-localnet'],
  ['fe00::0', 'ip6-mcastprefix'],
  ['fe00::1', 'ip6-allnodes'],
  ['fe00::2', 'ip6-allrouters'],
] as const;

/** The longest name a Linux host can have, and a DNS label. */
const maxHostname = 63;

/** The host name a Pod's containers see: `hostname` of the Pod or its name, cut to what a host name may be. */
export function podHostname(pod: Pod): string {
  const name = pod.spec?.hostname ?? '';
  const full = name === '' ? (pod.metadata?.name ?? '') : name;
  return full.slice(0, maxHostname).replace(/[-.]+$/, '');
}

/** The Pod's name in DNS where `hostname` and `subdomain` give it one. */
function podDomainName(pod: Pod, clusterDomain: string): string | undefined {
  const { subdomain = '' } = pod.spec ?? {};
  if (subdomain === '') return undefined;
  return `${podHostname(pod)}.${subdomain}.${pod.metadata?.namespace ?? 'default'}.svc.${clusterDomain}`;
}

/**
 * The text of a Pod's /etc/hosts. Of a Pod in the node's network it is the node's own file and `hostAliases`, else the
 * local names, the Pod's addresses with its names, and `hostAliases`.
 */
export function podHostsFile(
  pod: Pod,
  {
    ips,
    clusterDomain,
    hostFile,
  }: { readonly ips: readonly Ip[]; readonly clusterDomain: string; readonly hostFile: string },
): string {
  const aliases = (pod.spec?.hostAliases ?? []).map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join('\t')}`);
  const added = aliases.length === 0 ? [] : ['', '# Entries added by HostAliases.', ...aliases];
  if (pod.spec?.hostNetwork === true) return lines([`${header} (host network).`, hostFile.trimEnd(), ...added]);
  const names = [podDomainName(pod, clusterDomain), podHostname(pod)].filter((name) => name !== undefined);
  return lines([
    `${header}.`,
    ...localNames.map(([ip, name]) => `${ip}\t${name}`),
    ...ips.map((ip) => `${ip}\t${names.join('\t')}`),
    ...added,
  ]);
}

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join('');
}
