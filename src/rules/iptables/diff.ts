import type { IpFamily } from '../../net/ip.ts';
import { parseRule } from './parse-rule.ts';
import { printRule } from './print.ts';
import type { Command, Match, Restore, RuleText, TableName } from './syntax.ts';
import { tableNames } from './syntax.ts';

/** Chains by name, with their rules as listings show them. */
export type ChainTexts = ReadonlyMap<string, readonly RuleText[]>;

/** Chains of each table. */
export type TableTexts = ReadonlyMap<TableName, ChainTexts>;

/** A chain as it should be. */
export type WantedChain = {
  readonly table: TableName;
  readonly chain: string;
  readonly rules: readonly RuleText[];
} /** All of it is ours, in this order. */ & (
  | { readonly kind: 'own' }
  /** Many lead in by it: all of it is ours, and the order does not matter, but for so many rules at the end. */
  | { readonly kind: 'shared'; readonly tail: number }
  /** A chain of others', in which these rules are wanted. */
  | { readonly kind: 'built-in' }
);

/** What is to happen to one chain. */
export type ChainChange = {
  readonly table: TableName;
  readonly chain: string;
} /** Made, or emptied, and filled. An entrance leads to chains that are written in the same go. */ & (
  | { readonly kind: 'write'; readonly rules: readonly RuleText[]; readonly entrance?: true }
  /** Of rules whose order is of no matter: some go, and others come in at the head, in this order. */
  | { readonly kind: 'edit'; readonly delete: readonly RuleText[]; readonly insert: readonly RuleText[] }
  | { readonly kind: 'remove' }
);

/** What the comparison must know besides. */
export interface DiffOptions {
  readonly family: IpFamily;
  /** Whether a chain is ours: gone if it is not wanted, and so is a rule in a built-in chain that leads to it. */
  readonly isOurs: (chain: string, table: TableName) => boolean;
}

/** Chains that are compared in one step of `diff`. */
const chainsInStep = 100;

/**
 * What makes of the chains there are those that are wanted, in their order. What is there in another spelling is right.
 * Goes in steps of less than a millisecond, but for chains of thousands of rules.
 */
export function* diff(
  current: TableTexts,
  wanted: Iterable<WantedChain>,
  options: DiffOptions,
): Generator<undefined, ChainChange[], undefined> {
  const changes: ChainChange[] = [];
  const seen = new Map<TableName, Set<string>>([...current.keys()].map((table) => [table, new Set()]));
  let compared = 0;
  for (const want of wanted) {
    if (compared++ % chainsInStep === chainsInStep - 1) yield;
    seen.get(want.table)?.add(want.chain);
    const change = diffChain(want, current.get(want.table)?.get(want.chain), options);
    if (change !== undefined) changes.push(change);
  }
  for (const [table, chains] of current) {
    for (const chain of chains.keys()) {
      if (options.isOurs(chain, table) && seen.get(table)?.has(chain) !== true)
        changes.push({ kind: 'remove', table, chain });
    }
  }
  return changes;
}

type Rules = readonly RuleText[];

function diffChain(want: WantedChain, there: Rules | undefined, options: DiffOptions): ChainChange | undefined {
  const { table, chain, rules } = want;
  const { family } = options;
  if (want.kind === 'built-in') {
    // Ours stand at the head to begin with. Where others put theirs before them they meant to.
    const ours = (there ?? []).filter((rule) => rules.includes(rule) || leadsToOurs(rule, table, options));
    return edit(want, unmatched(rules, ours, family));
  }
  const write: ChainChange = {
    kind: 'write',
    table,
    chain,
    rules,
    ...(want.kind === 'shared' ? { entrance: true } : {}),
  };
  if (there === undefined) return write;
  if (sameTexts(there, rules)) return undefined;
  if (want.kind === 'own') return sameRules(there, rules, family) ? undefined : write;
  if (!sameRules(last(there, want.tail), last(rules, want.tail), family)) return write;
  return edit(want, unmatched(rules, there, family));
}

function edit({ table, chain }: WantedChain, [missing, surplus]: [Rules, Rules]): ChainChange | undefined {
  if (missing.length + surplus.length === 0) return undefined;
  return { kind: 'edit', table, chain, delete: surplus, insert: missing };
}

function leadsToOurs(text: RuleText, table: TableName, { family, isOurs }: DiffOptions): boolean {
  const chain = chainLedTo(text, family);
  return chain !== undefined && isOurs(chain, table);
}

/** The chain that a rule jumps or goes to. */
export function chainLedTo(text: RuleText, family: IpFamily): string | undefined {
  const rule = parseRule(text, family);
  if ('foreign' in rule) return / -[jg] (\S+)(?: |$)/.exec(` ${rule.foreign}`)?.[1];
  const { target } = rule;
  return target?.kind === 'jump' || target?.kind === 'goto' ? target.chain : undefined;
}

function sameTexts(some: Rules, others: Rules): boolean {
  return some.length === others.length && some.every((rule, i) => rule === others[i]);
}

function sameRules(some: Rules, others: Rules, family: IpFamily): boolean {
  const canonical = (rule: RuleText) => canonicalRule(rule, family);
  return some.length === others.length && sameTexts(some.map(canonical), others.map(canonical));
}

function last(rules: Rules, count: number): Rules {
  return rules.slice(rules.length - Math.min(count, rules.length));
}

/** Rules that are in one list more often than in the other: those of the first, and those of the second. */
function unmatched(some: readonly RuleText[], others: readonly RuleText[], family: IpFamily): [RuleText[], RuleText[]] {
  const texts = [surplus(some, others), surplus(others, some)] as const;
  if (texts[0].length === 0 || texts[1].length === 0) return [...texts];
  const key = (rule: RuleText) => canonicalRule(rule, family);
  return [surplus(texts[0], texts[1], key), surplus(texts[1], texts[0], key)];
}

function surplus(rules: readonly RuleText[], others: readonly RuleText[], key = (rule: RuleText) => rule): RuleText[] {
  const left = new Map<RuleText, number>();
  for (const rule of others) left.set(key(rule), (left.get(key(rule)) ?? 0) + 1);
  return rules.filter((rule) => {
    const count = left.get(key(rule)) ?? 0;
    if (count > 0) left.set(key(rule), count - 1);
    return count === 0;
  });
}

/**
 * One text for all spellings of a rule. Versions of the tool differ in the order in which they show the matches, which
 * is of no matter as long as none of them keeps a record of those that come as far as it.
 */
export function canonicalRule(text: RuleText, family: IpFamily): RuleText {
  const rule = parseRule(text, family);
  if ('foreign' in rule) return text;
  if (rule.matches.some(({ kind }) => kind === 'recent set')) return printRule(rule, family);
  return printRule({ ...rule, matches: [...rule.matches].sort(byKind) }, family);
}

function byKind(a: Match, b: Match): number {
  return a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0;
}

/**
 * The tool looks for each rule that is to go among all of its chain; to write the whole chain takes as long as looking
 * for so many, however long it is (measured with both variants).
 */
const deletionsAtMost = 150;

/**
 * Changes with the edits of each chain as one.
 * @param whole gives the rules of a chain that may be written anew where too many of them would go
 */
export function joinEdits(
  changes: readonly ChainChange[],
  whole: (place: { table: TableName; chain: string }) => readonly RuleText[] | undefined = () => undefined,
): ChainChange[] {
  const joined: ChainChange[] = changes.filter(({ kind }) => kind !== 'edit');
  const edits = new Map<string, ChainChange & { kind: 'edit'; delete: RuleText[]; insert: RuleText[] }>();
  for (const change of changes) {
    if (change.kind !== 'edit') continue;
    const key = `${change.table} ${change.chain}`;
    const known = edits.get(key);
    if (known === undefined) edits.set(key, { ...change, delete: [...change.delete], insert: [...change.insert] });
    else {
      known.delete.push(...change.delete);
      known.insert.push(...change.insert);
    }
  }
  for (const edit of edits.values()) {
    const { table, chain } = edit;
    const rules = edit.delete.length > deletionsAtMost ? whole({ table, chain }) : undefined;
    if (rules !== undefined) joined.push({ kind: 'write', table, chain, rules, entrance: true });
    else if (edit.delete.length + edit.insert.length > 0) joined.push(edit);
  }
  return joined;
}

/**
 * Changes as inputs of the tool, each of which is carried out as a whole. If there are more than `batch` changes they
 * come in several, with so many chains in each, and between any two of them no rule leads to a chain that is not whole:
 * first the chains that others lead to, then the entrances, and what nothing leads to any more goes last.
 */
export function* restores(changes: readonly ChainChange[], batch: number): Generator<Restore, void, undefined> {
  if (changes.length <= batch) {
    if (changes.length > 0) yield restore(changes);
    return;
  }
  const inner = changes.filter((change) => change.kind === 'write' && change.entrance !== true);
  const entrances = changes.filter((change) => change.kind === 'edit' || (change.kind === 'write' && change.entrance));
  const removals = changes.filter(({ kind }) => kind === 'remove');
  yield* inBatches(inner, batch);
  if (entrances.length > 0) yield restore(entrances);
  // Any of them may lead to any other.
  if (removals.length > batch)
    yield* inBatches(
      removals.map(({ table, chain }) => ({ kind: 'write', table, chain, rules: [] })),
      batch,
    );
  yield* inBatches(removals, batch);
}

function* inBatches(changes: readonly ChainChange[], batch: number): Generator<Restore, void, undefined> {
  for (let i = 0; i < changes.length; i += batch) yield restore(changes.slice(i, i + batch));
}

function restore(changes: readonly ChainChange[]): Restore {
  return tableNames.flatMap((table) => {
    const own = changes.filter((change) => change.table === table);
    return own.length === 0 ? [] : [{ table, commands: commandsOf(own) }];
  });
}

/** A chain is declared before rules lead to it, and deleted when none does any more. */
function commandsOf(changes: readonly ChainChange[]): Command[] {
  const commands: Command[] = [];
  for (const { kind, chain } of changes) {
    if (kind !== 'edit') commands.push({ verb: 'declare', chain });
  }
  for (const change of changes) {
    const { chain } = change;
    if (change.kind === 'write') for (const rule of change.rules) commands.push({ verb: 'append', chain, rule });
    if (change.kind !== 'edit') continue;
    for (const rule of change.delete) commands.push({ verb: 'delete', chain, rule });
    for (const rule of [...change.insert].reverse()) commands.push({ verb: 'insert', chain, rule });
  }
  for (const { kind, chain } of changes) {
    if (kind === 'remove') commands.push({ verb: 'delete-chain', chain });
  }
  return commands;
}
