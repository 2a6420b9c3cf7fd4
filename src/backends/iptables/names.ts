import { createHash } from 'node:crypto';
import type { Protocol } from '../../net/port.ts';
import type { TableName } from '../../rules/iptables/syntax.ts';

/**
 * Names of chains, which are kube-proxy's own: rules that it left are taken over, and people find what they know. They
 * are no interface all the same: others must not add to, change or rely on any chain but `KUBE-MARK-MASQ`, which other
 * programs have always jumped to.
 */
export const chainNames = {
  services: 'KUBE-SERVICES',
  externalServices: 'KUBE-EXTERNAL-SERVICES',
  nodePorts: 'KUBE-NODEPORTS',
  postrouting: 'KUBE-POSTROUTING',
  markMasquerade: 'KUBE-MARK-MASQ',
  /** Marks what does not come from the Pods' blocks of addresses; there only if those are several. */
  markOffCluster: 'KUBE-MARK-MASQ-OFF-CLUSTER',
  forward: 'KUBE-FORWARD',
  firewall: 'KUBE-PROXY-FIREWALL',
  /** Stands for the whole of a table: gone if somebody has emptied it. */
  canary: 'KUBE-PROXY-CANARY',
} as const;

const shared: { readonly [T in TableName]: ReadonlySet<string> } = {
  mangle: new Set(),
  nat: new Set([chainNames.services, chainNames.nodePorts]),
  filter: new Set([chainNames.services, chainNames.externalServices, chainNames.nodePorts, chainNames.firewall]),
};

/** Whether a chain is one that Service ports have rules in. */
export function isSharedChain(table: TableName, chain: string): boolean {
  return shared[table].has(chain);
}

/** What a chain of one Service port is for. */
export type ServiceChain =
  /** Chooses among the endpoints, of the whole cluster or of this node. */
  | 'SVC'
  | 'SVL'
  /** Where all addresses for outside lead. */
  | 'EXT'
  /** Lets the clients of a balancer's address through that may pass. */
  | 'FW'
  /** One endpoint. */
  | 'SEP';

/**
 * The name of a chain of a Service port, the first 16 digits of a base-32 SHA-256 in it, so that it fits in the 28
 * characters there are. Equal input is an equal name, on every node and in every version.
 * @param of one more thing that tells the chain from others of its kind: for `SEP` the endpoint, `10.244.1.2:8080`
 */
export function serviceChainName(kind: ServiceChain, port: { name: string; protocol: Protocol }, of = ''): string {
  const hash = createHash('sha256').update(`${port.name}${port.protocol.toLowerCase()}${of}`).digest();
  return `KUBE-${kind}-${base32(hash.subarray(0, 10))}`;
}

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** RFC 4648, of whole groups of five bytes. */
function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += digits[(value >> (bits - 5)) & 31];
  }
  return text;
}

/** Chains that every node has. In other tables chains of these names are somebody else's: ipvs mode has some in `mangle`. */
const ofEveryNode: { readonly [T in TableName]: ReadonlySet<string> } = {
  mangle: new Set([chainNames.canary]),
  nat: new Set([
    ...shared.nat,
    ...[chainNames.postrouting, chainNames.markMasquerade, chainNames.markOffCluster, chainNames.canary],
  ]),
  filter: new Set([...shared.filter, chainNames.forward, chainNames.canary]),
};

/** Whether a chain is one that this mode makes, or that an earlier version of kube-proxy made for Services. */
export function isOwnChain(name: string, table: TableName): boolean {
  return ofEveryNode[table].has(name) || /^KUBE-(?:SVC|SVL|EXT|FW|SEP|XLB)-[A-Z2-7]{16}$/.test(name);
}

/** Chains that ipvs mode has too, by the same names in the same tables. */
const sharedWithIpvs: { readonly [T in TableName]: ReadonlySet<string> } = {
  mangle: new Set(),
  nat: new Set([chainNames.services, chainNames.markMasquerade, chainNames.postrouting]),
  filter: new Set([chainNames.forward]),
};

/** Whether a chain is one of this mode's own that ipvs mode has none of. */
export function isOfNoOtherMode(name: string, table: TableName): boolean {
  return isOwnChain(name, table) && !sharedWithIpvs[table].has(name);
}
