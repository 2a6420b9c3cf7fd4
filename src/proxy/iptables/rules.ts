import { compileBase, type RuleContext } from '../../backends/iptables/compile.ts';
import { chainNames, isOwnChain, isSharedChain } from '../../backends/iptables/names.ts';
import { compileHealthCheck, compileServicePort } from '../../backends/iptables/service.ts';
import type { SignalboxError } from '../../errors/error.ts';
import type { Iptables } from '../../kernel/iptables/interface.ts';
import type { HealthCheck, NodeFacts, ServicePort } from '../../model/types.ts';
import { familyOf, type IpFamily } from '../../net/ip.ts';
import { type ChainChange, chainLedTo, diff, joinEdits, type TableTexts } from '../../rules/iptables/diff.ts';
import { RuleStore } from '../../rules/iptables/store.ts';
import { type Program, type TableName, tableNames } from '../../rules/iptables/syntax.ts';
import { sameValue } from '../../tracker/same-value.ts';
import type { CheckResult, ServicePortUpdates, SyncResult, TableRules } from '../backend.ts';
import { inSlices } from '../slices.ts';
import { apply, applyApart, isRefusal } from './apply.ts';

/** After a comparison none is made for so many times its duration, so that it costs 2 % of a processor at most. */
const restAfterComparison = 50;

/** What the rules depend on besides the node and its Services. */
export type RuleSettings = Omit<RuleContext, 'family' | 'node'>;

/** What rules are to be made of. */
export interface RuleInput {
  readonly node: NodeFacts;
  readonly settings: RuleSettings;
  readonly updates: ServicePortUpdates;
  /** By Service. */
  readonly healthChecks: ReadonlyMap<string, HealthCheck>;
}

/** What an owner of rules had before, and how it gets that back. */
type Undo = Map<string, () => void>;

/** The kernel's own chains, where others' rules are as well. */
const builtInChains = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const unchanged: CheckResult = { repaired: [], refused: new Map() };

/** Our chains of one family: what should be in them, and how that gets into the kernel. */
export class FamilyRules {
  readonly #iptables: Iptables;
  readonly #family: IpFamily;
  readonly #store: RuleStore;
  readonly #ports = new Map<string, ServicePort>();
  /** By Service, the port that its health checks come to. */
  readonly #healthPorts = new Map<string, number>();
  #context: RuleContext | undefined;
  /** The chains without Services; none as long as nothing of the family is there. */
  #base: Program | undefined;
  /** Whether it has been seen that an earlier run left nothing. */
  #nothingLeft = false;
  /** Whether the kernel is known to have what base and store say; not before the first sync, nor after a failure. */
  #certain = false;
  /** When the kernel is to be compared again, by `performance.now()`. */
  #compareAt = 0;

  constructor(iptables: Iptables, family: IpFamily) {
    this.#iptables = iptables;
    this.#family = family;
    this.#store = new RuleStore(family);
  }

  /**
   * Makes the chains that every node has, unless an earlier run left them: those stay as they are until Services are
   * known. Nothing is made of a family that the node has no addresses of.
   */
  async prepare(node: NodeFacts, settings: RuleSettings): Promise<void> {
    if (await this.#isDispensable(node, new Map())) return;
    if (await this.#iptables.has(this.#family, 'nat', chainNames.services)) return;
    this.#recompile(node, settings);
    await this.#apply(await this.#difference(await this.#list()));
  }

  /**
   * Changes Service ports: only chains that become different are written. If the tool refuses, those that it is about
   * are found and left out. If the node differs in what the rules depend on, or it is not known what the kernel has,
   * all chains are compared, and what an earlier run left, or kube-proxy, becomes what should be.
   */
  async sync(input: RuleInput): Promise<SyncResult> {
    if (await this.#isDispensable(input.node, input.updates)) return unchanged;
    const isOther = this.#recompile(input.node, input.settings);
    const { changes, undo } = this.#replace(isOther ? new Map([...this.#ports, ...input.updates]) : input.updates);
    this.#replaceHealthChecks(input.healthChecks, { changes, undo });
    try {
      if (!this.#certain || isOther) return await this.#reconcile(undo);
      try {
        const joined = this.#join(changes);
        await this.#apply(joined);
        return { refused: new Map(), tables: this.#tableRules(joined) };
      } catch (error) {
        this.#certain = false;
        if (!isRefusal(error)) throw error;
        return { ...(await this.#reconcile(undo)), partialFailures: [this.#family] };
      }
    } catch (error) {
      for (const back of undo.values()) back();
      throw error;
    }
  }

  /**
   * Puts right what differs in the kernel. As listing all takes the tool a while at thousands of Services, there is a
   * pause of some length between two comparisons, in which only emptied tables are noticed.
   */
  async check(signal: AbortSignal): Promise<CheckResult> {
    if (this.#base === undefined) return unchanged;
    if (this.#certain && performance.now() < this.#compareAt && (await this.#hasCanaries())) return unchanged;
    const began = performance.now();
    const changes = await this.#difference(await this.#list(), signal);
    this.#compareAt = performance.now() + restAfterComparison * (performance.now() - began);
    if (signal.aborted) return unchanged;
    this.#certain = changes.length === 0;
    return this.#certain ? unchanged : this.#reconcile(new Map());
  }

  /**
   * Removes all that is ours, whoever left it there; a line for each table it was in. A chain that rules of others lead to,
   * as some do to `KUBE-MARK-MASQ`, cannot go and stays.
   * @param isOurs which chains are meant
   */
  async remove(isOurs = isOwnChain): Promise<string[]> {
    const current = await this.#list();
    const inUse = usedByOthers(current, this.#family);
    const isToGo = (chain: string, table: TableName) => isOurs(chain, table) && !inUse.has(chain);
    const options = { family: this.#family, isOurs: isToGo };
    const builtIn = [...current].flatMap(([table, chains]) =>
      builtInChains
        .filter((chain) => chains.has(chain))
        .map((chain) => ({ kind: 'built-in' as const, table, chain, rules: [] })),
    );
    const changes = (await inSlices(diff(current, builtIn, options))) ?? [];
    await this.#apply(changes);
    this.#base = undefined;
    this.#context = undefined;
    this.#certain = false;
    this.#nothingLeft = false;
    return tableNames
      .filter((table) => changes.some((change) => change.table === table))
      .map((table) => `rules in ${toolName(this.#iptables, this.#family)} table ${table}`);
  }

  /** Whether the kernel has the rule that keeps others than this node from its loopback addresses. */
  async guardsLoopback(): Promise<boolean> {
    const guards = (await this.#list()).get('filter')?.get(chainNames.firewall) ?? [];
    return guards.some((rule) => rule.includes('127.0.0.0/8'));
  }

  /** Takes the rules in as they are compiled now; whether they are other than before. */
  #recompile(node: NodeFacts, settings: RuleSettings): boolean {
    const context = { ...settings, family: this.#family, node };
    if (this.#context !== undefined && sameValue(context, this.#context)) return false;
    this.#context = context;
    this.#base = compileBase(context);
    return true;
  }

  /** Whether nothing of the family is there: neither addresses of the node, nor frontends, nor chains. */
  async #isDispensable(node: NodeFacts, updates: ServicePortUpdates): Promise<boolean> {
    if (this.#base !== undefined) return false;
    if (node.addresses.some((ip) => familyOf(ip) === this.#family)) return false;
    for (const port of updates.values()) if (hasFrontend(port, this.#family)) return false;
    this.#nothingLeft ||= !(await this.#iptables.has(this.#family, 'nat', chainNames.services));
    return this.#nothingLeft;
  }

  /** Puts updates in the store. */
  #replace(updates: ServicePortUpdates): { changes: ChainChange[]; undo: Undo } {
    const undo: Undo = new Map();
    const changes: ChainChange[] = [];
    for (const [name, port] of updates) {
      if (this.#context === undefined || (!this.#ports.has(name) && !hasFrontend(port, this.#family))) continue;
      const own = hasFrontend(port, this.#family) ? port : undefined;
      const before = this.#ports.get(name);
      this.#keep(name, own);
      const step = this.#store.replace(name, own && compileServicePort(own, this.#context));
      undo.set(name, () => {
        step.undo();
        this.#keep(name, before);
      });
      for (const change of step.changes) changes.push(change);
    }
    return { changes, undo };
  }

  #replaceHealthChecks(checks: RuleInput['healthChecks'], { changes, undo }: { changes: ChainChange[]; undo: Undo }) {
    const gone = [...this.#healthPorts.keys()].filter((service) => !checks.has(service));
    for (const service of [...gone, ...checks.keys()]) {
      const check = checks.get(service);
      const before = this.#healthPorts.get(service);
      if (check?.port === before) continue;
      const owner = `health check of ${service}`;
      const step = this.#store.replace(owner, check && compileHealthCheck(check));
      const keep = (port: number | undefined) => {
        if (port === undefined) this.#healthPorts.delete(service);
        else this.#healthPorts.set(service, port);
      };
      keep(check?.port);
      undo.set(owner, () => {
        step.undo();
        keep(before);
      });
      changes.push(...step.changes);
    }
  }

  #keep(name: string, port: ServicePort | undefined): void {
    if (port === undefined) this.#ports.delete(name);
    else this.#ports.set(name, port);
  }

  async #reconcile(undo: Undo): Promise<CheckResult> {
    this.#certain = false;
    const changes = await this.#difference(await this.#list());
    const refused = new Map<string, SignalboxError>();
    try {
      await this.#apply(changes);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      await this.#leaveOut(undo, refused);
    }
    this.#certain = true;
    return { repaired: describe(this.#family, changes), refused, tables: this.#tableRules(changes) };
  }

  /**
   * Brings everything in but what the tool refuses. The owner of that is put back to what it was; if that is refused
   * too, as somebody may have emptied the tables, it goes without.
   */
  async #leaveOut(undo: Undo, refused: Map<string, SignalboxError>): Promise<void> {
    const takeOut = (name: string) => {
      this.#keep(name, undefined);
      this.#store.replace(name, undefined);
    };
    for (const putBack of [(name: string) => (undo.get(name) ?? (() => takeOut(name)))(), takeOut]) {
      const changes = await this.#difference(await this.#list());
      const failures = await applyApart(changes, this.#store.ownership(), this.#target());
      if (failures.size === 0) return;
      for (const [owner, error] of failures) {
        putBack(owner);
        refused.set(owner, error);
      }
    }
    await this.#apply(await this.#difference(await this.#list()));
  }

  #tableRules(changes: readonly ChainChange[]): TableRules[] {
    return tableNames.map((table) => {
      const base = this.#base?.find(({ name }) => name === table)?.chains ?? [];
      const total = base.reduce((sum, { rules }) => sum + rules.length, this.#store.count(table));
      const written = changes.reduce((sum, change) => (change.table === table ? sum + rulesIn(change) : sum), 0);
      return { family: this.#family, table, total, written };
    });
  }

  #target() {
    return { iptables: this.#iptables, family: this.#family };
  }

  #apply(changes: readonly ChainChange[]): Promise<void> {
    return apply(changes, this.#target());
  }

  async #list(): Promise<TableTexts> {
    const tables = new Map<TableName, ReadonlyMap<string, readonly string[]>>();
    for (const table of tableNames) tables.set(table, await this.#iptables.list(this.#family, table));
    return tables;
  }

  async #difference(current: TableTexts, signal?: AbortSignal): Promise<ChainChange[]> {
    const wanted = this.#store.chains(this.#base ?? [], isSharedChain);
    const options = { family: this.#family, isOurs: isOwnChain };
    const changes = await inSlices(diff(current, wanted, options), signal);
    return this.#join(changes ?? []);
  }

  #join(changes: readonly ChainChange[]): ChainChange[] {
    return joinEdits(changes, (place) => {
      for (const want of this.#store.chains(this.#base ?? [], isSharedChain))
        if (want.table === place.table && want.chain === place.chain && want.kind === 'shared') return want.rules;
      return undefined;
    });
  }

  async #hasCanaries(): Promise<boolean> {
    for (const table of tableNames) {
      if (!(await this.#iptables.has(this.#family, table, chainNames.canary))) return false;
    }
    return true;
  }
}

function hasFrontend(port: ServicePort | undefined, family: IpFamily): boolean {
  return port?.frontends.some(({ ip }) => familyOf(ip) === family) === true;
}

function toolName({ variant }: Iptables, family: IpFamily): string {
  return `${family === 'IPv4' ? 'iptables' : 'ip6tables'} (${variant})`;
}

function rulesIn(change: ChainChange): number {
  if (change.kind === 'remove') return 0;
  return change.kind === 'write' ? change.rules.length : change.insert.length;
}

/** Our chains that rules in others' chains lead to, of those that they have made themselves. */
function usedByOthers(current: TableTexts, family: IpFamily): Set<string> {
  const used = new Set<string>();
  for (const [table, chains] of current) {
    for (const [chain, rules] of chains) {
      if (isOwnChain(chain, table) || builtInChains.includes(chain)) continue;
      for (const rule of rules) {
        const target = chainLedTo(rule, family);
        if (target !== undefined) used.add(target);
      }
    }
  }
  return used;
}

/** What changes put right, a line for each chain, or for all of a table if they are many; for the log. */
function describe(family: IpFamily, changes: readonly ChainChange[]): string[] {
  const word = family === 'IPv4' ? 'iptables' : 'ip6tables';
  return tableNames.flatMap((table) => {
    const chains = changes.filter((change) => change.table === table).map(({ chain }) => chain);
    if (chains.length === 0) return [];
    const named = chains.length > 5 ? `${chains.length} chains` : chains.join(', ');
    return [`${word} table ${table}: ${named} had been changed`];
  });
}
