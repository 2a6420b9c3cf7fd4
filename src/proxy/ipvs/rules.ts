import { compileRules, type RuleContext } from '../../backends/ipvs/compile.ts';
import { chainNames } from '../../backends/ipvs/names.ts';
import type { Iptables } from '../../kernel/iptables/interface.ts';
import type { NodeFacts } from '../../model/types.ts';
import type { IpFamily } from '../../net/ip.ts';
import { type ChainChange, diff, restores, type WantedChain } from '../../rules/iptables/diff.ts';
import { printRule } from '../../rules/iptables/print.ts';
import type { Chain, Program, TableName } from '../../rules/iptables/syntax.ts';

/** Chains of a table that are not ours alone. */
export type SharedChain = (table: TableName, chain: string) => boolean;

/** The few rules of one family, which are the same whatever Services there are. */
export class FixedRules {
  readonly #iptables: Iptables;
  readonly #family: IpFamily;
  readonly #masqueradeBit: number;
  #node: NodeFacts | undefined;
  /** What the kernel has, when that is known. */
  #written: Program | undefined;

  constructor(iptables: Iptables, { family, masqueradeBit }: Omit<RuleContext, 'node'>) {
    this.#iptables = iptables;
    this.#family = family;
    this.#masqueradeBit = masqueradeBit;
  }

  /** Whether chains of ours, or of another mode with the same names, are there. */
  isThere(): Promise<boolean> {
    return this.#iptables.has(this.#family, 'nat', chainNames.services);
  }

  /** Writes the rules, as far as they are not known to be there. */
  async write(node: NodeFacts): Promise<void> {
    this.#node = node;
    const program = this.#compile(node);
    const known = this.#written;
    this.#written = undefined;
    if (known === undefined) await this.#apply(program);
    else await this.#restore(this.#chainsApart(known, program));
    this.#written = program;
  }

  /** Compares with the kernel and puts right; a line for each table in which something was to be put right. */
  async check(): Promise<string[]> {
    if (this.#node === undefined || this.#written === undefined) return [];
    this.#written = undefined;
    const program = this.#compile(this.#node);
    const changes = await this.#apply(program);
    this.#written = program;
    const tables = new Set(changes.map(({ table }) => table));
    return [...tables].map((table) => `${this.#family} table ${table}: rules were missing or changed`);
  }

  /** Removes all chains of ours but shared ones, and what leads to them. Whether there were any. */
  async remove(isShared: SharedChain): Promise<boolean> {
    this.#written = undefined;
    let found = false;
    for (const table of this.#compile(nobody)) {
      const ours = ownNames(table.chains).filter((name) => !isShared(table.name, name));
      const builtIn = table.chains.filter(({ policy }) => policy !== undefined);
      const changes = await this.#difference(
        table.name,
        builtIn.map(({ name }) => ({ kind: 'built-in', table: table.name, chain: name, rules: [] })),
        ours,
      );
      found ||= changes.length > 0;
      await this.#restore(changes);
    }
    return found;
  }

  #compile(node: NodeFacts): Program {
    return compileRules({ node, family: this.#family, masqueradeBit: this.#masqueradeBit });
  }

  async #apply(program: Program): Promise<ChainChange[]> {
    const all: ChainChange[] = [];
    for (const { name, chains } of program) {
      const wanted = chains.map((chain) => this.#wanted(name, chain));
      all.push(...(await this.#difference(name, wanted, ownNames(chains))));
    }
    await this.#restore(all);
    return all;
  }

  /** How to come from one program to another: chains and their names are the same in both. */
  #chainsApart(from: Program, to: Program): ChainChange[] {
    return to.flatMap(({ name: table, chains }) => {
      const before = from.find(({ name }) => name === table)?.chains ?? [];
      return chains.flatMap((chain): ChainChange[] => {
        const { kind, rules } = this.#wanted(table, chain);
        const old = before.find(({ name }) => name === chain.name);
        const known = old === undefined ? [] : this.#wanted(table, old).rules;
        if (known.length === rules.length && known.every((rule, i) => rule === rules[i])) return [];
        const place = { table, chain: chain.name };
        return [
          kind === 'own'
            ? { kind: 'write', ...place, rules }
            : { kind: 'edit', ...place, delete: known, insert: rules },
        ];
      });
    });
  }

  #wanted(table: TableName, { name: chain, rules, policy }: Chain): WantedChain {
    const texts = rules.map((rule) => printRule(rule, this.#family));
    return { kind: policy === undefined ? 'own' : 'built-in', table, chain, rules: texts };
  }

  async #difference(table: TableName, wanted: readonly WantedChain[], ours: readonly string[]): Promise<ChainChange[]> {
    const current = new Map([[table, await this.#iptables.list(this.#family, table)]]);
    const steps = diff(current, wanted, { family: this.#family, isOurs: (chain) => ours.includes(chain) });
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  async #restore(changes: readonly ChainChange[]): Promise<void> {
    for (const input of restores(changes, Number.POSITIVE_INFINITY)) await this.#iptables.restore(this.#family, input);
  }
}

/** The names of chains do not depend on the node. */
const nobody: NodeFacts = {
  name: '',
  zone: undefined,
  addresses: [],
  nodePortAddresses: [],
  nodePortsEverywhere: [],
  localTraffic: { by: 'source', blocks: [] },
};

function ownNames(chains: readonly Chain[]): string[] {
  return chains.filter(({ policy }) => policy === undefined).map(({ name }) => name);
}
