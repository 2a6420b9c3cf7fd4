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

const nobody: readonly Holder[] = [];

/** The owners of a claim, the one in the kernel first. Mostly there is one. */
interface Holder {
  readonly owner: string;
  readonly elements: readonly Element[];
}

/**
 * What all owners together want to be in the kernel. The first owner of a claim holds it until it lets go, then the
 * next in line does: two Services that share an endpoint Pod, or quarrel about an external IP, never disturb each
 * other. A change costs as much as the owner is large, however many owners there are.
 */
export class ElementStore {
  readonly #owners = new Map<string, Elements>();
  readonly #holders = new Map<string, readonly Holder[]>();

  /** Sets, changes or (with `undefined`) removes what an owner wants, and gives what is different thereby. */
  replace(owner: string, elements: Elements | undefined): ElementChanges {
    const next = new Map(elements?.map((group) => [group.claim, group.elements]));
    const changes: ClaimChange[] = [];
    for (const { claim } of this.#owners.get(owner) ?? []) {
      if (!next.has(claim)) this.#hold(claim, { owner, elements: undefined }, changes);
    }
    for (const [claim, wanted] of next) this.#hold(claim, { owner, elements: wanted }, changes);
    if (elements === undefined || elements.length === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, elements);
    return changes;
  }

  /** Puts an owner's elements in its place in the line, or takes it out of it. */
  #hold(claim: string, want: { owner: string; elements: readonly Element[] | undefined }, out: ClaimChange[]): void {
    const { owner, elements } = want;
    const line = this.#holders.get(claim) ?? nobody;
    const place = line.findIndex((holder) => holder.owner === owner);
    const next = line.filter((holder) => holder.owner !== owner);
    if (elements !== undefined) next.splice(place < 0 ? next.length : place, 0, { owner, elements });
    if (next.length > 0) this.#holders.set(claim, next);
    else this.#holders.delete(claim);
    const before = line[0]?.elements ?? [];
    const after = next[0]?.elements ?? [];
    if (!sameElements(before, after)) out.push({ claim, before, after });
  }

  /** Everything that is to be in the kernel now, owner by owner. */
  *groups(): Generator<readonly Element[], void, undefined> {
    for (const [owner, groups] of this.#owners) {
      const held = groups.filter(({ claim }) => this.#holders.get(claim)?.[0]?.owner === owner);
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

/** The least change from some elements to others. */
function addDifference(
  previous: readonly Element[],
  next: readonly Element[],
  unit: { delete: Element[]; add: Element[] },
): void {
  const remaining = new Map<string, Element>();
  for (const element of previous) remaining.set(elementKeyText(element), element);
  for (const element of next) {
    const key = elementKeyText(element);
    const old = remaining.get(key);
    remaining.delete(key);
    if (old !== undefined && sameElement(old, element)) continue;
    if (old !== undefined) unit.delete.push(old);
    unit.add.push(element);
  }
  for (const element of remaining.values()) unit.delete.push(element);
}

function sameElements(left: readonly Element[], right: readonly Element[]): boolean {
  return left.length === right.length && left.every((element, i) => sameOrBothAbsent(element, right[i]));
}

function sameOrBothAbsent(left: Element, right: Element | undefined): boolean {
  return right !== undefined && sameElement(left, right);
}
