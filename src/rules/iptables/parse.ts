import { SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import { parseRule } from './parse-rule.ts';
import {
  type Chain,
  type Program,
  type Rule,
  type RuleText,
  type Table,
  type TableName,
  tableNames,
} from './syntax.ts';

/** What a line of `iptables-save` says. */
export type SaveLine =
  | { readonly kind: 'table'; readonly name: string }
  | { readonly kind: 'chain'; readonly name: string; readonly policy: string }
  | { readonly kind: 'rule'; readonly chain: string; readonly rule: RuleText };

/**
 * Reads one line; `undefined` for what carries nothing (comments, COMMIT, empty lines).
 * @throws SignalboxError `INVALID_IPTABLES_TEXT`
 */
export function parseSaveLine(line: string): SaveLine | undefined {
  switch (line[0]) {
    case '-':
    // With counters (`iptables-save -c`) they stand in front.
    case '[': {
      const [, chain, rule] = /^(?:\[\d+:\d+\] )?-A (\S+) ?(.*)$/.exec(line) ?? [];
      if (chain !== undefined && rule !== undefined) return { kind: 'rule', chain, rule };
      break;
    }
    case ':': {
      const [name = '', policy] = line.slice(1).split(' ');
      if (policy !== undefined) return { kind: 'chain', name, policy };
      break;
    }
    case '*':
      return { kind: 'table', name: line.slice(1).trim() };
    case '#':
    case undefined:
      return undefined;
    default:
      if (line === 'COMMIT') return undefined;
  }
  throw new SignalboxError('INVALID_IPTABLES_TEXT', {
    object: `“${line}”`,
    problem: 'is no line of iptables-save',
    remedy: 'give the text as the tool wrote it',
  });
}

/**
 * Reads what `iptables-save` of either variant wrote. Tables that are none of `tableNames` are left out.
 * @throws SignalboxError `INVALID_IPTABLES_TEXT`
 */
export function parseProgram(text: string, family: IpFamily): Program {
  const tables: { name: TableName; chains: Map<string, Chain & { rules: Rule[] }> }[] = [];
  let chains: Map<string, Chain & { rules: Rule[] }> | undefined;
  for (const line of text.split('\n')) {
    const said = parseSaveLine(line);
    if (said?.kind === 'table') {
      const name = tableNames.find((known) => known === said.name);
      chains = new Map();
      if (name !== undefined) tables.push({ name, chains });
    } else if (said?.kind === 'chain') {
      const { name, policy } = said;
      const builtIn = policy === 'ACCEPT' || policy === 'DROP';
      chains?.set(name, { name, ...(builtIn ? { policy } : {}), rules: [] });
    } else if (said?.kind === 'rule') {
      chains?.get(said.chain)?.rules.push(parseRule(said.rule, family));
    }
  }
  return tables.map(({ name, chains }): Table => ({ name, chains: [...chains.values()] }));
}
