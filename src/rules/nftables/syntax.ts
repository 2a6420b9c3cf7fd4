import type { Ip } from '../../net/ip.ts';

/**
 * The part of nft's language that Signalbox speaks, as values. Words are nft's own (nft(8)); what no rule of ours
 * needs is not in here.
 */

/** nft's name of an address family. A table of family `ip` never sees an IPv6 packet, nor the other way round. */
export type TableFamily = 'ip' | 'ip6';

/** Where a table stands: `table ip signalbox`. */
export interface TableName {
  readonly family: TableFamily;
  readonly table: string;
}

/** One property of a packet that a rule can load, or a random number; the types of sets are told by them too. */
export type TypeSelector =
  | 'ip saddr'
  | 'ip daddr'
  | 'ip6 saddr'
  | 'ip6 daddr'
  | 'meta l4proto'
  | 'th dport'
  | RandomNumber;

/** What a rule can load: of the packet as it is, part of its source, or of what its connection was first sent to. */
export type Selector =
  | TypeSelector
  | MaskedSource
  | 'th sport'
  | 'ct original ip daddr'
  | 'ct original ip6 daddr'
  | 'ct original proto-dst';

/** The source without the bits that are not in the mask, an address: `ip saddr & 255.255.255.0`. */
export type MaskedSource = `${'ip' | 'ip6'} saddr & ${string}`;

/** Another whole number from 0 to below the modulus each time it is looked at. */
type RandomNumber = `numgen random mod ${number}`;

/** Selectors side by side, `ip daddr . meta l4proto . th dport`: what a set or map is asked for. At least one. */
export type Key = readonly Selector[];

/** A transport protocol as nft spells it. */
export type TransportProtocol = 'tcp' | 'udp' | 'sctp';

/** A block of addresses, `10.244.0.0/16`, in a set with intervals. */
export type Block = `${string}/${number}`;

/** One component of an element: an address, a block, a protocol, or a port or other number. */
export type Value = Ip | Block | TransportProtocol | number;

/** One element of a set, or of a map when it has `data`. */
export interface Element {
  /** Name of the set or map. */
  readonly set: string;
  /** One value for each selector of the set's key. */
  readonly key: readonly Value[];
  readonly data?: readonly Value[];
  /** At most 128 bytes; shown in listings. */
  readonly comment?: string;
}

/** A named set, or a map when it has `data`. Its types are those of the selectors (`typeof` in nft). */
export interface SetDeclaration {
  readonly name: string;
  /** Empty, and so is `data`, in a set that somebody else put into the table with types that are not ours. */
  readonly key: readonly TypeSelector[];
  readonly data?: readonly TypeSelector[];
  /** Elements are blocks (`flags interval`). Only for keys of one selector. */
  readonly interval?: true;
  /**
   * Packets put elements in, each for a time (`flags dynamic,timeout`), at most so many. Such elements are the
   * kernel's own: programs, their differences and comparisons leave them out.
   */
  readonly dynamic?: { readonly size: number };
}

/** What a rule is told of a memory of clients, and of who asks: see the statements that have one. */
interface Recall {
  readonly family: TableFamily;
  /**
   * Map from what clients send to, protocol . address . port, to what they are remembered under, in the same order:
   * so several such places share what is remembered. What is not in there has no memory.
   */
  readonly services: string;
  /** Dynamic map from protocol . address . port . client, by what `services` says, to protocol . address . port. */
  readonly memory: string;
}

/** A match lets the packet go on to the rule's next statement or ends the rule; the others act on the packet. */
export type Statement =
  /** `ip daddr . th dport @name`, negated: `ip saddr != @name` */
  | { readonly kind: 'lookup'; readonly key: Key; readonly set: string; readonly negated?: true }
  | { readonly kind: 'meta l4proto'; readonly protocol: TransportProtocol }
  /** `iifname "cni0"`, by prefix `iifname "veth*"`, negated `iifname != "cni0"` */
  | { readonly kind: 'iifname'; readonly name: string; readonly prefix?: true; readonly negated?: true }
  /** `iif 0`: it came in by no device, as a process of this node sent it; negated `iif != 0` */
  | { readonly kind: 'from node'; readonly negated?: true }
  | { readonly kind: 'ct state'; readonly state: 'new' }
  /** `ct status dnat`, negated: `ct status ! dnat` */
  | { readonly kind: 'ct status'; readonly status: 'dnat'; readonly negated?: true }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'drop' }
  /** Connection tracking passes the packet over, if it has not had it yet: only before priority -200. */
  | { readonly kind: 'notrack' }
  /** Answers with ICMP port unreachable; with a TCP reset only TCP packets match, others go on. */
  | { readonly kind: 'reject'; readonly with?: 'tcp reset' }
  /** `masquerade fully-random`: the source becomes the outgoing interface's address, its port a random one. */
  | { readonly kind: 'masquerade' }
  /** `dnat ip to KEY map @name`: the destination becomes the address and port that the map holds; no match, no effect. */
  | { readonly kind: 'dnat'; readonly key: Key; readonly map: string }
  /**
   * The destination becomes the endpoint that `memory` has of the client, if that is in the set `endpoints` (protocol .
   * address . port sent to . address . port of the endpoint); no match otherwise. nft has no words for a value that comes
   * out of a map and goes into a key. It shows `ct reply ip saddr:ct reply proto-src` in place of the endpoint, and the
   * rule's comment says whose word that is.
   */
  | ({ readonly kind: 'dnat remembered'; readonly endpoints: string } & Recall)
  /** Remembers for so many seconds where the connection went; what is remembered already only stays for longer. */
  | ({ readonly kind: 'remember'; readonly seconds: number } & Recall)
  /** Forgets where the client went before. */
  | ({ readonly kind: 'forget' } & Recall)
  /** Only ever read, not written: what somebody else put into the table, by the kernel's names of its expressions. */
  | { readonly kind: 'foreign'; readonly expressions: string };

export interface Rule {
  readonly statements: readonly Statement[];
  /** Not in rules with memory, whose comments say what nft does not. */
  readonly comment?: string;
}

/** Where the kernel enters a base chain. */
export interface Hook {
  readonly type: 'filter' | 'nat';
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** Lower comes first; `raw` is -300, `dstnat` -100, `filter` 0, `srcnat` 100. */
  readonly priority: number;
}

/** A base chain if it has a hook (policy accept, always), otherwise one that others jump to. */
export interface Chain {
  readonly name: string;
  readonly hook?: Hook;
  readonly rules: readonly Rule[];
}

/** A whole table as a value. Names are unique within chains and within sets; element keys within their set. */
export interface Program extends TableName {
  readonly comment?: string;
  /** Sets and maps. */
  readonly sets: readonly SetDeclaration[];
  readonly chains: readonly Chain[];
  readonly elements: readonly Element[];
}

/** A change of what is not an element. */
export type ObjectCommand =
  | { readonly verb: 'add'; readonly object: 'table'; readonly comment?: string }
  | { readonly verb: 'delete'; readonly object: 'table' }
  | { readonly verb: 'add'; readonly object: 'set'; readonly set: SetDeclaration }
  | { readonly verb: 'delete'; readonly object: 'set'; readonly name: string; readonly map: boolean }
  | { readonly verb: 'add'; readonly object: 'chain'; readonly name: string; readonly hook?: Hook }
  | { readonly verb: 'flush'; readonly object: 'chain'; readonly name: string }
  | { readonly verb: 'delete'; readonly object: 'chain'; readonly name: string }
  | { readonly verb: 'add'; readonly object: 'rule'; readonly chain: string; readonly rule: Rule };

/** Element changes that become visible together. First all deletions, then all additions. */
export interface ElementUnit {
  readonly delete: readonly Element[];
  readonly add: readonly Element[];
}

/**
 * A change of one table: the commands, then the elements. It becomes visible at once, unless it is too large for the
 * kernel's buffers; then each unit still does.
 */
export interface Transaction extends TableName {
  readonly commands: readonly ObjectCommand[];
  readonly units: readonly ElementUnit[];
}
