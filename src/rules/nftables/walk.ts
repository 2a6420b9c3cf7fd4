import { cidrContains, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, ipFromBigInt, ipToBigInt, parseIp } from '../../net/ip.ts';
import type { Packet, Step, Surroundings, Walker, WalkResult } from '../packet.ts';
import { ClientMemory } from './client-memory.ts';
import { printRule, printValues } from './print.ts';
import type { Chain, Element, Hook, Key, Program, Rule, Selector, Statement, Value } from './syntax.ts';

/** A program made ready to send packets through. Building it takes as long as the program is large, a walk does not. */
export class PacketWalker implements Walker {
  readonly #chains: ReadonlyMap<string, Chain>;
  readonly #bases: readonly (Chain & { readonly hook: Hook })[];
  readonly #elements = new Map<string, Map<string, Element>>();
  readonly #intervals: ReadonlySet<string>;
  readonly #surroundings: Surroundings;
  readonly #memory: ClientMemory;

  constructor(program: Program, surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#memory = new ClientMemory(surroundings.now);
    this.#chains = new Map(program.chains.map((chain) => [chain.name, chain]));
    this.#bases = program.chains
      .filter((chain): chain is Chain & { readonly hook: Hook } => chain.hook !== undefined)
      .sort((a, b) => a.hook.priority - b.hook.priority);
    this.#intervals = new Set(program.sets.filter((set) => set.interval === true).map((set) => set.name));
    for (const set of program.sets) this.#elements.set(set.name, new Map());
    for (const element of program.elements) this.#elements.get(element.set)?.set(printValues(element.key), element);
    const dynamic = new Set(program.sets.filter((set) => set.dynamic !== undefined).map((set) => set.name));
    // How long those of a listing stay is not part of the program: they do not grow old.
    for (const { set, key, data } of program.elements) {
      if (dynamic.has(set)) this.#memory.remember(`${set} ${printValues(key)}`, data ?? [], Number.POSITIVE_INFINITY);
    }
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
      this.#hook('input', state);
      return;
    }
    this.#hook('forward', state);
    this.#hook('postrouting', state);
  }

  /** What a node sends to itself goes round by the loopback device, where its connection is translated already. */
  #leave(state: WalkState): void {
    this.#hook('output', state);
    this.#hook('postrouting', state);
    if (!this.#surroundings.isLocal(state.destination)) return;
    state.natDone = true;
    this.#hook('prerouting', state);
    this.#hook('input', state);
  }

  #hook(hook: Hook['hook'], state: WalkState): void {
    state.hook = hook;
    for (const chain of this.#bases) {
      if (chain.hook.hook !== hook || state.verdict !== 'accept') continue;
      state.trackable &&= chain.hook.priority < trackingPriority;
      if (chain.hook.type === 'filter' || !(state.natDone || state.untracked)) this.#chain(chain, state);
    }
    state.trackable = false;
  }

  /** Whether evaluation of this hook's base chain ends here. */
  #chain(chain: Chain, state: WalkState): boolean {
    for (const [index, rule] of chain.rules.entries()) {
      const outcome = this.#rule(rule, state, { chain: chain.name, index });
      if (outcome === 'end') return true;
      if (outcome === 'leave') return false;
    }
    return false;
  }

  #rule(rule: Rule, state: WalkState, place: { chain: string; index: number }): Outcome {
    const step = { hook: state.hook, ...place, rule: printRule(rule), matched: true };
    state.steps.push(step);
    for (const statement of rule.statements) {
      const outcome = this.#statement(statement, state);
      if (outcome === 'next statement') continue;
      step.matched = outcome !== 'no match';
      return outcome;
    }
    return 'next rule';
  }

  #statement(statement: Statement, state: WalkState): Outcome {
    switch (statement.kind) {
      case 'lookup':
        return matches(
          (this.#find(statement.set, statement.key, state) !== undefined) !== (statement.negated === true),
        );
      case 'meta l4proto':
        return matches(state.packet.protocol === statement.protocol);
      case 'iifname':
        return matches(comesIn(statement, state.packet) !== (statement.negated === true));
      case 'from node':
        return matches((state.packet.from === 'node') !== (statement.negated === true));
      case 'ct state':
        return matches(!state.untracked);
      case 'ct status':
        // Of no connection there is nothing to compare.
        return matches(!state.untracked && state.translated !== (statement.negated === true));
      case 'jump':
        return this.#named(statement.chain, state) ? 'end' : 'next rule';
      case 'goto':
        return this.#named(statement.chain, state) ? 'end' : 'leave';
      case 'drop':
        return state.end('drop');
      case 'reject':
        if (statement.with === undefined) return state.end('reject');
        return state.packet.protocol === 'tcp' ? state.end('reset') : 'no match';
      case 'notrack':
        state.untracked ||= state.trackable;
        return 'next statement';
      case 'masquerade':
        state.masqueraded = true;
        return 'end';
      case 'dnat':
        return this.#dnat(statement, state);
      case 'dnat remembered':
        return this.#dnatRemembered(statement, state);
      case 'remember':
      case 'forget':
        return this.#keepInMind(statement, state);
      case 'foreign':
        return 'no match';
    }
  }

  #dnatRemembered(statement: Extract<Statement, { kind: 'dnat remembered' }>, state: WalkState): Outcome {
    const { packet } = state;
    const key = this.#memoryKey(statement, state);
    const [protocol, ip, port] = (key === undefined ? undefined : this.#memory.recall(key)) ?? [];
    if (protocol === undefined || typeof ip !== 'string' || typeof port !== 'number') return 'no match';
    const known = [protocol, packet.destination, packet.port, ip, port];
    if (this.#elements.get(statement.endpoints)?.has(printValues(known)) !== true) return 'no match';
    return state.translate(ip as Ip, port);
  }

  #keepInMind(statement: Extract<Statement, { kind: 'remember' | 'forget' }>, state: WalkState): Outcome {
    const key = this.#memoryKey(statement, state);
    if (key === undefined) return 'no match';
    const data = [state.packet.protocol, state.destination, state.port];
    if (statement.kind === 'forget') this.#memory.forget(key);
    else this.#memory.remember(key, data, statement.seconds);
    return 'next statement';
  }

  /** Under what the client is remembered where it first sent to. */
  #memoryKey(statement: { readonly services: string; readonly memory: string }, state: WalkState): string | undefined {
    const { protocol, destination, port, source } = state.packet;
    const service = this.#elements.get(statement.services)?.get(printValues([protocol, destination, port]))?.data;
    return service && `${statement.memory} ${printValues([...service, source])}`;
  }

  #named(name: string, state: WalkState): boolean {
    const chain = this.#chains.get(name);
    return chain !== undefined && this.#chain(chain, state);
  }

  #dnat(statement: Extract<Statement, { kind: 'dnat' }>, state: WalkState): Outcome {
    const [ip, port] = this.#find(statement.map, statement.key, state)?.data ?? [];
    if (typeof ip !== 'string' || typeof port !== 'number') return 'no match';
    return state.translate(ip as Ip, port);
  }

  #find(set: string, key: Key, state: WalkState): Element | undefined {
    const elements = this.#elements.get(set);
    const values = key.map((selector) => this.#value(selector, state));
    if (!this.#intervals.has(set)) return elements?.get(printValues(values));
    const ip = values[0] as Ip;
    return [...(elements?.values() ?? [])].find((element) => cidrContains(parseCidr(String(element.key[0])), ip));
  }

  #value(selector: Selector, state: WalkState): Value {
    switch (selector) {
      case 'ip saddr':
      case 'ip6 saddr':
        return state.packet.source;
      case 'ip daddr':
      case 'ip6 daddr':
        return state.destination;
      case 'meta l4proto':
        return state.packet.protocol;
      case 'th dport':
        return state.port;
      case 'th sport':
        return state.packet.sourcePort ?? 0;
      case 'ct original ip daddr':
      case 'ct original ip6 daddr':
        return state.packet.destination;
      case 'ct original proto-dst':
        return state.packet.port;
      default: {
        const [, mask] = selector.split(' & ');
        if (mask !== undefined) return masked(state.packet.source, mask);
        return this.#surroundings.random(Number(selector.slice(selector.lastIndexOf(' ') + 1)));
      }
    }
  }
}

/** Where the kernel looks up a packet's connection, or begins one (NF_IP_PRI_CONNTRACK, linux/netfilter_ipv4.h). */
const trackingPriority = -200;

function masked(ip: Ip, mask: string): Ip {
  return ipFromBigInt(ipToBigInt(ip) & ipToBigInt(parseIp(mask)), familyOf(ip));
}

function comesIn({ name, prefix }: Extract<Statement, { kind: 'iifname' }>, { from, iif }: Packet): boolean {
  if (from === 'node' || iif === undefined) return false;
  return prefix === true ? iif.startsWith(name) : iif === name;
}

/** What a statement or rule leads to; `leave` goes back to where this chain was jumped to from. */
type Outcome = 'next statement' | 'no match' | 'next rule' | 'leave' | 'end';

function matches(yes: boolean): Outcome {
  return yes ? 'next statement' : 'no match';
}

class WalkState {
  readonly packet: Packet;
  readonly steps: Step[] = [];
  hook: Hook['hook'] = 'prerouting';
  verdict: WalkResult['verdict'] = 'accept';
  destination: Ip;
  port: number;
  translated = false;
  masqueraded = false;
  untracked = false;
  /** Whether connection tracking has not had the packet yet. */
  trackable = true;
  /** Whether the chains of address translation are not asked any more. */
  natDone = false;

  constructor(packet: Packet) {
    this.packet = packet;
    this.destination = packet.destination;
    this.port = packet.port;
  }

  translate(destination: Ip, port: number): 'end' {
    this.destination = destination;
    this.port = port;
    this.translated = true;
    return 'end';
  }

  end(verdict: WalkResult['verdict']): 'end' {
    this.verdict = verdict;
    return 'end';
  }

  result(): WalkResult {
    const { verdict, destination, port, translated, masqueraded, untracked, steps } = this;
    return { verdict, destination, port, translated, masqueraded, ...(untracked && { untracked }), steps };
  }
}
