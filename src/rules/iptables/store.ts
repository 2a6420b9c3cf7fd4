import type { IpFamily } from '../../net/ip.ts';
import type { ChainChange, TableTexts } from './diff.ts';
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

  constructor(family: IpFamily) {
    this.#family = family;
  }

  has(owner: string): boolean {
    return this.#owners.has(owner);
  }

  /**
   * Puts an owner's rules in the place of those it had; `undefined` takes it out. Gives what that means for the chains,
   * and the way back.
   */
  replace(owner: string, rules: OwnedRules | undefined): { changes: ChainChange[]; undo: () => void } {
    const before = this.#owners.get(owner);
    const after = rules && textsOf(rules, this.#family);
    this.#put(owner, after);
    return { changes: changesOf(before ?? nothing, after ?? nothing), undo: () => this.#put(owner, before) };
  }

  #put(owner: string, texts: OwnedTexts | undefined): void {
    if (texts === undefined) this.#owners.delete(owner);
    else this.#owners.set(owner, texts);
  }

  /** All chains: those of the base in front, whose own rules are behind those of owners; chains that are led to first. */
  tables(base: Program): TableTexts {
    const tables = new Map<TableName, Map<string, RuleText[]>>();
    const tails: { readonly rules: RuleText[]; readonly own: readonly RuleText[] }[] = [];
    for (const { name: table, chains } of base) {
      const texts = new Map<string, RuleText[]>();
      tables.set(table, texts);
      for (const { name, rules: own } of chains) {
        const rules: RuleText[] = [];
        texts.set(name, rules);
        tails.push({ rules, own: own.map((rule) => printRule(rule, this.#family)) });
      }
    }
    for (const { chains, shared } of this.#owners.values()) {
      for (const { table, name, rules } of chains) tables.get(table)?.set(name, [...rules]);
      for (const { table, chain, rule } of shared) tables.get(table)?.get(chain)?.push(rule);
    }
    for (const { rules, own } of tails) rules.push(...own);
    return tables;
  }

  /** The rules that owners have in a shared chain. */
  shared(table: TableName, chain: string): RuleText[] {
    const rules: RuleText[] = [];
    for (const { shared } of this.#owners.values()) {
      for (const entry of shared) if (entry.table === table && entry.chain === chain) rules.push(entry.rule);
    }
    return rules;
  }

  /** Whose a chain is, or with a rule given, that rule in a shared chain. Looks through all owners. */
  ownerOf({ table, chain, rule }: { table: TableName; chain: string; rule?: RuleText }): string | undefined {
    for (const [owner, { chains, shared }] of this.#owners) {
      if (chains.some((own) => own.table === table && own.name === chain)) return owner;
      if (shared.some((own) => own.table === table && own.chain === chain && own.rule === rule)) return owner;
    }
    return undefined;
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
