import type { Ip } from '../net/ip.ts';

/** What an election reads of a node. */
export interface NodeFacts {
  readonly name: string;
  /** Ready, not about to go, and not excluded from balancing. */
  readonly eligible: boolean;
  /** Addresses by which the node can be told from others. */
  readonly addresses: readonly Ip[];
}

/** What an election reads of a Service that has an address. */
export interface Claim {
  /** `namespace/name` */
  readonly service: string;
  /** Names of the nodes that have endpoints, under the policy `Local`; absent: every node may. */
  readonly onlyOn?: ReadonlySet<string>;
}

/**
 * How much a node is wanted for an address: a number that both sides of a dispute come to without asking anybody
 * (rendezvous hashing). Addresses spread over the nodes, and the leaving of a node moves no other node's addresses.
 */
function score(node: string, address: Ip): number {
  // FNV-1a over the text, then the mixing of MurmurHash3, without which near names would have near scores.
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${node}\0${address}`)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Whether `a` is wanted more than `b`. Of two different nodes exactly one is wanted more. */
export function outranks(a: string, b: string, address: Ip): boolean {
  const [scoreA, scoreB] = [score(a, address), score(b, address)];
  return scoreA === scoreB ? a < b : scoreA > scoreB;
}

/**
 * The nodes that may announce an address, most wanted first. Services that share the address under `Local` may have
 * endpoints on different nodes: then those nodes may that serve the most of them.
 */
export function rankNodes(address: Ip, claims: readonly Claim[], nodes: Iterable<NodeFacts>): string[] {
  const restricted = claims.flatMap(({ onlyOn }) => (onlyOn === undefined ? [] : [onlyOn]));
  const served = (name: string) => restricted.filter((names) => names.has(name)).length;
  const eligible = [...nodes].filter((node) => node.eligible).map(({ name }) => name);
  const most = Math.max(0, ...eligible.map(served));
  if (restricted.length > 0 && most === 0) return [];
  return eligible.filter((name) => served(name) === most).sort((a, b) => (outranks(a, b, address) ? -1 : 1));
}
