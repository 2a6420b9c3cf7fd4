import { SignalboxError } from '../../errors/error.ts';
import { parseSets } from '../../rules/ipset/parse.ts';
import { printEntryKey, printSetCommand, printSets } from '../../rules/ipset/print.ts';
import type { IpSet, SetCommand, SetDeclaration, SetEntry } from '../../rules/ipset/syntax.ts';
import type { IpsetKernel, RefusedSetCommand } from './interface.ts';

interface FakeSet {
  readonly declaration: SetDeclaration;
  readonly entries: Map<string, SetEntry>;
}

/** Sets made of values: loads and dumps what `ipset save` prints, and refuses what the kernel would refuse. */
export class FakeIpset implements IpsetKernel {
  readonly #sets = new Map<string, FakeSet>();
  /** All commands ever carried out, as `ipset restore` reads them. */
  readonly history: string[] = [];

  constructor(text = '') {
    for (const { entries, ...declaration } of parseSets(text)) {
      const keyed = new Map(entries.map((entry) => [printEntryKey(entry), entry]));
      this.#sets.set(declaration.name, { declaration, entries: keyed });
    }
  }

  /** As `ipset save`, of all sets or of one. */
  dump(name?: string): string {
    return printSets(
      [...this.#sets.keys()].filter((one) => one === (name ?? one)).flatMap((one) => this.load(one) ?? []),
    );
  }

  names(): string[] {
    return [...this.#sets.keys()];
  }

  load(name: string): IpSet | undefined {
    const set = this.#sets.get(name);
    return set && { ...set.declaration, entries: [...set.entries.values()] };
  }

  apply(commands: readonly SetCommand[]): RefusedSetCommand[] {
    return commands.flatMap((command) => {
      const isDone = this.#apply(command);
      if (isDone) this.history.push(printSetCommand(command));
      return isDone ? [] : [{ command, error: refused(command) }];
    });
  }

  close(): void {
    // Nothing is open.
  }

  /** Whether the kernel would have done it. */
  #apply(command: SetCommand): boolean {
    if (command.verb === 'destroy') {
      this.#sets.delete(command.name);
      return true;
    }
    const there = this.#sets.get(command.set.name);
    switch (command.verb) {
      case 'create':
        if (there === undefined) this.#sets.set(command.set.name, { declaration: command.set, entries: new Map() });
        return there === undefined || there.declaration.type === command.set.type;
      case 'add':
        there?.entries.set(printEntryKey(command.entry), command.entry);
        return there !== undefined;
      case 'del':
        there?.entries.delete(printEntryKey(command.entry));
        return there !== undefined;
    }
  }
}

function refused(command: SetCommand): SignalboxError {
  return new SignalboxError('KERNEL_REFUSED', {
    object: `ipset ${printSetCommand(command)}`,
    problem: 'was refused by the kernel',
    remedy: 'see whether something else uses sets of this name',
  });
}
