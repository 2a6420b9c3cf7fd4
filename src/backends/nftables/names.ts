/**
 * The names of everything in the table. They are for people who list the ruleset, and no interface: others must not
 * add to, change or rely on any of it.
 */

/** Tables `ip signalbox` and `ip6 signalbox`. */
export const tableName = 'signalbox';

/** Sets and maps, in the order of listings. A *frontend* is `address . protocol . port` that clients send to. */
export const setNames = {
  /** frontends with an endpoint; each is also in one of the sets `drawName` */
  services: 'services',
  /** frontend . index → endpoint address . port; indices from 0 to below the number of endpoints */
  endpoints: 'endpoints',
  /** frontends without endpoint that are refused, and those that are left without answer */
  reject: 'no-endpoints-reject',
  drop: 'no-endpoints-drop',
  /** addresses that are cluster IPs of a Service, whatever its ports */
  clusterIps: 'cluster-ips',
  /** frontends whose clients all, or all but Pods, appear as the node to the endpoint */
  masqueradeAlways: 'masquerade-always',
  masqueradeOffCluster: 'masquerade-off-cluster',
  /** endpoint address . the same: a Pod of this node that was sent back to itself */
  hairpin: 'hairpin',
  /** the Pods' blocks of addresses */
  localSources: 'local-sources',
} as const;

/** Chains that are entered by a hook, and what they jump to. */
export const chainNames = {
  natPrerouting: 'nat-prerouting',
  natOutput: 'nat-output',
  natPostrouting: 'nat-postrouting',
  filterInput: 'filter-input',
  filterForward: 'filter-forward',
  filterOutput: 'filter-output',
  services: 'services',
  unanswered: 'unanswered',
  refuse: 'refuse',
} as const;

/** The chain that draws one of `size` indices, and the set of frontends for which it does. */
export function drawName(size: number): string {
  return `draw-${size}`;
}

/** What owners of the same frontend, cluster IP or hairpin share: see `ElementGroup.claim`. */
export const claimNames = {
  frontend: (ip: string, protocol: string, port: number): string => `${ip} ${protocol} ${port}`,
  clusterIp: (ip: string): string => `${setNames.clusterIps} ${ip}`,
  hairpin: (ip: string): string => `${setNames.hairpin} ${ip}`,
};
