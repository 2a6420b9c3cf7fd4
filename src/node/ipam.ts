import { readFileSync } from 'node:fs';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import { type Cidr, cidrAddress, cidrContains, cidrSize, formatCidr } from '../net/cidr.ts';
import { familyOf, type Ip, ipToBigInt, tryParseIp } from '../net/ip.ts';

/** Addresses by Pod uid. */
type Assignments = ReadonlyMap<string, readonly Ip[]>;

/** The block's first address is the bridge's. */
export function gatewayOf(cidr: Cidr): Ip {
  return cidrAddress(cidr, 1);
}

/**
 * The lowest free address of a block, from its third on: before it are the network's and the bridge's. The last one of
 * an IPv4 block, its broadcast address, is never given.
 * @returns `undefined` when none is free
 */
export function lowestFree(cidr: Cidr, taken: ReadonlySet<Ip>): Ip | undefined {
  const size = cidrSize(cidr);
  const end = cidr.family === 'IPv4' ? size - 1n : size;
  // Of more addresses than are taken one is free: the loop is bounded by their number, not by the block's.
  for (let offset = 2n; offset < end; offset++) {
    const ip = cidrAddress(cidr, offset);
    if (!taken.has(ip)) return ip;
  }
  return undefined;
}

/** As `lowestFree`, from the other end. */
function highestFree(cidr: Cidr, taken: ReadonlySet<Ip>): Ip | undefined {
  const size = cidrSize(cidr);
  for (let offset = cidr.family === 'IPv4' ? size - 2n : size - 1n; offset >= 2n; offset--) {
    const ip = cidrAddress(cidr, offset);
    if (!taken.has(ip)) return ip;
  }
  return undefined;
}

/** Addresses of a node's Pods, one of each block; kept in a file, so that they outlive the agent. */
export interface Ipam {
  readonly assignments: Assignments;
  /**
   * The Pod's addresses: those it has, or new ones from that end of each block.
   * @throws SignalboxError `POD_ADDRESSES_EXHAUSTED`
   */
  assign(uid: string, from?: 'start' | 'end'): readonly Ip[];
  /** Does nothing for a Pod without addresses. */
  release(uid: string): void;
}

/**
 * Opens the assignments kept at `file`. Those that no longer fit the blocks are dropped, and so is what cannot be read:
 * their Pods get new addresses.
 */
export function openIpam(cidrs: readonly Cidr[], file: string): Ipam {
  const assignments = new Map<string, readonly Ip[]>();
  for (const [uid, ips] of readAssignments(file)) if (fits(ips, cidrs)) assignments.set(uid, ips);
  const save = () => replaceFile(file, JSON.stringify(Object.fromEntries(assignments)));
  return {
    assignments,
    assign: (uid, from = 'start') => {
      const existing = assignments.get(uid);
      if (existing !== undefined) return existing;
      const free = from === 'start' ? lowestFree : highestFree;
      const taken = new Set([...assignments.values()].flat());
      const ips = cidrs.map((cidr) => free(cidr, taken) ?? exhausted(cidr, taken));
      assignments.set(uid, ips);
      save();
      return ips;
    },
    release: (uid) => {
      if (assignments.delete(uid)) save();
    },
  };
}

function fits(ips: readonly Ip[], cidrs: readonly Cidr[]): boolean {
  return ips.length === cidrs.length && cidrs.every((cidr, i) => isPodAddress(cidr, ips[i]));
}

function isPodAddress(cidr: Cidr, ip: Ip | undefined): boolean {
  return ip !== undefined && cidrContains(cidr, ip) && ipToBigInt(ip) - ipToBigInt(cidr.base) >= 2n;
}

function readAssignments(file: string): [string, Ip[]][] {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof content !== 'object' || content === null) return [];
    return Object.entries(content).map(([uid, ips]: [string, unknown]) => [
      uid,
      Array.isArray(ips) ? ips.flatMap(ipOf) : [],
    ]);
  } catch {
    return [];
  }
}

function ipOf(value: unknown): Ip[] {
  const ip = typeof value === 'string' ? tryParseIp(value) : undefined;
  return ip === undefined ? [] : [ip];
}

function exhausted(cidr: Cidr, taken: ReadonlySet<Ip>): never {
  const inUse = [...taken].filter((ip) => familyOf(ip) === cidr.family).length;
  throw new SignalboxError('POD_ADDRESSES_EXHAUSTED', {
    object: `Pod network ${formatCidr(cidr)}`,
    problem: `has no free address, ${inUse} are in use`,
    remedy: 'delete Pods on this node, or use more nodes',
  });
}
