import { sameElement } from './compare.ts';
import { elementKeyText, printHook, printRule } from './print.ts';
import type {
  Chain,
  Element,
  ElementUnit,
  ObjectCommand,
  Program,
  SetDeclaration,
  TableName,
  Transaction,
} from './syntax.ts';

/**
 * The transaction that makes the next table out of the previous one (`undefined`: there is none). What is equal in
 * both is not touched, and no packet notices. `groups` are further elements of the next table; each group, and the
 * program's own elements, become visible together even where the whole is too large to.
 */
export function diff(
  previous: Program | undefined,
  next: Program,
  groups: Iterable<readonly Element[]> = [],
): Transaction {
  const old = previous ?? empty(next);
  const sets = compareByName(old.sets, next.sets, sameSet);
  const chains = compareByName(old.chains, next.chains, sameHook);
  const newChains = new Set(chains.added);
  const rewritten = chains.kept.filter(([before, after]) => !sameRules(before, after));
  // A rule stands in the way of what it refers to: so rules go first and come last.
  const commands: ObjectCommand[] = [
    ...(previous === undefined ? [addTable(next)] : []),
    ...[...rewritten.map(([before]) => before), ...chains.removed].map(
      (chain): ObjectCommand => ({ verb: 'flush', object: 'chain', name: chain.name }),
    ),
    ...chains.removed.map((chain): ObjectCommand => ({ verb: 'delete', object: 'chain', name: chain.name })),
    ...sets.removed.map(
      (set): ObjectCommand => ({ verb: 'delete', object: 'set', name: set.name, map: set.data !== undefined }),
    ),
    ...sets.added.map((set): ObjectCommand => ({ verb: 'add', object: 'set', set })),
    ...chains.added.map(addChain),
    ...next.chains
      .filter((chain) => newChains.has(chain) || rewritten.some(([, after]) => after === chain))
      .flatMap(addRules),
  ];
  const gone = new Set([...sets.removed, ...old.sets.filter(({ dynamic }) => dynamic)].map(({ name }) => name));
  const existing = old.elements.filter((element) => !gone.has(element.set));
  return { family: next.family, table: next.table, commands, units: elementUnits(existing, next.elements, groups) };
}

/** A unit for each group that is not there as it should be, and one for each element that nobody wants any more. */
function elementUnits(
  existing: readonly Element[],
  own: readonly Element[],
  groups: Iterable<readonly Element[]>,
): ElementUnit[] {
  const remaining = new Map(existing.map((element) => [elementKeyText(element), element]));
  const units: ElementUnit[] = [];
  const addUnit = (group: readonly Element[]) => {
    if (remaining.size === 0) {
      if (group.length > 0) units.push({ delete: [], add: group });
      return;
    }
    const unit = { delete: [] as Element[], add: [] as Element[] };
    for (const element of group) {
      const key = elementKeyText(element);
      const old = remaining.get(key);
      remaining.delete(key);
      if (old !== undefined && sameElement(old, element)) continue;
      if (old !== undefined) unit.delete.push(old);
      unit.add.push(element);
    }
    if (unit.add.length > 0) units.push(unit);
  };
  addUnit(own);
  for (const group of groups) addUnit(group);
  for (const element of remaining.values()) units.push({ delete: [element], add: [] });
  return units;
}

/** The transaction that deletes a table with all that is in it. */
export function deletion({ family, table }: TableName): Transaction {
  return { family, table, commands: [{ verb: 'delete', object: 'table' }], units: [] };
}

function empty({ family, table }: TableName): Program {
  return { family, table, sets: [], chains: [], elements: [] };
}

function addTable({ comment }: Program): ObjectCommand {
  return { verb: 'add', object: 'table', ...(comment !== undefined && { comment }) };
}

function addChain({ name, hook }: Chain): ObjectCommand {
  return { verb: 'add', object: 'chain', name, ...(hook !== undefined && { hook }) };
}

function addRules({ name, rules }: Chain): ObjectCommand[] {
  return rules.map((rule) => ({ verb: 'add', object: 'rule', chain: name, rule }));
}

interface Comparison<T> {
  readonly removed: readonly T[];
  readonly added: readonly T[];
  readonly kept: readonly (readonly [before: T, after: T])[];
}

/** Things of one name that differ are both removed and added. */
function compareByName<T extends { readonly name: string }>(
  previous: readonly T[],
  next: readonly T[],
  same: (a: T, b: T) => boolean,
): Comparison<T> {
  const before = new Map(previous.map((thing) => [thing.name, thing]));
  const kept: [T, T][] = [];
  const added: T[] = [];
  for (const thing of next) {
    const old = before.get(thing.name);
    if (old !== undefined && same(old, thing)) {
      kept.push([old, thing]);
      before.delete(thing.name);
    } else added.push(thing);
  }
  return { removed: [...before.values()], added, kept };
}

function sameSet(a: SetDeclaration, b: SetDeclaration): boolean {
  const types = (set: SetDeclaration) =>
    [set.key, set.data ?? 'no data', set.interval === true, set.dynamic?.size].join('|');
  return a.key.length > 0 && types(a) === types(b);
}

function sameHook(a: Chain, b: Chain): boolean {
  if (a.hook === undefined || b.hook === undefined) return a.hook === b.hook;
  return printHook(a.hook) === printHook(b.hook);
}

function sameRules(a: Chain, b: Chain): boolean {
  const text = (chain: Chain) => chain.rules.map(printRule).join('\n');
  return text(a) === text(b);
}
