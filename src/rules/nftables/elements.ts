import { sameElement } from './compare.ts';
import { elementKeyText } from './print.ts';
import type { Element, TableName, Transaction } from './syntax.ts';

/**
 * Elements that only make sense together, such as a frontend's draw size and its endpoints. `claim` names what they
 * are about, `10.96.0.1 . tcp . 80`; of all owners with the same claim, the kernel has the elements of exactly one.
 */
export interface ElementGroup {
  readonly claim: string;
  readonly elements: readonly Element[];
}

/** What one owner wants to be in the kernel. No claim twice. */
export type Elements = readonly ElementGroup[];

/** How one claim's elements changed; empty where nobody holds the claim. */
export interface ClaimChange {
  readonly claim: string;
  readonly before: readonly Element[];
  readonly after: readonly Element[];
}

/** What one call of `ElementStore.replace` changed. */
export type ElementChanges = readonly ClaimChange[];

const none: readonly Element[] = [];

/**
 * What all owners together want to be in the kernel. The first owner of a claim holds it until it lets go, then the
 * next in line does: two Services that share an endpoint Pod, or quarrel about an external IP, never disturb each
 * other. A change costs as much as the owner is large, however many owners there are.
 */
export class ElementStore {
  readonly #owners = new Map<string, Elements>();
  /** The owners of a claim, the one in the kernel first; a bare name where there is one, as nearly everywhere. */
  readonly #lines = new Map<string, string | readonly string[]>();

  /** Sets, changes or (with `undefined`) removes what an owner wants, and gives what is different thereby. */
  replace(owner: string, elements: Elements | undefined): ElementChanges {
    const changes: ClaimChange[] = [];
    const old = this.#owners.get(owner) ?? [];
    // Of an owner of thousands of groups next to all are the same objects in the same places, and done with by that.
    const different = elements?.filter((group, i) => group !== old[i]) ?? [];
    const gone = elements === undefined ? old : old.filter((group, i) => group !== elements[i]);
    const left = new Map(gone.map((group) => [group.claim, group.elements]));
    for (const { claim, elements: wanted } of different) {
      const before = left.get(claim);
      left.delete(claim);
      if (before === undefined) this.#enter(owner, { claim, before: none, after: wanted }, changes);
      else if (this.#holderOf(claim) === owner) note({ claim, before, after: wanted }, changes);
    }
    for (const [claim, before] of left) this.#leave(owner, { claim, before, after: none }, changes);
    if (elements === undefined || elements.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, elements);
    return changes;
  }

  #enter(owner: string, change: ClaimChange, out: ClaimChange[]): void {
    const line = this.#lines.get(change.claim);
    if (line === undefined) {
      this.#lines.set(change.claim, owner);
      out.push(change);
    } else this.#lines.set(change.claim, typeof line === 'string' ? [line, owner] : [...line, owner]);
  }

  #leave(owner: string, change: ClaimChange, out: ClaimChange[]): void {
    const { claim, before } = change;
    const line = this.#lines.get(claim);
    if (line === undefined || line === owner) {
      this.#lines.delete(claim);
      out.push(change);
      return;
    }
    const heldIt = this.#holderOf(claim) === owner;
    const [next = '', ...others] = typeof line === 'string' ? [line] : line.filter((name) => name !== owner);
    this.#lines.set(claim, others.length === 0 ? next : [next, ...others]);
    if (!heldIt) return;
    const after = this.#owners.get(next)?.find((group) => group.claim === claim)?.elements ?? none;
    note({ claim, before, after }, out);
  }

  #holderOf(claim: string): string | undefined {
    const line = this.#lines.get(claim);
    return typeof line === 'string' ? line : line?.[0];
  }

  /** Everything that is to be in the kernel now, owner by owner. */
  *groups(): Generator<readonly Element[], void, undefined> {
    for (const [owner, groups] of this.#owners) {
      const held = groups.filter(({ claim }) => this.#holderOf(claim) === owner);
      if (held.length > 0) yield held.flatMap(({ elements }) => elements);
    }
  }

  /** Owners known, by name. */
  get owners(): ReadonlyMap<string, Elements> {
    return this.#owners;
  }
}

/**
 * Changes as one transaction, one unit for each of them. Changes of one claim are joined: what came and went again
 * in between leaves no trace.
 */
export function elementTransaction(table: TableName, changes: readonly ElementChanges[]): Transaction {
  const joined = new Map<string, { unit: number; before: readonly Element[]; after: readonly Element[] }>();
  changes.forEach((list, unit) => {
    for (const { claim, before, after } of list) {
      const earlier = joined.get(claim);
      if (earlier === undefined) joined.set(claim, { unit, before, after });
      else earlier.after = after;
    }
  });
  const units = changes.map(() => ({ delete: [] as Element[], add: [] as Element[] }));
  for (const { unit, before, after } of joined.values()) {
    const target = units[unit];
    if (target === undefined) continue;
    if (before.length > 0) addDifference(before, after, target);
    else target.add.push(...after);
  }
  return {
    family: table.family,
    table: table.table,
    commands: [],
    units: units.filter((unit) => unit.delete.length + unit.add.length > 0),
  };
}

/**
 * The least change from some elements to others. Most are the same objects in the same places, of a Service of thousands
 * of endpoints all but a few; only the others are compared.
 */
function addDifference(
  previous: readonly Element[],
  next: readonly Element[],
  unit: { delete: Element[]; add: Element[] },
): void {
  const old = previous.filter((element, i) => element !== next[i]);
  const remaining = new Map(old.map((element) => [elementKeyText(element), element]));
  for (const [i, element] of next.entries()) {
    if (element === previous[i]) continue;
    const key = elementKeyText(element);
    const before = remaining.get(key);
    remaining.delete(key);
    if (before !== undefined && sameElement(before, element)) continue;
    if (before !== undefined) unit.delete.push(before);
    unit.add.push(element);
  }
  for (const element of remaining.values()) unit.delete.push(element);
}

function note(change: ClaimChange, out: ClaimChange[]): void {
  if (!sameElements(change.before, change.after)) out.push(change);
}

function sameElements(left: readonly Element[], right: readonly Element[]): boolean {
  return left.length === right.length && left.every((element, i) => sameOrBothAbsent(element, right[i]));
}

function sameOrBothAbsent(left: Element, right: Element | undefined): boolean {
  return right !== undefined && sameElement(left, right);
}
