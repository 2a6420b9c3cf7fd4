import { setImmediate } from 'node:timers/promises';
import { compileBase } from '../../backends/nftables/compile.ts';
import { tableName } from '../../backends/nftables/names.ts';
import { compileServicePort } from '../../backends/nftables/service.ts';
import { SignalboxError } from '../../errors/error.ts';
import { isKernelError } from '../../kernel/ffi.ts';
import type { NftablesKernel } from '../../kernel/nftables/interface.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import { familyOf, type IpFamily } from '../../net/ip.ts';
import { diff } from '../../rules/nftables/diff.ts';
import { type ElementChanges, ElementStore, type Elements, elementTransaction } from '../../rules/nftables/elements.ts';
import type { ElementUnit, ObjectCommand, Program, TableName, Transaction } from '../../rules/nftables/syntax.ts';
import { sameValue } from '../../tracker/same-value.ts';
import type { CheckResult, ServicePortUpdates, SyncResult } from '../backend.ts';

/** Reasons that lie in the whole and not in what is asked for: nothing is learned by asking for less. */
const hopeless = ['EPERM', 'EACCES', 'EAGAIN', 'EINTR', 'ENOMEM', 'ENOBUFS'];

/** When units are tried apart, so many elements at once fit in a batch of any size the kernel may have been set to. */
const elementsApart = 500;

/** Milliseconds that a comparison takes before it lets others have the thread. */
const sliceMs = 2;

/** Comparisons that somebody else's change interrupts, one after another, before it is done without a pause. */
const comparisons = 3;

type Refused = Map<string, SignalboxError>;

const unchanged: CheckResult = { repaired: [], refused: new Map() };

/** Our table of one family: what should be in it, and how that gets into the kernel. */
export class NftablesTable {
  readonly #kernel: NftablesKernel;
  readonly #family: IpFamily;
  readonly #name: string;
  readonly #store = new ElementStore();
  #node: NodeFacts | undefined;
  /** The table without Services on that node, whose elements alone depend on it. */
  #compiled: Program | undefined;
  /** The same, as the kernel is to have it; none before the first call, and as long as nothing of the family is there. */
  #base: Program | undefined;
  /** Whether it has been seen that an earlier run left no table. */
  #nothingLeft = false;
  /** Whether the kernel is known to have what base and store say; not before the first call, nor after a failure. */
  #certain = false;
  /** The kernel's word for the changes of others when it was last seen to have that. */
  #foreignChanges = Number.NaN;

  constructor(kernel: NftablesKernel, family: IpFamily, name: string = tableName) {
    this.#kernel = kernel;
    this.#family = family;
    this.#name = name;
  }

  /**
   * Makes the table without any Service if there is none and the node has Pods of the family; one that an earlier run
   * left stays as it is.
   */
  prepare(node: NodeFacts): void {
    const foreignChanges = this.#kernel.foreignChanges();
    const base = this.#baseFor(node);
    if (this.#dispensable(base, new Map()) || this.#kernel.has(this.#family)) return;
    this.#kernel.apply(diff(undefined, base));
    this.#base = base;
    this.#certain = true;
    this.#foreignChanges = foreignChanges;
  }

  /**
   * Changes Service ports, in one transaction of their elements. If the kernel refuses, those that it is about are
   * found and left out. If the node differs in what the rules depend on, or it is not known what the kernel has, the
   * whole table is compared: whatever is in it, what an earlier run left or what others made of it, becomes what
   * should be. Elements that are right are not touched. The table is made when the family is first needed.
   */
  sync(node: NodeFacts, updates: ServicePortUpdates): SyncResult {
    const base = this.#baseFor(node);
    if (this.#dispensable(base, updates)) return unchanged;
    if (!this.#certain || base !== this.#base) return this.#reconcile(base, updates);
    const { changes, before, refused } = this.#replace(updates);
    try {
      this.#kernel.apply(elementTransaction(base, changes));
      return { refused };
    } catch (error) {
      this.#restore(before);
      this.#certain = false;
      if (!mayBeDivided(error)) throw error;
      return this.#reconcile(base, updates);
    }
  }

  /**
   * Puts right what differs in the kernel. If nobody else has changed anything there since it was last compared, it
   * is as it should be. If somebody has, be it in a table of his own, it is compared in slices. Only if something
   * differs is the table read as a whole.
   */
  async check(signal: AbortSignal): Promise<CheckResult> {
    if (this.#base === undefined) return unchanged;
    if (this.#certain) {
      const foreignChanges = this.#kernel.foreignChanges();
      if (foreignChanges === this.#foreignChanges) return unchanged;
      const same = await this.#verify(this.#base, signal);
      if (signal.aborted) return unchanged;
      if (same) {
        this.#foreignChanges = foreignChanges;
        return unchanged;
      }
    }
    return this.#reconcile(this.#base, new Map());
  }

  async #verify(base: Program, signal: AbortSignal): Promise<boolean> {
    for (let attempt = 0; attempt < comparisons; attempt++) {
      const verdict = await inSlices(this.#kernel.verify(base, this.#store.groups()), signal);
      if (verdict !== 'interrupted') return verdict === 'same';
    }
    return false;
  }

  /** The table without Services on this node: the same object as before unless it differs. */
  #baseFor(node: NodeFacts): Program {
    if (node === this.#node && this.#compiled !== undefined) return this.#compiled;
    this.#node = node;
    const next = compileBase(node, this.#family, this.#name);
    if (this.#compiled === undefined || !sameValue(next.elements, this.#compiled.elements)) this.#compiled = next;
    return this.#compiled;
  }

  /** Whether nothing of the family is there: neither Pods, nor frontends, nor a table. */
  #dispensable(base: Program, updates: ServicePortUpdates): boolean {
    if (this.#base !== undefined || base.elements.length > 0) return false;
    for (const port of updates.values()) if (hasFrontend(port, this.#family)) return false;
    this.#nothingLeft ||= !this.#kernel.has(this.#family);
    return this.#nothingLeft;
  }

  /** Puts updates in the store. What cannot be compiled is refused right here. */
  #replace(updates: ServicePortUpdates) {
    const refused: Refused = new Map();
    const before = new Map<string, Elements | undefined>();
    const changes: ElementChanges[] = [];
    for (const [name, port] of updates) {
      if (!this.#concerns(name, port)) continue;
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

  /** Whether a Service port has or had anything to do with this family. */
  #concerns(name: string, port: ServicePort | undefined): boolean {
    return this.#store.owners.has(name) || hasFrontend(port, this.#family);
  }

  #restore(before: ReadonlyMap<string, Elements | undefined>): void {
    for (const [name, elements] of before) this.#store.replace(name, elements);
  }

  #reconcile(base: Program, updates: ServicePortUpdates): CheckResult {
    const { before, refused } = this.#replace(updates);
    this.#base = base;
    this.#certain = false;
    this.#foreignChanges = this.#kernel.foreignChanges();
    try {
      const difference = this.#difference(base);
      try {
        this.#kernel.apply(difference);
      } catch (error) {
        if (!mayBeDivided(error)) throw error;
        this.#leaveOut(base, before, refused);
      }
      this.#certain = true;
      return { repaired: describe(difference), refused };
    } catch (error) {
      this.#restore(before);
      throw error;
    }
  }

  /**
   * Brings everything in but what the kernel refuses. The owner of that is put back to what it was; if that is refused
   * too, as somebody may have emptied the table, it goes without.
   */
  #leaveOut(base: Program, before: ReadonlyMap<string, Elements | undefined>, refused: Refused): void {
    for (const fallback of [before, new Map<string, Elements>()]) {
      const failures = this.#applyApart(this.#difference(base));
      if (failures.length === 0) return;
      // Several units can be of one owner: all are looked up before the first one is put back.
      for (const { owner, error } of failures.map(({ unit, error }) => ({ owner: this.#ownerOf(unit), error }))) {
        if (owner === undefined) throw error;
        this.#store.replace(owner, fallback.get(owner));
        refused.set(owner, error);
      }
    }
    this.#kernel.apply(this.#difference(base));
  }

  #difference(base: Program): Transaction {
    return diff(this.#kernel.load(this.#family), base, this.#store.groups());
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

function hasFrontend(port: ServicePort | undefined, family: IpFamily): boolean {
  return port?.frontends.some(({ ip }) => familyOf(ip) === family) === true;
}

/** Carries steps out, a few milliseconds at a time. Gives `undefined` when the signal aborts before the end. */
async function inSlices<T>(steps: Generator<undefined, T, undefined>, signal: AbortSignal): Promise<T | undefined> {
  let began = performance.now();
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value;
    if (performance.now() - began < sliceMs) continue;
    await setImmediate();
    if (signal.aborted) {
      steps.return(undefined as never);
      return undefined;
    }
    began = performance.now();
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
function describe({ family, table, commands, units }: Transaction): string[] {
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
