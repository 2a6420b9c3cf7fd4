import { cidrContains, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Packet, PacketHook, Step, Surroundings, Walker, WalkResult } from '../packet.ts';
import { printRule } from './print.ts';
import {
  type Block,
  type Chain,
  type KnownRule,
  type Match,
  type Matched,
  type Program,
  probabilityOf,
  type Rule,
  type TableName,
  type Target,
  type TransportProtocol,
} from './syntax.ts';

/** The tables that a packet passes at a hook, by priority (linux/netfilter_ipv4.h). */
const hooks: { readonly [H in PacketHook]: { readonly chain: string; readonly tables: readonly TableName[] } } = {
  prerouting: { chain: 'PREROUTING', tables: ['mangle', 'nat'] },
  input: { chain: 'INPUT', tables: ['mangle', 'filter'] },
  forward: { chain: 'FORWARD', tables: ['mangle', 'filter'] },
  output: { chain: 'OUTPUT', tables: ['mangle', 'nat', 'filter'] },
  postrouting: { chain: 'POSTROUTING', tables: ['mangle', 'nat'] },
};

/** What a rule can look up in an ipset. */
export interface SetSubject {
  readonly source: Ip;
  readonly destination: Ip;
  readonly port: number;
  readonly protocol: TransportProtocol;
}

/** The ipsets that rules ask, each time by the parts of a packet that the rule names. */
export interface SetLookup {
  /** Whether a packet is in the set. */
  has(match: Match & { readonly kind: 'set' }, subject: SetSubject): boolean;
  /** The mark of the entry that a packet is in. */
  markOf(target: Target & { readonly kind: 'SET' }, subject: SetSubject): number | undefined;
}

/** What packets meet besides the rules. */
export interface Companions {
  readonly sets?: SetLookup;
  /**
   * IPVS: takes packets that are for the node behind the rules of INPUT, and those that the node sends before the filter
   * of OUTPUT, and gives where they are sent instead. `undefined` where it has nothing to do with a packet.
   */
  readonly balance?: (
    packet: SetSubject & { readonly mark: number },
  ) => { readonly ip: Ip; readonly port: number } | undefined;
}

const noSets: SetLookup = { has: () => false, markOf: () => undefined };

/** A program made ready to send packets through. Lists of the match `recent` fill as packets pass. */
export class PacketWalker implements Walker {
  readonly #tables: ReadonlyMap<TableName, ReadonlyMap<string, Chain>>;
  readonly #surroundings: Surroundings;
  readonly #sets: SetLookup;
  readonly #balance: Companions['balance'];
  /** By list and address, when it was put there. */
  readonly #recent = new Map<string, number>();

  constructor(program: Program, surroundings: Surroundings, { sets = noSets, balance }: Companions = {}) {
    this.#surroundings = surroundings;
    this.#sets = sets;
    this.#balance = balance;
    this.#tables = new Map(
      program.map(({ name, chains }) => [name, new Map(chains.map((chain) => [chain.name, chain]))]),
    );
  }

  /** Sends one packet through the hooks in the kernel's order. */
  walk(packet: Packet): WalkResult {
    const state = new WalkState(packet);
    if (packet.from === 'network') this.#arrive(state);
    else this.#leave(state);
    return state.result();
  }

  /** The routing decision falls behind the translation of the destination. */
  #arrive(state: WalkState): void {
    this.#hook('prerouting', state);
    if (this.#surroundings.isLocal(state.destination)) {
      this.#deliver(state);
      return;
    }
    this.#hook('forward', state);
    this.#hook('postrouting', state);
  }

  /** What IPVS takes for a process of this node goes on to it, and what it takes for another it sends as the node would. */
  #deliver(state: WalkState): void {
    this.#hook('input', state);
    if (!this.#isBalanced(state) || this.#surroundings.isLocal(state.destination)) return;
    this.#hook('output', state, ['mangle', 'filter']);
    this.#hook('postrouting', state);
  }

  #isBalanced(state: WalkState): boolean {
    if (state.verdict !== 'accept') return false;
    const sent = this.#balance?.({ ...this.#subject(state), mark: state.mark });
    if (sent === undefined) return false;
    state.destination = sent.ip;
    state.port = sent.port;
    state.translated = true;
    return true;
  }

  /** What a node sends to itself goes round by the loopback device, where its connection is translated already. */
  #leave(state: WalkState): void {
    this.#hook('output', state, ['mangle', 'nat']);
    const isBalanced = this.#isBalanced(state);
    // It begins anew at this hook, but for the addresses, which are what they are.
    this.#hook(
      'output',
      state,
      isBalanced && !this.#surroundings.isLocal(state.destination) ? ['mangle', 'filter'] : ['filter'],
    );
    this.#hook('postrouting', state);
    if (!this.#surroundings.isLocal(state.destination)) return;
    state.natDone = true;
    state.device = 'lo';
    this.#hook('prerouting', state);
    if (isBalanced) this.#hook('input', state);
    else this.#deliver(state);
  }

  #hook(hook: PacketHook, state: WalkState, only?: readonly TableName[]): void {
    state.hook = hook;
    const { chain, tables } = hooks[hook];
    for (const table of only ?? tables) {
      if (state.verdict !== 'accept') return;
      if (table === 'nat' && state.natDone) continue;
      state.table = table;
      const builtIn = this.#tables.get(table)?.get(chain);
      if (builtIn === undefined) continue;
      if (this.#chain(builtIn, state) !== 'end' && builtIn.policy === 'DROP') state.end('drop');
    }
  }

  #chain(chain: Chain, state: WalkState): Outcome {
    for (const [index, rule] of chain.rules.entries()) {
      const outcome = this.#rule(rule, state, { chain: chain.name, index });
      if (outcome !== 'next rule') return outcome;
    }
    return 'back';
  }

  #rule(rule: Rule, state: WalkState, place: { chain: string; index: number }): Outcome {
    if ('foreign' in rule || !this.#concerns(rule, state)) return 'next rule';
    const matched = rule.matches.every((match) => this.#matches(match, state));
    const text = printRule(rule, familyOf(state.destination));
    state.steps.push({ hook: state.hook, table: state.table, ...place, rule: text, matched });
    if (!matched) return 'next rule';
    return rule.target === undefined ? 'next rule' : this.#act(rule.target, state);
  }

  /** Whether a rule is for packets between such addresses; of thousands in a chain, few are. */
  #concerns({ source, destination, inInterface, outInterface, protocol }: KnownRule, state: WalkState): boolean {
    return (
      holds(source, (block) => contains(block, state.packet.source)) &&
      holds(destination, (block) => contains(block, state.destination)) &&
      holds(inInterface, (name) => isDevice(name, state.device)) &&
      // The device that a packet will leave by is not known here.
      outInterface === undefined &&
      holds(protocol, (name) => name === state.packet.protocol)
    );
  }

  #matches(match: Match, state: WalkState): boolean {
    const { packet } = state;
    switch (match.kind) {
      case 'comment':
        return true;
      case 'ports':
        // The port that a client sends from is any.
        return match.sourcePort === undefined && (match.destinationPort ?? state.port) === state.port;
      case 'addrtype':
        return (
          holds(match.source, () => packet.from === 'node' || this.#surroundings.isLocal(packet.source)) &&
          holds(match.destination, () => this.#surroundings.isLocal(state.destination))
        );
      case 'statistic':
        return this.#surroundings.chance(probabilityOf(match));
      case 'recent set':
        this.#recent.set(`${match.name} ${packet.source}`, this.#surroundings.now());
        return true;
      case 'recent rcheck':
        return this.#isRecent(match, packet.source);
      case 'mark':
        return ((state.mark & match.mask) >>> 0 === match.value) !== (match.negated === true);
      case 'ctstate':
        return match.states.some((name) => state.isIn(name)) !== (match.negated === true);
      case 'ctdir':
        return match.direction === 'ORIGINAL';
      case 'set':
        return this.#sets.has(match, this.#subject(state)) !== (match.negated === true);
    }
  }

  #subject({ packet: { source, protocol }, destination, port }: WalkState): SetSubject {
    return { source, destination, port, protocol };
  }

  #isRecent({ name, seconds }: Match & { kind: 'recent rcheck' }, source: Ip): boolean {
    const since = this.#recent.get(`${name} ${source}`);
    return since !== undefined && this.#surroundings.now() - since <= seconds;
  }

  #act(target: Target, state: WalkState): Outcome {
    switch (target.kind) {
      case 'ACCEPT':
        return 'end';
      case 'DROP':
        return state.end('drop');
      case 'REJECT':
        return state.end(target.with === 'tcp-reset' ? 'reset' : 'reject');
      case 'RETURN':
        return 'back';
      case 'DNAT':
        state.destination = target.ip;
        state.port = target.port;
        state.translated = true;
        return 'end';
      case 'MARK':
        state.mark = ((state.mark & ~target.mask) ^ target.value) >>> 0;
        return 'next rule';
      case 'MASQUERADE':
        state.masqueraded = true;
        return 'end';
      case 'SET':
        state.mark = this.#sets.markOf(target, this.#subject(state)) ?? state.mark;
        return 'next rule';
      case 'jump':
      case 'goto': {
        const chain = this.#tables.get(state.table)?.get(target.chain);
        const outcome = chain === undefined ? 'next rule' : this.#chain(chain, state);
        if (outcome !== 'back') return outcome;
        return target.kind === 'goto' ? 'back' : 'next rule';
      }
    }
  }
}

/** What a rule or chain leads to; `back`: to behind the rule that led to this chain. */
type Outcome = 'next rule' | 'back' | 'end';

function holds<T>(matched: Matched<T> | undefined, test: (value: T) => boolean): boolean {
  return matched === undefined || test(matched.value) !== (matched.negated === true);
}

function contains(block: Block, ip: Ip): boolean {
  const slash = block.lastIndexOf('/');
  // Nearly all blocks are one address.
  if (block.endsWith(ip.includes(':') ? '/128' : '/32')) return block.slice(0, slash) === ip;
  return cidrContains(parseCidr(block), ip);
}

function isDevice(name: string, device: string | undefined): boolean {
  if (device === undefined) return false;
  return name.endsWith('+') ? device.startsWith(name.slice(0, -1)) : device === name;
}

class WalkState {
  readonly packet: Packet;
  readonly steps: Step[] = [];
  hook: PacketHook = 'prerouting';
  table: TableName = 'nat';
  device: string | undefined;
  verdict: WalkResult['verdict'] = 'accept';
  destination: Ip;
  port: number;
  mark = 0;
  translated = false;
  masqueraded = false;
  /** Whether the table of address translation is not asked any more. */
  natDone = false;

  constructor(packet: Packet) {
    this.packet = packet;
    this.device = packet.iif;
    this.destination = packet.destination;
    this.port = packet.port;
  }

  isIn(name: string): boolean {
    return name === 'NEW' || (name === 'DNAT' && this.translated);
  }

  end(verdict: WalkResult['verdict']): 'end' {
    this.verdict = verdict;
    return 'end';
  }

  result(): WalkResult {
    const { verdict, destination, port, translated, masqueraded, steps } = this;
    return { verdict, destination, port, translated, masqueraded, steps };
  }
}
