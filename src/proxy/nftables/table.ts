import { compileBase, type Shape } from '../../backends/nftables/compile.ts';
import { claimNames, sideNames, tableName } from '../../backends/nftables/names.ts';
import { type Before, beforeOf, compileServicePort } from '../../backends/nftables/service.ts';
import { SignalboxError } from '../../errors/error.ts';
import { isKernelError } from '../../kernel/ffi.ts';
import type { NftablesKernel } from '../../kernel/nftables/interface.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import { familyOf, type IpFamily } from '../../net/ip.ts';
import { diff } from '../../rules/nftables/diff.ts';
import { type ElementChanges, ElementStore, type Elements, elementTransaction } from '../../rules/nftables/elements.ts';
import type {
  Element,
  ElementUnit,
  ObjectCommand,
  Program,
  TableName,
  Transaction,
} from '../../rules/nftables/syntax.ts';
import { sameValue } from '../../tracker/same-value.ts';
import type { CheckResult, ServicePortUpdates, SyncResult } from '../backend.ts';
import { inSlices } from '../slices.ts';

/** Reasons that lie in the whole and not in what is asked for: nothing is learned by asking for less. */
const hopeless = ['EPERM', 'EACCES', 'EAGAIN', 'EINTR', 'ENOMEM', 'ENOBUFS'];

/** When units are tried apart, so many elements at once fit in a batch of any size the kernel may have been set to. */
const elementsApart = 500;

/** Comparisons that somebody else's change interrupts, one after another, before it is done without a pause. */
const comparisons = 3;

type Refused = Map<string, SignalboxError>;

const unchanged: CheckResult = { repaired: [], refused: new Map() };

/** What a Service port has in the table. */
interface Held {
  readonly elements: Elements;
  /** For how long its clients are remembered. */
  readonly affinitySeconds: number | undefined;
}

/** Our table of one family: what should be in it, and how that gets into the kernel. */
export class NftablesTable {
  readonly #kernel: NftablesKernel;
  readonly #family: IpFamily;
  readonly #name: string;
  readonly #store = new ElementStore();
  /** For how long clients are remembered: by Service port, and how many Service ports each length of time has. */
  readonly #affinity = new Map<string, number>();
  readonly #affinityUses = new Map<number, number>();
  /** The table without Services that was compiled last, and of what. */
  #compiled: { readonly shape: Shape; readonly program: Program } | undefined;
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
   * Changes Service ports, in one transaction of their elements and of what else depends on them or the node. If the
   * kernel refuses, those that it is about are found and left out. If it is not known what the kernel has, the whole
   * table is compared: whatever is in it, what an earlier run left or what others made of it, becomes what should be.
   * Elements that are right are not touched. The table is made when the family is first needed.
   */
  sync(node: NodeFacts, updates: ServicePortUpdates): SyncResult {
    if (this.#dispensable(this.#baseFor(node), updates)) return unchanged;
    if (!this.#certain || this.#base === undefined) return this.#reconcile(node, updates);
    const { changes, before, refused } = this.#replace(updates);
    const base = this.#baseFor(node);
    try {
      this.#kernel.apply(transition(this.#base, base, elementTransaction(base, changes)));
      this.#base = base;
      return { refused };
    } catch (error) {
      this.#restore(before);
      this.#certain = false;
      if (!mayBeDivided(error)) throw error;
      return this.#reconcile(node, updates);
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
    return this.#reconcile(undefined, new Map());
  }

  async #verify(base: Program, signal: AbortSignal): Promise<boolean> {
    for (let attempt = 0; attempt < comparisons; attempt++) {
      const verdict = await inSlices(this.#kernel.verify(base, this.#store.groups()), signal);
      if (verdict !== 'interrupted') return verdict === 'same';
    }
    return false;
  }

  /** The table without Services on this node, or the one of before: the same object unless it differs. */
  #baseFor(node: NodeFacts | undefined): Program {
    const localTraffic = node?.localTraffic ?? this.#compiled?.shape.localTraffic ?? { by: 'source', blocks: [] };
    const shape: Shape = { localTraffic, affinitySeconds: [...this.#affinityUses.keys()].sort((a, b) => a - b) };
    if (this.#compiled === undefined || !sameValue(shape, this.#compiled.shape)) {
      this.#compiled = { shape, program: compileBase(shape, this.#family, this.#name) };
    }
    return this.#compiled.program;
  }

  /** Whether nothing of the family is there: neither Pods, nor frontends, nor a table. */
  #dispensable(base: Program, updates: ServicePortUpdates): boolean {
    if (this.#base !== undefined || base.elements.length > 0) return false;
    for (const port of updates.values()) if (hasFrontend(port, this.#family)) return false;
    this.#nothingLeft ||= !this.#kernel.has(this.#family);
    return this.#nothingLeft;
  }

  /**
   * Puts updates in the store. What cannot be compiled is refused right here.
   * @param left what an earlier run left in the kernel
   */
  #replace(updates: ServicePortUpdates, left?: Before) {
    const refused: Refused = new Map();
    const before = new Map<string, Held | undefined>();
    const changes: ElementChanges[] = [];
    for (const [name, port] of updates) {
      if (!this.#concerns(name, port)) continue;
      try {
        const held = this.#held(name);
        const next = port && this.#compile(port, held?.elements, left);
        before.set(name, held);
        changes.push(this.#hold(name, next));
      } catch (error) {
        if (!(error instanceof SignalboxError)) throw error;
        refused.set(name, error);
      }
    }
    return { changes, before, refused };
  }

  #compile(port: ServicePort, held: Elements | undefined, left: Before | undefined): Held {
    const before = held === undefined ? left : beforeOf(held);
    return { elements: compileServicePort(port, this.#family, before), affinitySeconds: port.affinitySeconds };
  }

  #held(name: string): Held | undefined {
    const elements = this.#store.owners.get(name);
    return elements && { elements, affinitySeconds: this.#affinity.get(name) };
  }

  #hold(name: string, held: Held | undefined): ElementChanges {
    this.#noteAffinity(name, held === undefined || held.elements.length === 0 ? undefined : held.affinitySeconds);
    return this.#store.replace(name, held?.elements);
  }

  #noteAffinity(name: string, seconds: number | undefined): void {
    const before = this.#affinity.get(name);
    if (before === seconds) return;
    if (before !== undefined) {
      const others = (this.#affinityUses.get(before) ?? 1) - 1;
      if (others === 0) this.#affinityUses.delete(before);
      else this.#affinityUses.set(before, others);
      this.#affinity.delete(name);
    }
    if (seconds === undefined) return;
    this.#affinityUses.set(seconds, (this.#affinityUses.get(seconds) ?? 0) + 1);
    this.#affinity.set(name, seconds);
  }

  /** Whether a Service port has or had anything to do with this family. */
  #concerns(name: string, port: ServicePort | undefined): boolean {
    return this.#store.owners.has(name) || hasFrontend(port, this.#family);
  }

  #restore(before: ReadonlyMap<string, Held | undefined>): void {
    for (const [name, held] of before) this.#hold(name, held);
  }

  #reconcile(node: NodeFacts | undefined, updates: ServicePortUpdates): CheckResult {
    this.#foreignChanges = this.#kernel.foreignChanges();
    this.#certain = false;
    const present = this.#kernel.load(this.#family);
    // Endpoints keep the indices that they have in the kernel, or next to all would have to be changed.
    const left = this.#base === undefined ? endpointsByClaim(present) : undefined;
    const { before, refused } = this.#replace(updates, left);
    this.#base = this.#baseFor(node);
    try {
      const difference = diff(present, this.#base, this.#store.groups());
      try {
        this.#kernel.apply(difference);
      } catch (error) {
        if (!mayBeDivided(error)) throw error;
        this.#leaveOut(node, before, refused);
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
  #leaveOut(node: NodeFacts | undefined, before: ReadonlyMap<string, Held | undefined>, refused: Refused): void {
    for (const fallback of [before, new Map<string, Held>()]) {
      this.#base = this.#baseFor(node);
      const failures = this.#applyApart(this.#difference(this.#base));
      if (failures.length === 0) return;
      // Several units can be of one owner: all are looked up before the first one is put back.
      for (const { owner, error } of failures.map(({ unit, error }) => ({ owner: this.#ownerOf(unit), error }))) {
        if (owner === undefined) throw error;
        this.#hold(owner, fallback.get(owner));
        refused.set(owner, error);
      }
    }
    this.#base = this.#baseFor(node);
    this.#kernel.apply(this.#difference(this.#base));
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

/**
 * The change of elements, and of what they are in from one base to another. Sets that go take their elements with them.
 */
function transition(from: Program, to: Program, elements: Transaction): Transaction {
  if (from === to) return elements;
  const { commands, units } = diff(from, to);
  const gone = new Set(commands.flatMap((it) => (it.object === 'set' && it.verb === 'delete' ? [it.name] : [])));
  const remaining = elements.units.map((unit) => ({
    delete: unit.delete.filter(({ set }) => !gone.has(set)),
    add: unit.add,
  }));
  return { ...elements, commands, units: [...units, ...remaining] };
}

/** The endpoints of each frontend in a table, in the order of their indices. */
function endpointsByClaim(program: Program | undefined): Before | undefined {
  if (program === undefined) return undefined;
  const maps: readonly string[] = [sideNames.any.endpoints, sideNames.inside.endpoints];
  const claims = new Map<string, Element[]>();
  for (const element of program.elements) {
    if (!maps.includes(element.set)) continue;
    const [ip, protocol, port] = element.key;
    const claim = claimNames.frontend(String(ip), String(protocol), Number(port));
    const list = claims.get(claim);
    if (list === undefined) claims.set(claim, [element]);
    else list.push(element);
  }
  for (const list of claims.values()) list.sort((a, b) => Number(a.key.at(-1)) - Number(b.key.at(-1)));
  return { frontends: claims, hairpins: [] };
}

function hasFrontend(port: ServicePort | undefined, family: IpFamily): boolean {
  return port?.frontends.some(({ ip }) => familyOf(ip) === family) === true;
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
