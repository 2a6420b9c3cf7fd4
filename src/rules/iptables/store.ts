import type { IpFamily } from '../../net/ip.ts';
import type { ChainChange, WantedChain } from './diff.ts';
import { printRule } from './print.ts';
import type { Program, Rule, RuleText, TableName } from './syntax.ts';

/** What one owner has among the rules: chains of its own, and rules in chains that it shares with others. */
export interface OwnedRules {
  /** Chains that others of them lead to come first. */
  readonly chains: readonly { readonly table: TableName; readonly name: string; readonly rules: readonly Rule[] }[];
  readonly shared: readonly { readonly table: TableName; readonly chain: string; readonly rule: Rule }[];
}

/** The same as texts, which take a fraction of the memory and are what is compared. */
interface OwnedTexts {
  readonly chains: readonly { readonly table: TableName; readonly name: string; readonly rules: readonly RuleText[] }[];
  readonly shared: readonly { readonly table: TableName; readonly chain: string; readonly rule: RuleText }[];
}

/** The rules of all owners, by owner. */
export class RuleStore {
  readonly #family: IpFamily;
  readonly #owners = new Map<string, OwnedTexts>();
  readonly #counts = new Map<TableName, number>();

  constructor(family: IpFamily) {
    this.#family = family;
  }

  /** How many rules owners have in a table. */
  count(table: TableName): number {
    return this.#counts.get(table) ?? 0;
  }

  /**
   * Puts an owner's rules in the place of those it had; `undefined` takes it out. Gives what that means for the chains
   * that are right so far, and the way back.
   */
  replace(owner: string, rules: OwnedRules | undefined): { changes: ChainChange[]; undo: () => void } {
    const before = this.#owners.get(owner);
    const after = rules && textsOf(rules, this.#family);
    this.#put(owner, after);
    return { changes: changesOf(before ?? nothing, after ?? nothing), undo: () => this.#put(owner, before) };
  }

  #put(owner: string, texts: OwnedTexts | undefined): void {
    this.#count(this.#owners.get(owner), -1);
    this.#count(texts, 1);
    if (texts === undefined) this.#owners.delete(owner);
    else this.#owners.set(owner, texts);
  }

  #count({ chains, shared }: OwnedTexts = nothing, sign: 1 | -1): void {
    const add = (table: TableName, rules: number) => this.#counts.set(table, this.count(table) + sign * rules);
    for (const { table, rules } of chains) add(table, rules.length);
    for (const { table } of shared) add(table, 1);
  }

  /**
   * All chains there should be, each behind those that it leads to. Chains of the base that owners share have the base's
   * own rules at their end; those with a policy are others'.
   */
  *chains(base: Program, isShared: (table: TableName, chain: string) => boolean): Generator<WantedChain> {
    const all = base.flatMap(({ name: table, chains }) =>
      chains.map(({ name: chain, rules, policy }) => ({
        table,
        chain,
        isBuiltIn: policy !== undefined,
        rules: rules.map((rule) => printRule(rule, this.#family)),
      })),
    );
    const isEntrance = ({ table, chain, isBuiltIn }: (typeof all)[number]) => isBuiltIn || isShared(table, chain);
    for (const { table, chain, rules } of all.filter((entry) => !isEntrance(entry))) {
      yield { kind: 'own', table, chain, rules };
    }
    for (const { chains } of this.#owners.values()) {
      for (const { table, name: chain, rules } of chains) yield { kind: 'own', table, chain, rules };
    }
    for (const { table, chain, rules, isBuiltIn } of all.filter(isEntrance)) {
      if (isBuiltIn) yield { kind: 'built-in', table, chain, rules };
      else yield { kind: 'shared', table, chain, rules: [...this.shared(table, chain), ...rules], tail: rules.length };
    }
  }

  /** The rules that owners have in a shared chain. */
  shared(table: TableName, chain: string): RuleText[] {
    const rules: RuleText[] = [];
    for (const { shared } of this.#owners.values()) {
      for (const entry of shared) if (entry.table === table && entry.chain === chain) rules.push(entry.rule);
    }
    return rules;
  }

  /** Who owns a chain, or with a rule given, that rule in a shared chain; for as long as nothing is replaced. */
  ownership(): (place: { table: TableName; chain: string; rule?: RuleText }) => string | undefined {
    const owners = new Map<string, string>();
    for (const [owner, { chains, shared }] of this.#owners) {
      for (const { table, name } of chains) owners.set(`${table} ${name}`, owner);
      for (const { table, chain, rule } of shared) owners.set(`${table} ${chain} ${rule}`, owner);
    }
    return ({ table, chain, rule }) =>
      owners.get(`${table} ${chain}`) ?? (rule === undefined ? undefined : owners.get(`${table} ${chain} ${rule}`));
  }
}

const nothing: OwnedTexts = { chains: [], shared: [] };

function textsOf({ chains, shared }: OwnedRules, family: IpFamily): OwnedTexts {
  return {
    chains: chains.map(({ rules, ...place }) => ({ ...place, rules: rules.map((rule) => printRule(rule, family)) })),
    shared: shared.map(({ rule, ...place }) => ({ ...place, rule: printRule(rule, family) })),
  };
}

function changesOf(before: OwnedTexts, after: OwnedTexts): ChainChange[] {
  const changes: ChainChange[] = [];
  const left = new Map(before.chains.map((own) => [`${own.table} ${own.name}`, own]));
  for (const { table, name: chain, rules } of after.chains) {
    const there = left.get(`${table} ${chain}`)?.rules;
    left.delete(`${table} ${chain}`);
    const same = there !== undefined && there.length === rules.length && there.every((rule, i) => rule === rules[i]);
    if (!same) changes.push({ kind: 'write', table, chain, rules });
  }
  changes.push(...sharedChanges(before, after));
  for (const { table, name: chain } of left.values()) changes.push({ kind: 'remove', table, chain });
  return changes;
}

function sharedChanges({ shared: before }: OwnedTexts, { shared: after }: OwnedTexts): ChainChange[] {
  const edits = new Map<string, ChainChange & { kind: 'edit'; delete: RuleText[]; insert: RuleText[] }>();
  const editOf = ({ table, chain }: OwnedTexts['shared'][number]) => {
    const key = `${table} ${chain}`;
    const known = edits.get(key) ?? { kind: 'edit' as const, table, chain, delete: [], insert: [] };
    edits.set(key, known);
    return known;
  };
  const isIn = (list: OwnedTexts['shared'], { table, chain, rule }: OwnedTexts['shared'][number]) =>
    list.some((own) => own.rule === rule && own.chain === chain && own.table === table);
  for (const entry of before) if (!isIn(after, entry)) editOf(entry).delete.push(entry.rule);
  for (const entry of after) if (!isIn(before, entry)) editOf(entry).insert.push(entry.rule);
  return [...edits.values()];
}
