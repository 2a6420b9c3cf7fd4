import { SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import { type ChainTexts, chainLedTo } from '../../rules/iptables/diff.ts';
import { parseSaveLine } from '../../rules/iptables/parse.ts';
import { parseRule } from '../../rules/iptables/parse-rule.ts';
import { printRule } from '../../rules/iptables/print.ts';
import { type Command, type Restore, type RuleText, type TableName, tableNames } from '../../rules/iptables/syntax.ts';
import { type Iptables, type IptablesVariant, Refusal } from './interface.ts';

type FakeTable = Map<string, RuleText[]>;

const builtIn: { readonly [T in TableName]: readonly string[] } = {
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/**
 * iptables without a kernel: keeps the tables as listings, refuses what the tool refuses, a table's input all or
 * nothing, and loads and dumps the text of `iptables-save`.
 */
export class FakeIptables implements Iptables {
  readonly variant: IptablesVariant;
  readonly #tables: { readonly [F in IpFamily]: Map<TableName, FakeTable> } = { IPv4: new Map(), IPv6: new Map() };
  /** Inputs carried out, the last one last: what a test may want to see. */
  readonly restored: Restore[] = [];
  /** A match or target that this kernel lacks, by its name. */
  lacks: string | undefined;
  /** Whether somebody has the lock. */
  locked = false;

  constructor(variant: IptablesVariant = 'nft') {
    this.variant = variant;
  }

  async list(family: IpFamily, table: TableName): Promise<ChainTexts> {
    return this.#tables[family].get(table) ?? new Map();
  }

  async has(family: IpFamily, table: TableName, chain: string): Promise<boolean> {
    return this.#tables[family].get(table)?.has(chain) === true;
  }

  async restore(family: IpFamily, input: Restore): Promise<void> {
    if (this.locked) {
      throw new SignalboxError('IPTABLES_LOCKED', {
        object: 'iptables-restore',
        problem: 'did not get the lock of xtables',
        remedy: 'wait',
      });
    }
    for (const { table, commands } of input) {
      const staged = new Map([...this.#table(family, table)].map(([chain, rules]) => [chain, [...rules]]));
      for (const command of commands) this.#carryOut(command, { staged, family, table });
      this.#tables[family].set(table, staged);
    }
    this.restored.push(input);
  }

  /**
   * Takes the text of `iptables-save` in the place of what is there.
   * @throws SignalboxError `INVALID_IPTABLES_TEXT`
   */
  load(family: IpFamily, text: string): void {
    let chains: FakeTable | undefined;
    this.#tables[family].clear();
    for (const line of text.split('\n')) {
      const said = parseSaveLine(line);
      if (said?.kind === 'table') {
        chains = new Map();
        this.#tables[family].set(said.name as TableName, chains);
      } else if (said?.kind === 'chain') chains?.set(said.name, []);
      else if (said?.kind === 'rule') chains?.get(said.chain)?.push(said.rule);
    }
  }

  /** The text of `iptables-save`. */
  dump(family: IpFamily): string {
    return tableNames
      .flatMap((name) => {
        const chains = this.#tables[family].get(name);
        if (chains === undefined) return [];
        const declared = [...chains.keys()].map(
          (chain) => `:${chain} ${builtIn[name].includes(chain) ? 'ACCEPT' : '-'} [0:0]`,
        );
        const rules = [...chains].flatMap(([chain, texts]) => texts.map((text) => `-A ${chain} ${text}`));
        return [`*${name}`, ...declared, ...rules, 'COMMIT'];
      })
      .map((line) => `${line}\n`)
      .join('');
  }

  close(): void {}

  #table(family: IpFamily, table: TableName): FakeTable {
    return this.#tables[family].get(table) ?? new Map(builtIn[table].map((chain) => [chain, []]));
  }

  #carryOut(command: Command, place: { staged: FakeTable; family: IpFamily; table: TableName }): void {
    const { staged, family, table } = place;
    const refuse = (problem: string) => {
      const cause = new Refusal(problem, { table, command });
      throw new SignalboxError('IPTABLES_FAILED', {
        object: 'iptables-restore',
        problem: `failed (${problem})`,
        remedy: 'see what the kernel has',
        cause,
      });
    };
    const rules = staged.get(command.chain);
    if (command.verb === 'declare') staged.set(command.chain, []);
    else if (rules === undefined) refuse('no chain by that name');
    else if (command.verb === 'delete-chain') {
      const users = [...staged.values()].flat().filter((rule) => chainLedTo(rule, family) === command.chain);
      if (rules.length > 0 || users.length > 0) refuse('the chain is in use');
      staged.delete(command.chain);
    } else {
      const text = printRule(parseRule(command.rule, family), family);
      if (command.verb !== 'delete') {
        const to = chainLedTo(text, family);
        if (to?.startsWith('KUBE-') === true && !staged.has(to)) refuse('no chain, target or match by that name');
        if (this.lacks !== undefined && text.includes(` ${this.lacks} `)) refuse(`the kernel lacks ${this.lacks}`);
      }
      this.#edit(rules, { ...command, rule: text }, refuse);
    }
  }

  #edit(
    rules: RuleText[],
    { verb, rule }: { verb: Command['verb']; rule: RuleText },
    refuse: (why: string) => void,
  ): void {
    if (verb === 'append') rules.push(rule);
    else if (verb === 'insert') rules.unshift(rule);
    else {
      const place = rules.indexOf(rule);
      if (place < 0) refuse('no such rule');
      rules.splice(place, 1);
    }
  }
}
