import { type Name, parentName, rootName } from './wire/name.ts';
import type { Rdata } from './wire/rdata.ts';

/** One record of a zone. */
export interface ZoneRecord {
  readonly owner: Name;
  readonly type: number;
  readonly rdata: Rdata;
  /** Seconds. One figure for all records of an owner and type (RFC 2181 §5.2). */
  readonly ttl: number;
}

const noReasons: readonly number[] = [];

/** From this many records on, a set is indexed; a scan is faster below. */
const indexedSize = 16;

/** What only sets of some size, or of records with several reasons, have. */
interface SetIndexes {
  /** Reasons beyond the first, where there are any. */
  readonly moreReasons: Map<Rdata, number>;
  /** The position of each record; absent in small sets. */
  positions: Map<Rdata, number> | undefined;
}

/**
 * All records of one owner and type, at least one. The same record may be there for several reasons, and stays until
 * the last of them is gone. The order is arbitrary.
 */
export class RecordSet {
  readonly type: number;
  readonly ttl: number;
  // Nearly all sets have one record, and there are several to each Service: an array costs as much as all the rest.
  #rdata: Rdata | Rdata[];
  #indexes: SetIndexes | undefined;

  constructor({ type, ttl, rdata }: Omit<ZoneRecord, 'owner'>) {
    this.type = type;
    this.ttl = ttl;
    this.#rdata = rdata;
  }

  /** How many different records. */
  get size(): number {
    return typeof this.#rdata === 'string' ? 1 : this.#rdata.length;
  }

  /** How many reasons the records have together: at least `size`. */
  get reasons(): number {
    let reasons = this.size;
    for (const more of this.#indexes?.moreReasons.values() ?? noReasons) reasons += more;
    return reasons;
  }

  /** The data of the record at a position below `size`. */
  at(position: number): Rdata {
    return typeof this.#rdata === 'string' ? this.#rdata : (this.#rdata[position] as Rdata);
  }

  /** Returns whether the record is new. */
  add(rdata: Rdata): boolean {
    if (this.#find(rdata) >= 0) {
      const { moreReasons } = this.#obtainIndexes();
      moreReasons.set(rdata, (moreReasons.get(rdata) ?? 0) + 1);
      return false;
    }
    const all = typeof this.#rdata === 'string' ? [this.#rdata] : this.#rdata;
    this.#rdata = all;
    all.push(rdata);
    const positions = this.#indexes?.positions;
    if (positions !== undefined) positions.set(rdata, all.length - 1);
    else if (all.length > indexedSize) this.#obtainIndexes().positions = new Map(all.map((data, i) => [data, i]));
    return true;
  }

  /** Takes one reason away. Returns whether the record is gone; of the last one a set of no use is left. */
  delete(rdata: Rdata): boolean {
    const at = this.#find(rdata);
    if (at < 0) return false;
    const more = this.#indexes?.moreReasons.get(rdata) ?? 0;
    if (more > 1) this.#indexes?.moreReasons.set(rdata, more - 1);
    else this.#indexes?.moreReasons.delete(rdata);
    if (more > 0) return false;
    if (typeof this.#rdata === 'string') {
      this.#rdata = [];
      return true;
    }
    // The last takes the place of the one that goes: no more is moved, however large the set.
    const last = this.#rdata.pop() as Rdata;
    const positions = this.#indexes?.positions;
    positions?.delete(rdata);
    if (last !== rdata) {
      this.#rdata[at] = last;
      positions?.set(last, at);
    }
    return true;
  }

  /** The records as they are now, apart from what becomes of these. */
  clone(): RecordSet {
    const clone = new RecordSet({ type: this.type, ttl: this.ttl, rdata: this.at(0) });
    if (typeof this.#rdata !== 'string') clone.#rdata = [...this.#rdata];
    if (this.#indexes !== undefined)
      clone.#indexes = { moreReasons: new Map(this.#indexes.moreReasons), positions: undefined };
    return clone;
  }

  #obtainIndexes(): SetIndexes {
    this.#indexes ??= { moreReasons: new Map(), positions: undefined };
    return this.#indexes;
  }

  #find(rdata: Rdata): number {
    if (typeof this.#rdata === 'string') return this.#rdata === rdata ? 0 : -1;
    const positions = this.#indexes?.positions;
    return positions === undefined ? this.#rdata.indexOf(rdata) : (positions.get(rdata) ?? -1);
  }
}

const noSets: readonly RecordSet[] = [];

/** A name that exists: it has records, or names below it do, or it was said to exist. */
export class NameNode {
  /** Names directly below, and holds. */
  supports = 0;
  /** Grows from name to name as they come to exist. */
  readonly order: number;
  // As with records: most names have one set, and would have an array for it.
  #sets: RecordSet | readonly RecordSet[] = noSets;

  constructor(order: number) {
    this.order = order;
  }

  /** Whether there is a record. */
  get hasRecords(): boolean {
    return this.#sets !== noSets;
  }

  /** At most a handful: one for each type. */
  get sets(): readonly RecordSet[] {
    return this.#sets instanceof RecordSet ? [this.#sets] : this.#sets;
  }

  set sets(sets: readonly RecordSet[]) {
    const [only] = sets;
    this.#sets = only === undefined ? noSets : sets.length === 1 ? only : sets;
  }

  /** The records of a type. */
  set(type: number): RecordSet | undefined {
    if (this.#sets instanceof RecordSet) return this.#sets.type === type ? this.#sets : undefined;
    for (const set of this.#sets) if (set.type === type) return set;
    return undefined;
  }
}

/** A reading of a tree that goes on. */
class Snapshot {
  /** The last name it is about. */
  readonly end: number;
  /** The last name read. */
  read = -1;
  /** What was to be read of names that have changed before they were. */
  readonly before = new Map<Name, readonly RecordSet[]>();

  constructor(end: number) {
    this.end = end;
  }
}

/**
 * The names of a zone and their records. A name exists as long as anything at or below it does (RFC 8020), which is
 * what tells "no such name" from "no such data". One look-up, and changes cost what they change.
 */
export class NameTree {
  readonly #apex: Name;
  readonly #nodes = new Map<Name, NameNode>();
  readonly #snapshots = new Set<Snapshot>();
  #order = 0;

  /** The apex always exists. */
  constructor(apex: Name) {
    this.#apex = apex;
    this.#nodes.set(apex, new NameNode(this.#order));
  }

  /** How many names exist. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The name's node, if the name exists. */
  find(name: Name): NameNode | undefined {
    return this.#nodes.get(name);
  }

  /** Every name that exists. */
  entries(): IterableIterator<[Name, NameNode]> {
    return this.#nodes.entries();
  }

  /**
   * Every name's records as they were when the reading began, however long it takes and whatever changes meanwhile: only
   * what changes is kept twice. The records are those of one step, to be taken before the next one and before anything
   * else runs. A reader that does not read to the end must say so with `return`, as `for` does.
   */
  *snapshot(): Generator<readonly [Name, readonly RecordSet[]], void> {
    const snapshot = new Snapshot(this.#order);
    this.#snapshots.add(snapshot);
    try {
      // A map is read in the order its names came, new ones last: a place in that order parts what was read from the rest.
      for (const [name, node] of this.#nodes) {
        if (node.order > snapshot.end) break;
        snapshot.read = node.order;
        if (!snapshot.before.has(name) && node.hasRecords) yield [name, node.sets];
      }
      for (const [name, sets] of snapshot.before) if (sets.length > 0) yield [name, sets];
    } finally {
      this.#snapshots.delete(snapshot);
    }
  }

  /** Adds a reason for a record at or below the apex. Returns whether answers change. */
  add(record: ZoneRecord): boolean {
    const node = this.#obtain(record.owner);
    this.#keepForSnapshots(record.owner, node);
    const set = node.set(record.type);
    if (set !== undefined) return set.add(record.rdata);
    node.sets = [...node.sets, new RecordSet(record)];
    return true;
  }

  /** Takes back one `add` of an equal record. Returns whether answers change. */
  delete(record: ZoneRecord): boolean {
    const node = this.#nodes.get(record.owner);
    const set = node?.set(record.type);
    if (node === undefined || set === undefined) return false;
    this.#keepForSnapshots(record.owner, node);
    if (!set.delete(record.rdata)) return false;
    if (set.size === 0) {
      node.sets = node.sets.filter((other) => other !== set);
      this.#prune(record.owner, node);
    }
    return true;
  }

  /** Makes a name exist, with or without records. */
  hold(name: Name): void {
    this.#obtain(name).supports++;
  }

  /** Takes back one `hold`. */
  release(name: Name): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    node.supports--;
    this.#prune(name, node);
  }

  #keepForSnapshots(name: Name, { order, sets }: NameNode): void {
    for (const { read, end, before } of this.#snapshots)
      if (order > read && order <= end && !before.has(name))
        before.set(
          name,
          sets.map((set) => set.clone()),
        );
  }

  #obtain(name: Name): NameNode {
    const found = this.#nodes.get(name);
    if (found !== undefined) return found;
    if (name === rootName) throw new RangeError('a name outside the zone was added to it');
    const node = new NameNode(++this.#order);
    this.#nodes.set(name, node);
    this.#obtain(parentName(name)).supports++;
    return node;
  }

  #prune(name: Name, node: NameNode): void {
    if (node.hasRecords || node.supports > 0 || name === this.#apex) return;
    this.#nodes.delete(name);
    this.release(parentName(name));
  }
}
