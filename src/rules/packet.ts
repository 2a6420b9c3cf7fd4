import type { Ip } from '../net/ip.ts';
import type { Protocol } from '../net/port.ts';

/** The first packet of a new connection, as it comes to the node or as the node sends it. */
export interface Packet {
  /** Whether it comes in by some device, from a Pod or from outside, or a process of the node itself sends it. */
  readonly from: 'network' | 'node';
  /** Device it comes in through, where `from` is `network`. Rules that ask for a device do not match without. */
  readonly iif?: string;
  readonly source: Ip;
  readonly destination: Ip;
  readonly protocol: Lowercase<Protocol>;
  readonly port: number;
  /** Rules that ask for a certain one do not match without. */
  readonly sourcePort?: number;
}

/** What a walk must know that is not in the rules. */
export interface Surroundings {
  /** Whether an address is the node's own: such packets are for itself and not forwarded. */
  readonly isLocal: (ip: Ip) => boolean;
  /** A whole number from 0 to below the modulus, each as likely as the others. */
  readonly random: (modulus: number) => number;
  /** `true` with this probability, 0 to 1. */
  readonly chance: (probability: number) => boolean;
  /** Seconds since any fixed moment: by this clock, what rules remember of clients grows old. */
  readonly now: () => number;
}

/** Where packets pass rules (netfilter's hooks, linux/netfilter.h). */
export type PacketHook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

/** One rule that the packet met and that matched, in full or not. */
export interface Step {
  readonly hook: PacketHook;
  /** Where a program has several tables: the one that the chain is in. */
  readonly table?: string;
  readonly chain: string;
  /** Position in its chain, from 0. */
  readonly index: number;
  /** As listings show it. */
  readonly rule: string;
  /** Whether all of it matched, so that it acted. */
  readonly matched: boolean;
}

/** Where the packet ended. */
export interface WalkResult {
  readonly verdict: 'accept' | 'drop' | 'reject' | 'reset';
  /** Where it goes, after translation. */
  readonly destination: Ip;
  readonly port: number;
  /** Whether the destination was translated. */
  readonly translated: boolean;
  /** Whether the receiver sees the node as its source. */
  readonly masqueraded: boolean;
  /** Connection tracking does not know of it. */
  readonly untracked?: true;
  /** Every rule met, in order. */
  readonly steps: readonly Step[];
}

/**
 * A program of some tool made ready to send packets through. It remembers of clients what the rules tell the kernel to
 * remember, so that a later packet of the same client may go elsewhere than the first.
 */
export interface Walker {
  /** Sends one packet through the hooks in the kernel's order. */
  walk(packet: Packet): WalkResult;
}
