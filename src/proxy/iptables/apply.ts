import { SignalboxError } from '../../errors/error.ts';
import { type Iptables, Refusal } from '../../kernel/iptables/interface.ts';
import type { IpFamily } from '../../net/ip.ts';
import { type ChainChange, joinEdits, restores } from '../../rules/iptables/diff.ts';
import type { RuleText, TableName } from '../../rules/iptables/syntax.ts';

/** Where changes go. */
export interface ApplyTarget {
  readonly iptables: Iptables;
  readonly family: IpFamily;
}

/**
 * Chains in one input. The nft variant looks each chain up among all that the input names, which takes the square of
 * their number: 30,000 at once take it a minute, and in inputs of 300 they take 3 s. The legacy variant reads and
 * writes the whole table for every input.
 */
const chainsAtOnce = { legacy: Number.POSITIVE_INFINITY, nft: 300 } as const;

/** Carries changes out, in as many inputs as suit the tool. */
export async function apply(changes: readonly ChainChange[], { iptables, family }: ApplyTarget): Promise<void> {
  for (const input of restores(changes, chainsAtOnce[iptables.variant])) await iptables.restore(family, input);
}

/** An error for which a part of the input is to blame. */
export interface RefusalError extends SignalboxError {
  readonly cause: Refusal;
}

export function isRefusal(error: unknown): error is RefusalError {
  return error instanceof SignalboxError && error.cause instanceof Refusal;
}

/** Whose a chain is, or a rule in a chain that many share; see `RuleStore.ownership`. */
type Ownership = (place: { table: TableName; chain: string; rule?: RuleText }) => string | undefined;

/**
 * Carries out as many of the changes as the tool takes, and gives the owners of the others. What is nobody's alone must
 * be taken.
 */
export async function applyApart(
  changes: readonly ChainChange[],
  ownerOf: Ownership,
  target: ApplyTarget,
): Promise<Map<string, SignalboxError>> {
  const { common, removals, owned } = byOwner(changes, ownerOf);
  await apply(common, target);
  const failures = new Map<string, SignalboxError>();
  await applyOwned(owned, failures, { ...target, ownerOf });
  // A refused owner's chains may still lead to one of these.
  await apply(failures.size === 0 ? removals : [], target);
  return failures;
}

type Owned = ReadonlyMap<string, readonly ChainChange[]>;

async function applyOwned(
  owned: Owned,
  failures: Map<string, SignalboxError>,
  target: ApplyTarget & { readonly ownerOf: Ownership },
): Promise<void> {
  if (owned.size === 0) return;
  try {
    await apply(joinEdits([...owned.values()].flat()), target);
    return;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const [first = '', ...more] = owned.keys();
    const guilty = more.length === 0 ? first : guiltyOf(error, target.ownerOf);
    if (guilty !== undefined && owned.has(guilty)) {
      failures.set(guilty, error);
      await applyOwned(new Map([...owned].filter(([owner]) => owner !== guilty)), failures, target);
      return;
    }
  }
  const entries = [...owned];
  const middle = entries.length >> 1;
  await applyOwned(new Map(entries.slice(0, middle)), failures, target);
  await applyOwned(new Map(entries.slice(middle)), failures, target);
}

function guiltyOf({ cause: { at } }: RefusalError, ownerOf: Ownership): string | undefined {
  if (at === undefined) return undefined;
  const { table, command } = at;
  return ownerOf({ table, chain: command.chain, ...('rule' in command ? { rule: command.rule } : {}) });
}

/** Changes by whose they are: a chain that many share is written without their rules, which each owner then brings. */
function byOwner(changes: readonly ChainChange[], ownerOf: Ownership) {
  const common: ChainChange[] = [];
  const removals: ChainChange[] = [];
  const owned = new Map<string, ChainChange[]>();
  const give = (owner: string | undefined, change: ChainChange) => {
    if (owner === undefined) common.push(change);
    else owned.set(owner, [...(owned.get(owner) ?? []), change]);
  };
  for (const change of changes) {
    const { table, chain } = change;
    if (change.kind === 'remove') removals.push(change);
    else if (change.kind === 'write' && change.entrance !== true) give(ownerOf({ table, chain }), change);
    else {
      const own = (rule: RuleText) => ownerOf({ table, chain, rule });
      const rules = change.kind === 'write' ? change.rules : change.insert;
      if (change.kind === 'write') {
        common.push({ ...change, rules: rules.filter((rule) => own(rule) === undefined) });
      } else {
        common.push({ ...change, insert: rules.filter((rule) => own(rule) === undefined) });
      }
      for (const rule of rules) {
        const owner = own(rule);
        if (owner !== undefined) give(owner, { kind: 'edit', table, chain, delete: [], insert: [rule] });
      }
    }
  }
  return { common, removals, owned };
}
