import type { Node } from '../api/generated/types.ts';
import { zoneLabel } from '../api/well-known.ts';
import type { LocalTraffic, NodeFacts } from '../model/types.ts';
import { type Cidr, cidrContains, parseCidr } from '../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, isLoopback, tryParseIp } from '../net/ip.ts';
import type { ProxyConfig } from './config.ts';

/** What is known of the node this proxy runs on. */
export interface NodeSources {
  readonly name: string;
  /** The node's own object; `undefined` as long as nobody has made it. */
  readonly node: Node | undefined;
  /** Addresses of the cluster's other nodes, where they are followed. */
  readonly peers: readonly Ip[];
  /** Addresses of the node's devices; asked for only when the configuration names blocks for node ports. */
  readonly interfaceAddresses: () => readonly Ip[];
}

/** Where the cluster autoscaler says that a node is about to be removed. */
const autoscalerTaint = 'ToBeDeletedByClusterAutoscaler';

/** What the policies need to know of the node, from its object, its devices and the configuration. */
export function nodeFacts(sources: NodeSources, config: ProxyConfig): NodeFacts {
  return {
    name: sources.name,
    zone: sources.node?.metadata?.labels?.[zoneLabel],
    addresses: primaryAddresses(sources.node, config.bindAddress),
    nodePortAddresses: nodePortAddresses(sources, config),
    nodePortsEverywhere: families.filter((family) => takesAll(config.nodePortAddresses, family)),
    ...(sources.peers.length === 0 ? {} : { peerAddresses: sources.peers }),
    localTraffic: localTraffic(sources.node, config.localSources),
  };
}

function localTraffic(node: Node | undefined, sources: ProxyConfig['localSources']): LocalTraffic {
  switch (sources.mode) {
    case 'ClusterCIDR':
      return { by: 'source', blocks: sources.blocks };
    case 'NodeCIDR':
      return { by: 'source', blocks: podCidrs(node) };
    case 'BridgeInterface':
      return { by: 'interface', name: sources.name };
    case 'InterfaceNamePrefix':
      return { by: 'interface-prefix', prefix: sources.prefix };
  }
}

/** Whether balancers outside may send new connections to this node: it is not about to go. */
export function isEligible(node: Node | undefined): boolean {
  if (node?.metadata?.deletionTimestamp !== undefined) return false;
  return node?.spec?.taints?.some(({ key }) => key === autoscalerTaint) !== true;
}

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

function takesAll(blocks: ProxyConfig['nodePortAddresses'], family: IpFamily): boolean {
  return blocks !== 'primary' && blocks.some((block) => block.family === family && block.prefix === 0);
}

function nodePortAddresses({ node, interfaceAddresses }: NodeSources, config: ProxyConfig): Ip[] {
  const blocks = config.nodePortAddresses;
  if (blocks === 'primary') return primaryAddresses(node, config.bindAddress);
  const within = interfaceAddresses().filter(
    (ip) => (!isLoopback(ip) || servesLoopback(config, ip)) && blocks.some((block) => cidrContains(block, ip)),
  );
  return [...new Set(within)].sort();
}

/** Only the iptables mode makes the kernel route loopback addresses, which it can for IPv4 alone. */
function servesLoopback({ mode, iptables }: ProxyConfig, ip: Ip): boolean {
  return mode === 'iptables' && iptables.localhostNodePorts && familyOf(ip) === 'IPv4';
}

/** Every address that the Node object has, in the order of their kinds: internal ones first. */
export function statusAddresses(node: Node | undefined): Ip[] {
  const all = node?.status?.addresses ?? [];
  return ['InternalIP', 'ExternalIP'].flatMap((kind) =>
    all.filter(({ type }) => type === kind).flatMap(({ address }) => tryParseIp(address) ?? []),
  );
}

/**
 * One address of each family: the first internal address of the Node object, else its first external one. What the
 * user set in their place counts for its family.
 */
function primaryAddresses(node: Node | undefined, bindAddress: Ip | undefined): Ip[] {
  const byFamily = new Map<IpFamily, Ip>();
  for (const ip of [...(bindAddress === undefined ? [] : [bindAddress]), ...statusAddresses(node)]) {
    if (!byFamily.has(familyOf(ip))) byFamily.set(familyOf(ip), ip);
  }
  return [...byFamily.values()];
}

function podCidrs(node: Node | undefined): Cidr[] {
  const { podCIDR, podCIDRs = podCIDR === undefined ? [] : [podCIDR] } = node?.spec ?? {};
  return podCIDRs.map(parseCidr);
}
