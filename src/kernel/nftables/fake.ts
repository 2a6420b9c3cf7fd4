import { SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import { deletion, diff } from '../../rules/nftables/diff.ts';
import { parseProgram } from '../../rules/nftables/parse.ts';
import { printElement, printProgram, printValues } from '../../rules/nftables/print.ts';
import type {
  Chain,
  Element,
  Hook,
  Key,
  ObjectCommand,
  Program,
  Rule,
  SetDeclaration,
  Statement,
  TableFamily,
  Transaction,
} from '../../rules/nftables/syntax.ts';
import { errnoNumber, KernelError } from '../ffi.ts';
import type { NftablesKernel, Verdict } from './interface.ts';

/**
 * nf_tables without a kernel: keeps tables as values, refuses what the kernel refuses with the kernel's error names,
 * all or nothing, and loads and dumps nft's text.
 */
export class FakeNftables implements NftablesKernel {
  readonly #table: string;
  readonly #tables = new Map<TableFamily, FakeTable>();
  #foreignChanges = 0;
  /** Transactions carried out, the last one last: what a test may want to see. */
  readonly applied: Transaction[] = [];

  constructor(table: string) {
    this.#table = table;
  }

  has(family: IpFamily): boolean {
    return this.#tables.has(word(family));
  }

  *verify(program: Program, groups: Iterable<readonly Element[]>): Generator<undefined, Verdict, undefined> {
    yield;
    const present = this.#tables.get(program.family)?.program();
    if (present === undefined) return 'different';
    const { commands, units } = diff(present, program, groups);
    return commands.length + units.length === 0 ? 'same' : 'different';
  }

  foreignChanges(): number {
    return this.#foreignChanges;
  }

  load(family: IpFamily): Program | undefined {
    return this.#tables.get(word(family))?.program();
  }

  apply(transaction: Transaction): void {
    const staged = this.#tables.get(transaction.family)?.copy() ?? new FakeTable(transaction);
    const exists = this.#tables.has(transaction.family);
    const remains = staged.apply(transaction, exists);
    if (remains) this.#tables.set(transaction.family, staged);
    else this.#tables.delete(transaction.family);
    this.applied.push(transaction);
  }

  remove(family: IpFamily): void {
    if (this.#tables.has(word(family))) this.apply(deletion({ family: word(family), table: this.#table }));
  }

  close(): void {
    this.#tables.clear();
  }

  /** The table as `nft list table` shows it, or an empty text. */
  dump(family: IpFamily): string {
    const program = this.load(family);
    return program === undefined ? '' : printProgram(program);
  }

  /** Deletes all tables, as somebody else would. */
  flushRuleset(): void {
    this.#foreignChanges++;
    this.#tables.clear();
  }

  /** Puts the table of a dump in place of the one that is there, as somebody else would. */
  restore(text: string): void {
    this.#foreignChanges++;
    const program = parseProgram(text);
    this.#tables.delete(program.family);
    this.apply(diff(undefined, program));
  }
}

function word(family: IpFamily): TableFamily {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

/** The kernel's answers, and what they mean here. */
function refuse(
  code: 'EBUSY' | 'EEXIST' | 'EINVAL' | 'ELOOP' | 'ENOENT' | 'EOPNOTSUPP',
  operation: string,
  why: string,
): never {
  const cause = new KernelError(operation, errnoNumber[code], why);
  throw new SignalboxError('KERNEL_REFUSED', {
    object: 'nftables table',
    problem: `was refused by the kernel: ${cause.message}`,
    remedy: 'see whether something else changes this table',
    cause,
  });
}

interface FakeSet {
  readonly declaration: SetDeclaration;
  /** By the text of the key. */
  readonly elements: Map<string, Element>;
}

class FakeTable {
  readonly #name: Pick<Transaction, 'family' | 'table'>;
  #comment: string | undefined;
  readonly #sets = new Map<string, FakeSet>();
  readonly #chains = new Map<string, Chain>();

  constructor({ family, table }: Pick<Transaction, 'family' | 'table'>) {
    this.#name = { family, table };
  }

  copy(): FakeTable {
    const copy = new FakeTable(this.#name);
    copy.#comment = this.#comment;
    for (const [name, chain] of this.#chains) copy.#chains.set(name, chain);
    for (const [name, set] of this.#sets) copy.#sets.set(name, { ...set, elements: new Map(set.elements) });
    return copy;
  }

  program(): Program {
    return {
      ...this.#name,
      ...(this.#comment !== undefined && { comment: this.#comment }),
      sets: [...this.#sets.values()].map((set) => set.declaration),
      chains: [...this.#chains.values()],
      elements: [...this.#sets.values()].flatMap((set) => [...set.elements.values()]),
    };
  }

  /** Whether the table is there afterwards. */
  apply(transaction: Transaction, existed: boolean): boolean {
    let exists = existed;
    for (const command of transaction.commands) {
      if (command.object === 'table') exists = this.#tableCommand(command, exists);
      else if (exists) this.#command(command);
      else refuse('ENOENT', `${command.verb} ${command.object}`, 'there is no such table');
    }
    if (!exists && transaction.units.length > 0) refuse('ENOENT', 'change elements', 'there is no such table');
    for (const unit of transaction.units) for (const element of unit.delete) this.#deleteElement(element);
    for (const unit of transaction.units) for (const element of unit.add) this.#addElement(element);
    this.#validate();
    return exists;
  }

  #tableCommand(command: Extract<ObjectCommand, { object: 'table' }>, exists: boolean): boolean {
    if (command.verb === 'delete') {
      if (!exists) refuse('ENOENT', 'delete table', 'there is no such table');
      this.#sets.clear();
      this.#chains.clear();
      return false;
    }
    if (!exists) this.#comment = command.comment;
    return true;
  }

  #command(command: Exclude<ObjectCommand, { object: 'table' }>): void {
    switch (command.object) {
      case 'set':
        if (command.verb === 'delete') this.#deleteSet(command.name);
        else this.#addSet(command.set);
        break;
      case 'chain':
        this.#chainCommand(command);
        break;
      case 'rule':
        this.#addRule(command.chain, command.rule);
    }
  }

  #addSet(declaration: SetDeclaration): void {
    if (this.#sets.has(declaration.name)) refuse('EEXIST', `add set ${declaration.name}`, 'there is one already');
    this.#sets.set(declaration.name, { declaration, elements: new Map() });
  }

  #deleteSet(name: string): void {
    if (!this.#sets.has(name)) refuse('ENOENT', `delete set ${name}`, 'there is no such set');
    if (this.#statements().some((statement) => setOf(statement) === name)) {
      refuse('EBUSY', `delete set ${name}`, 'a rule uses it');
    }
    this.#sets.delete(name);
  }

  #chainCommand(command: Extract<ObjectCommand, { object: 'chain' }>): void {
    const { name } = command;
    const chain = this.#chains.get(name);
    if (command.verb === 'add') {
      if (chain !== undefined) refuse('EEXIST', `add chain ${name}`, 'there is one already');
      this.#chains.set(name, { name, ...(command.hook !== undefined && { hook: command.hook }), rules: [] });
      return;
    }
    if (chain === undefined) refuse('ENOENT', `${command.verb} chain ${name}`, 'there is no such chain');
    if (command.verb === 'flush') {
      this.#chains.set(name, { ...chain, rules: [] });
      return;
    }
    if (this.#statements().some((statement) => chainOf(statement) === name)) {
      refuse('EBUSY', `delete chain ${name}`, 'a rule goes to it');
    }
    this.#chains.delete(name);
  }

  #addRule(name: string, rule: Rule): void {
    const chain = this.#chains.get(name);
    if (chain === undefined) refuse('ENOENT', `add rule to chain ${name}`, 'there is no such chain');
    for (const statement of rule.statements) this.#checkStatement(statement, name);
    this.#chains.set(name, { ...chain, rules: [...chain.rules, rule] });
  }

  #checkStatement(statement: Statement, chain: string): void {
    const operation = `add rule to chain ${chain}`;
    const target = chainOf(statement);
    if (target !== undefined) {
      const found = this.#chains.get(target);
      if (found === undefined) refuse('ENOENT', operation, `there is no chain ${target}`);
      if (found.hook !== undefined) refuse('EOPNOTSUPP', operation, `${target} is a base chain`);
    }
    const name = setOf(statement);
    if (name === undefined) return;
    const set = this.#sets.get(name)?.declaration;
    if (set === undefined) refuse('ENOENT', operation, `there is no set ${name}`);
    if ((statement.kind === 'dnat') !== (set.data !== undefined))
      refuse('EINVAL', operation, `${name} has no such use`);
    const key = statement.kind === 'dnat' || statement.kind === 'lookup' ? statement.key : [];
    if (key.length !== set.key.length) refuse('EINVAL', operation, `${name} has another key`);
  }

  #addElement(element: Element): void {
    const operation = `add element of ${element.set} { ${printElement(element)} }`;
    const { declaration, elements } =
      this.#sets.get(element.set) ?? refuse('ENOENT', operation, 'there is no such set');
    if (!fits(element.key, declaration.key) || !fits(element.data, declaration.data)) {
      refuse('EINVAL', operation, 'it has not the types of the set');
    }
    const key = printValues(element.key);
    if (elements.has(key)) refuse('EEXIST', operation, 'there is one already');
    elements.set(key, element);
  }

  #deleteElement(element: Element): void {
    const operation = `delete element of ${element.set} { ${printElement(element)} }`;
    const { elements } = this.#sets.get(element.set) ?? refuse('ENOENT', operation, 'there is no such set');
    if (!elements.delete(printValues(element.key))) refuse('ENOENT', operation, 'there is no such element');
  }

  #statements(): Statement[] {
    return [...this.#chains.values()].flatMap((chain) => chain.rules.flatMap((rule) => rule.statements));
  }

  /** What the kernel checks at the end, from each base chain on: no loops, and no statement where it cannot act. */
  #validate(): void {
    for (const chain of this.#chains.values()) if (chain.hook !== undefined) this.#validateFrom(chain, chain.hook, []);
  }

  #validateFrom(chain: Chain, hook: Hook, path: readonly string[]): void {
    if (path.includes(chain.name)) refuse('ELOOP', 'commit', `chain ${chain.name} leads to itself`);
    for (const statement of chain.rules.flatMap((rule) => rule.statements)) {
      if (!mayStand(statement, hook)) refuse('EOPNOTSUPP', 'commit', `${statement.kind} in hook ${hook.hook}`);
      const target = this.#chains.get(chainOf(statement) ?? '');
      if (target !== undefined) this.#validateFrom(target, hook, [...path, chain.name]);
    }
  }
}

function chainOf(statement: Statement): string | undefined {
  return statement.kind === 'jump' || statement.kind === 'goto' ? statement.chain : undefined;
}

function setOf(statement: Statement): string | undefined {
  if (statement.kind === 'lookup') return statement.set;
  return statement.kind === 'dnat' ? statement.map : undefined;
}

function fits(values: readonly unknown[] | undefined, key: Key | undefined): boolean {
  return values?.length === key?.length;
}

function mayStand(statement: Statement, { type, hook }: Hook): boolean {
  switch (statement.kind) {
    case 'dnat':
      return type === 'nat' && (hook === 'prerouting' || hook === 'output');
    case 'masquerade':
      return type === 'nat' && hook === 'postrouting';
    case 'reject':
      return type === 'filter' && hook !== 'postrouting';
    default:
      return true;
  }
}
