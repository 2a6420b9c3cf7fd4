import { compileBase } from '../backends/nftables/compile.ts';
import { compileServicePort } from '../backends/nftables/service.ts';
import { SignalboxError } from '../errors/error.ts';
import { isKernelError } from '../kernel/ffi.ts';
import type { NftablesKernel } from '../kernel/nftables/interface.ts';
import type { NodeFacts } from '../model/types.ts';
import type { IpFamily } from '../net/ip.ts';
import { diff } from '../rules/nftables/diff.ts';
import { type ElementChanges, ElementStore, type Elements, elementTransaction } from '../rules/nftables/elements.ts';
import type { ElementUnit, ObjectCommand, Program, TableName, Transaction } from '../rules/nftables/syntax.ts';
import type { CheckResult, ServicePortUpdates, SyncResult } from './backend.ts';

/** Reasons that lie in the whole and not in what is asked for: nothing is learned by asking for less. */
const hopeless = ['EPERM', 'EACCES', 'EAGAIN', 'EINTR', 'ENOMEM', 'ENOBUFS'];

/** When units are tried apart, so many elements at once fit in a batch of any size the kernel may have been set to. */
const elementsApart = 500;

type Refused = Map<string, SignalboxError>;

/** Our table of one family: what should be in it, and how that gets into the kernel. */
export class NftablesTable {
  readonly #kernel: NftablesKernel;
  readonly #family: IpFamily;
  readonly #store = new ElementStore();
  #base: Program;
  /** Whether the kernel is known to have what the store says; not before the first load, nor after a failure. */
  #certain = false;

  constructor(kernel: NftablesKernel, family: IpFamily, node: NodeFacts) {
    this.#kernel = kernel;
    this.#family = family;
    this.#base = compileBase(node, family);
  }

  /** Changes Service ports, in one transaction. If the kernel refuses, those that it is about are found and left out. */
  sync(updates: ServicePortUpdates): SyncResult {
    if (!this.#certain) return this.#reconcile(updates);
    const { changes, before, refused } = this.#replace(updates);
    try {
      this.#kernel.apply(elementTransaction(this.#base, changes));
      return { refused };
    } catch (error) {
      this.#restore(before);
      this.#certain = false;
      if (!mayBeDivided(error)) throw error;
      return this.#reconcile(updates);
    }
  }

  /**
   * Makes the table in the kernel what it should be on this node and with these updates, whatever is in it: nothing,
   * what an earlier run left, or what others made of it. Elements that are right are not touched.
   */
  load(node: NodeFacts, updates: ServicePortUpdates): CheckResult {
    this.#base = compileBase(node, this.#family);
    return this.#reconcile(updates);
  }

  /** Compares with the kernel and puts right what differs. */
  check(): CheckResult {
    return this.#reconcile(new Map());
  }

  /** Puts updates in the store. What cannot be compiled is refused right here. */
  #replace(updates: ServicePortUpdates) {
    const refused: Refused = new Map();
    const before = new Map<string, Elements | undefined>();
    const changes: ElementChanges[] = [];
    for (const [name, port] of updates) {
      try {
        const elements = port && compileServicePort(port, this.#family);
        before.set(name, this.#store.owners.get(name));
        changes.push(this.#store.replace(name, elements));
      } catch (error) {
        if (!(error instanceof SignalboxError)) throw error;
        refused.set(name, error);
      }
    }
    return { changes, before, refused };
  }

  #restore(before: ReadonlyMap<string, Elements | undefined>): void {
    for (const [name, elements] of before) this.#store.replace(name, elements);
  }

  #reconcile(updates: ServicePortUpdates): CheckResult {
    const { before, refused } = this.#replace(updates);
    this.#certain = false;
    try {
      const difference = this.#difference();
      try {
        this.#kernel.apply(difference);
      } catch (error) {
        if (!mayBeDivided(error)) throw error;
        this.#leaveOut(before, refused);
      }
      this.#certain = true;
      return { repaired: describe(this.#base, difference), refused };
    } catch (error) {
      this.#restore(before);
      throw error;
    }
  }

  /**
   * Brings everything in but what the kernel refuses. The owner of that is put back to what it was; if that is refused
   * too, as somebody may have emptied the table, it goes without.
   */
  #leaveOut(before: ReadonlyMap<string, Elements | undefined>, refused: Refused): void {
    for (const fallback of [before, new Map<string, Elements>()]) {
      const failures = this.#applyApart(this.#difference());
      if (failures.length === 0) return;
      // Several units can be of one owner: all are looked up before the first one is put back.
      for (const { owner, error } of failures.map(({ unit, error }) => ({ owner: this.#ownerOf(unit), error }))) {
        if (owner === undefined) throw error;
        this.#store.replace(owner, fallback.get(owner));
        refused.set(owner, error);
      }
    }
    this.#kernel.apply(this.#difference());
  }

  #difference(): Transaction {
    return diff(this.#kernel.load(this.#family), this.#base, this.#store.groups());
  }

  /** Carries out as much of a transaction as the kernel takes, and gives the units that it does not. */
  #applyApart({ commands, units, ...table }: Transaction): { unit: ElementUnit; error: SignalboxError }[] {
    this.#kernel.apply({ ...table, commands, units: [] });
    return inChunks(units).flatMap((chunk) => this.#bisect(table, chunk));
  }

  #bisect(table: TableName, units: readonly ElementUnit[]): { unit: ElementUnit; error: SignalboxError }[] {
    try {
      this.#kernel.apply({ ...table, commands: [], units });
      return [];
    } catch (error) {
      if (!mayBeDivided(error)) throw error;
      const [unit, ...more] = units;
      if (unit !== undefined && more.length === 0) return [{ unit, error }];
      const middle = units.length >> 1;
      return [...this.#bisect(table, units.slice(0, middle)), ...this.#bisect(table, units.slice(middle))];
    }
  }

  /** Whose elements a unit adds. Looked for one by one: this is needed only for what the kernel refused. */
  #ownerOf({ add: [wanted] }: ElementUnit): string | undefined {
    for (const [name, groups] of this.#store.owners) {
      if (groups.some(({ elements }) => elements.some((element) => element === wanted))) return name;
    }
    return undefined;
  }
}

/** Whether a part of what was refused as a whole may be taken. */
function mayBeDivided(error: unknown): error is SignalboxError {
  return error instanceof SignalboxError && isKernelError(error.cause) && !isKernelError(error.cause, ...hopeless);
}

function inChunks(units: readonly ElementUnit[]): ElementUnit[][] {
  const chunks: ElementUnit[][] = [];
  let room = 0;
  for (const unit of units) {
    const size = unit.delete.length + unit.add.length;
    if (size > room || chunks.length === 0) {
      chunks.push([]);
      room = elementsApart;
    }
    chunks.at(-1)?.push(unit);
    room -= size;
  }
  return chunks;
}

/** What a transaction puts right, a line for each kind; for the log. */
function describe({ family, table }: TableName, { commands, units }: Transaction): string[] {
  const name = `${family} ${table}`;
  if (commands.some(({ verb, object }) => verb === 'add' && object === 'table')) return [`${name}: was missing`];
  const count = (verb: 'add' | 'delete') => units.reduce((sum, unit) => sum + unit[verb].length, 0);
  const lines = [...new Set(commands.map(objectOf))].map((object) => `${object} was missing or changed`);
  if (count('add') > 0) lines.push(`${count('add')} elements were missing or changed`);
  if (count('delete') > 0) lines.push(`${count('delete')} elements were changed or nobody's`);
  return lines.map((line) => `${name}: ${line}`);
}

function objectOf(command: ObjectCommand): string {
  if (command.object === 'table') return 'table';
  if (command.object === 'rule') return `chain ${command.chain}`;
  return `${command.object} ${'set' in command ? command.set.name : command.name}`;
}
