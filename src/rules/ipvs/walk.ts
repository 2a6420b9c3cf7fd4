import { cidrContains } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import { printEntryKey } from '../ipset/print.ts';
import type { IpSet, SetEntry } from '../ipset/syntax.ts';
import type { Program as Rules } from '../iptables/syntax.ts';
import { PacketWalker, type SetSubject } from '../iptables/walk.ts';
import type { Packet, Surroundings, Walker, WalkResult } from '../packet.ts';
import { printVirtualAddress } from './print.ts';
import type { Resource } from './resources.ts';
import { type RealServer, realServerKey, type VirtualServer } from './syntax.ts';

/** All that ipvs mode has in the kernel for one family. */
export interface IpvsProgram {
  readonly rules: Rules;
  readonly resources: readonly Resource[];
}

/** Schedulers that lead a client to the same real server each time, by its address. */
const byClient: readonly string[] = ['sh', 'mh'];

/** A program of ipvs mode made ready to send packets through. It remembers of clients what IPVS does. */
export class IpvsWalker implements Walker {
  readonly #rules: PacketWalker;
  readonly #sets = new Map<string, WalkedSet>();
  readonly #servers = new Map<string, VirtualServer>();
  readonly #addresses = new Set<Ip>();
  readonly #surroundings: Surroundings;
  /** By virtual server and client: where it was sent, and when. */
  readonly #remembered = new Map<string, { readonly key: string; readonly at: number }>();

  constructor({ rules, resources }: IpvsProgram, surroundings: Surroundings) {
    this.#surroundings = surroundings;
    for (const resource of resources) this.#add(resource);
    const here: Surroundings = {
      ...surroundings,
      isLocal: (ip) => this.#addresses.has(ip) || surroundings.isLocal(ip),
    };
    this.#rules = new PacketWalker(rules, here, {
      sets: {
        has: ({ name, parts }, subject) => this.#sets.get(name)?.find(parts, subject) !== undefined,
        markOf: ({ set, parts }, subject) => this.#sets.get(set)?.find(parts, subject)?.mark,
      },
      balance: (packet) => this.#balance(packet),
    });
  }

  walk(packet: Packet): WalkResult {
    return this.#rules.walk(packet);
  }

  #add(resource: Resource): void {
    if (resource.kind === 'address') this.#addresses.add(resource.ip);
    else if (resource.kind === 'virtual-server')
      this.#servers.set(printVirtualAddress(resource.server.address), resource.server);
    else {
      const { set, entry } = resource;
      const walked = this.#sets.get(set.name) ?? new WalkedSet(set.type);
      walked.add(entry);
      this.#sets.set(set.name, walked);
    }
  }

  /** A mark goes before an address. */
  #balance(packet: SetSubject & { readonly mark: number }): RealServer | undefined {
    const { destination: ip, port, protocol, mark, source } = packet;
    const family = familyOf(ip);
    const server =
      this.#servers.get(printVirtualAddress({ mark, family })) ??
      this.#servers.get(printVirtualAddress({ protocol, ip, port }));
    const candidates = server?.realServers.filter(({ weight }) => weight > 0) ?? [];
    if (server === undefined || candidates.length === 0) return undefined;
    return this.#choose(server, candidates, source);
  }

  #choose(server: VirtualServer, candidates: readonly RealServer[], source: Ip): RealServer | undefined {
    const { random, now } = this.#surroundings;
    const { persistentSeconds } = server;
    const clientKey = `${printVirtualAddress(server.address)} ${source}`;
    const remembered = this.#remembered.get(clientKey);
    const lasts = persistentSeconds ?? (byClient.includes(server.scheduler) ? Number.POSITIVE_INFINITY : undefined);
    const known =
      remembered !== undefined && lasts !== undefined && now() - remembered.at <= lasts
        ? candidates.find((candidate) => realServerKey(candidate) === remembered.key)
        : undefined;
    const chosen = known ?? candidates[random(candidates.length)];
    if (lasts !== undefined && chosen !== undefined)
      this.#remembered.set(clientKey, { key: realServerKey(chosen), at: now() });
    return chosen;
  }
}

/** A set that packets are looked up in. */
class WalkedSet {
  readonly #type: IpSet['type'];
  readonly #entries = new Map<string, SetEntry>();
  /** Of sets with blocks: the blocks by what stands before them. */
  readonly #blocks = new Map<string, SetEntry[]>();

  constructor(type: IpSet['type']) {
    this.#type = type;
  }

  add(entry: SetEntry): void {
    const { net, mark, ...before } = entry;
    this.#entries.set(printEntryKey({ ...before, ...(net && { net }) }), entry);
    if (net === undefined) return;
    const key = printEntryKey(before);
    this.#blocks.set(key, [...(this.#blocks.get(key) ?? []), entry]);
  }

  find(parts: readonly ('src' | 'dst')[], { source, destination, port, protocol }: SetSubject): SetEntry | undefined {
    const ip = (part: 'src' | 'dst' | undefined) => (part === 'src' ? source : destination);
    const at = { ip: ip(parts[0]), protocol, port };
    switch (this.#type) {
      case 'hash:ip':
        return this.#entries.get(printEntryKey({ ip: at.ip }));
      case 'bitmap:port':
        return this.#entries.get(printEntryKey({ port }));
      case 'hash:ip,port':
        return this.#entries.get(printEntryKey(at));
      case 'hash:ip,port,ip':
        return this.#entries.get(printEntryKey({ ...at, ip2: ip(parts[2]) }));
      case 'hash:ip,port,net':
        return this.#blocks.get(printEntryKey(at))?.find(({ net }) => net && cidrContains(net, ip(parts[2])));
    }
  }
}
