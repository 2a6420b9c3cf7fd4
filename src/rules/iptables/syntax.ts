import type { Ip } from '../../net/ip.ts';
import type { Protocol } from '../../net/port.ts';

/**
 * The part of the language of iptables that Signalbox speaks, as values. Words are the tool's own (iptables(8),
 * iptables-extensions(8)); what no rule of ours needs is a `ForeignRule`.
 */

/** The tables that are written to or walked. */
export const tableNames = ['mangle', 'nat', 'filter'] as const;
export type TableName = (typeof tableNames)[number];

/** A transport protocol as iptables spells it. */
export type TransportProtocol = Lowercase<Protocol>;

/** A block of addresses as listings show it: `10.96.0.10/32`. */
export type Block = `${string}/${number}`;

/** What is matched, or with `negated` (`!`) what is not. */
export interface Matched<T> {
  readonly value: T;
  readonly negated?: true;
}

/** Connection states that `-m conntrack --ctstate` tells apart. */
export type ConnectionState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED' | 'SNAT' | 'DNAT';

/** One `-m …` of a rule. */
export type Match =
  | { readonly kind: 'comment'; readonly text: string }
  /** `-m tcp [--sport N] [--dport N]`, likewise udp and sctp. Only together with `-p` of the same protocol. */
  | {
      readonly kind: 'ports';
      readonly protocol: TransportProtocol;
      readonly sourcePort?: number;
      readonly destinationPort?: number;
    }
  /** Whether an address is one of the node's own. */
  | { readonly kind: 'addrtype'; readonly source?: Matched<'LOCAL'>; readonly destination?: Matched<'LOCAL'> }
  /** `--mode random`: matches `threshold` times in 2^31, which is how the kernel holds a probability. */
  | { readonly kind: 'statistic'; readonly threshold: number }
  /** Puts the source address on the list of a name, with the time. */
  | { readonly kind: 'recent set'; readonly name: string }
  /** Whether the source address was put on the list within these seconds; `reap` drops what is older. */
  | { readonly kind: 'recent rcheck'; readonly name: string; readonly seconds: number; readonly reap?: true }
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly negated?: true }
  | { readonly kind: 'ctstate'; readonly states: readonly ConnectionState[]; readonly negated?: true }
  | { readonly kind: 'ctdir'; readonly direction: 'ORIGINAL' | 'REPLY' }
  /** An ipset; one of `src` and `dst` for each part of its entries. */
  | {
      readonly kind: 'set';
      readonly name: string;
      readonly parts: readonly ('src' | 'dst')[];
      readonly negated?: true;
    };

/** How a packet is refused; each family has its own word for the ICMP message. */
export type RejectWith = 'icmp-port-unreachable' | 'icmp6-port-unreachable' | 'tcp-reset';

/** What a rule does with a packet that it matches. */
export type Target =
  | { readonly kind: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly kind: 'REJECT'; readonly with: RejectWith }
  | { readonly kind: 'DNAT'; readonly ip: Ip; readonly port: number }
  /** `--set-xmark value/mask`: the bits of the mask are zeroed, then those of the value flipped. */
  | { readonly kind: 'MARK'; readonly value: number; readonly mask: number }
  | { readonly kind: 'MASQUERADE'; readonly randomFully?: true }
  /** `--map-set … --map-mark`: the packet gets the mark of the ipset's entry that it is in; none, and it stays as it is. */
  | { readonly kind: 'SET'; readonly set: string; readonly parts: readonly ('src' | 'dst')[] }
  /** `-j CHAIN` comes back behind this rule, `-g CHAIN` behind the rule that led to this chain. */
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

/** A rule: a packet that all of it matches meets the target; without one, only comments and side effects are left. */
export interface KnownRule {
  readonly source?: Matched<Block>;
  readonly destination?: Matched<Block>;
  /** A device's name, or with `+` at the end the beginning of names. */
  readonly inInterface?: Matched<string>;
  readonly outInterface?: Matched<string>;
  readonly protocol?: Matched<TransportProtocol>;
  /** In the order in which they are asked. */
  readonly matches: readonly Match[];
  readonly target?: Target;
}

/** A rule with something in it that none of ours has: as it was read. */
export interface ForeignRule {
  readonly foreign: string;
}

export type Rule = KnownRule | ForeignRule;

export interface Chain {
  readonly name: string;
  /** Of built-in chains only: what becomes of a packet that comes to the end. */
  readonly policy?: 'ACCEPT' | 'DROP';
  readonly rules: readonly Rule[];
}

export interface Table {
  readonly name: TableName;
  readonly chains: readonly Chain[];
}

/** What one family has, in the order of listings. */
export type Program = readonly Table[];

/** A rule as listings show it behind `-A CHAIN `. */
export type RuleText = string;

/** One line of the input of `iptables-restore --noflush`. */
export type Command =
  /** `:CHAIN - [0:0]`: makes a chain, or empties it. */
  | { readonly verb: 'declare'; readonly chain: string }
  /** `-A`, `-I` (at the head) and `-D`. */
  | { readonly verb: 'append' | 'insert' | 'delete'; readonly chain: string; readonly rule: RuleText }
  /** `-X`: of a chain that is empty and that no rule leads to. */
  | { readonly verb: 'delete-chain'; readonly chain: string };

/** Commands of one table, carried out together or not at all. */
export interface TableCommands {
  readonly table: TableName;
  readonly commands: readonly Command[];
}

/** The input of one run of `iptables-restore --noflush`. */
export type Restore = readonly TableCommands[];

/** Flips on the bits of `--or-mark`. */
export function orMark(bits: number): Target {
  return { kind: 'MARK', value: bits, mask: bits };
}

/** Flips the bits of `--xor-mark`. */
export function xorMark(bits: number): Target {
  return { kind: 'MARK', value: bits, mask: 0 };
}

const certainty = 0x8000_0000;

/** One chance in `n`, with the ten digits that kube-proxy writes, so that its rules and ours are the same. */
export function oneIn(n: number): Match {
  return statistic(Number((1 / n).toFixed(10)));
}

/** A match with this probability, 0 to 1, as near to it as the kernel can hold. */
export function statistic(probability: number): Match & { readonly kind: 'statistic' } {
  return { kind: 'statistic', threshold: Math.round(probability * certainty) };
}

/** The inverse of `statistic`. */
export function probabilityOf(match: Match & { readonly kind: 'statistic' }): number {
  return match.threshold / certainty;
}
