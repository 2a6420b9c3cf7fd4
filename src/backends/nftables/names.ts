/**
 * The names of everything in the table. They are for people who list the ruleset, and no interface: others must not
 * add to, change or rely on any of it.
 */

/** Tables `ip signalbox` and `ip6 signalbox`. */
export const tableName = 'signalbox';

/** Sets and maps, in the order of listings. A *frontend* is `address . protocol . port` that clients send to. */
export const setNames = {
  /** frontends with an endpoint, be it for some clients only */
  services: 'services',
  /** frontends that lead clients inside the cluster elsewhere; what they have for those is in sets `inside-…` */
  inside: 'inside',
  /** addresses that are cluster IPs of a Service, whatever its ports */
  clusterIps: 'cluster-ips',
  /** frontends for clients in some blocks only */
  restricted: 'restricted',
  /** frontends with session affinity */
  sticky: 'sticky',
  /** frontend → the one of the same Service port under whose name clients are remembered */
  serviceOf: 'service-of',
  /** service . client → the endpoint it went to last: the kernel's own memory */
  affinity: 'affinity',
  /** frontends whose clients all, or all but Pods, appear as the node to the endpoint */
  masqueradeAlways: 'masquerade-always',
  masqueradeOffCluster: 'masquerade-off-cluster',
  /** the same of clients inside, where they are led elsewhere; and of the others there */
  insideMasqueradeAlways: 'inside-masquerade-always',
  insideMasqueradeOffCluster: 'inside-masquerade-off-cluster',
  masqueradeOutside: 'masquerade-outside',
  /** endpoint address . the same: a Pod that was sent back to itself */
  hairpin: 'hairpin',
  /** the Pods' blocks of addresses */
  localSources: 'local-sources',
} as const;

/** Where a frontend leads some clients: those it does not lead elsewhere, or those inside the cluster. */
export type Side = 'any' | 'inside';

export const sides: readonly Side[] = ['any', 'inside'];

/** The sets and maps that there are for each side. */
export const sideNames = {
  any: sideSetNames(''),
  inside: sideSetNames('inside-'),
} as const;

function sideSetNames(prefix: string) {
  return {
    /** frontend . index → endpoint address . port; indices from 0 to below the number of endpoints */
    endpoints: `${prefix}endpoints`,
    /** frontends without endpoint that are refused, and those that are left without answer */
    reject: `${prefix}no-endpoints-reject`,
    drop: `${prefix}no-endpoints-drop`,
    /** frontend . endpoint, of frontends with session affinity: clients may go on to those */
    stickyEndpoints: `${prefix}sticky-endpoints`,
    /** The chain that draws one of `size` indices, and the set of frontends for which it does. */
    draw: (size: number) => `${prefix}draw-${size}`,
  };
}

/** The set of frontends that remember a client for so many seconds. */
export function stickyName(seconds: number): string {
  return `sticky-${seconds}`;
}

/** The set of frontend . block of clients that may send there, for blocks of this prefix length. */
export function sourcesName(prefix: number): string {
  return `sources-${prefix}`;
}

/** Chains that are entered by a hook, and what they jump to. */
export const chainNames = {
  natPrerouting: 'nat-prerouting',
  natOutput: 'nat-output',
  natPostrouting: 'nat-postrouting',
  filterInput: 'filter-input',
  filterForward: 'filter-forward',
  filterOutput: 'filter-output',
  services: 'services',
  nodeServices: 'node-services',
  insideServices: 'inside-services',
  insideMasquerade: 'inside-masquerade',
  sticky: 'sticky',
  insideSticky: 'inside-sticky',
  remember: 'remember',
  unanswered: 'unanswered',
  insideUnanswered: 'inside-unanswered',
  refuse: 'refuse',
} as const;

/** What owners of the same frontend, cluster IP or hairpin share: see `ElementGroup.claim`. */
export const claimNames = {
  frontend: (ip: string, protocol: string, port: number): string => `${ip} ${protocol} ${port}`,
  clusterIp: (ip: string): string => `${setNames.clusterIps} ${ip}`,
  hairpin: (ip: string): string => `${setNames.hairpin} ${ip}`,
};
