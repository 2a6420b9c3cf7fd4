import { familyOf, type IpFamily } from '../../net/ip.ts';
import type {
  Chain,
  Command,
  ConnectionState,
  KnownRule,
  Match,
  Matched,
  Program,
  Restore,
  Rule,
  RuleText,
  Table,
  TableName,
  Target,
} from './syntax.ts';
import { probabilityOf } from './syntax.ts';

/**
 * A rule as `iptables-save` shows it behind `-A CHAIN `, and as `iptables-restore` reads it. The family decides how the
 * mask of the match `recent` is spelled.
 */
export function printRule(rule: Rule, family: IpFamily): RuleText {
  if ('foreign' in rule) return rule.foreign;
  const parts = [printHeader(rule)];
  for (const match of rule.matches) parts.push(printMatch(match, family));
  if (rule.target !== undefined) parts.push(printTarget(rule.target));
  return parts.join('').trimStart();
}

/** A program as `iptables-save` shows it, counters at zero. */
export function printProgram(program: Program, family: IpFamily): string {
  return program.map((table) => printTable(table, family)).join('');
}

function printTable({ name, chains }: Table, family: IpFamily): string {
  const lines = [`*${name}`, ...chains.map(printDeclaration)];
  for (const chain of chains) {
    for (const rule of chain.rules) lines.push(`-A ${chain.name} ${printRule(rule, family)}`);
  }
  return `${lines.join('\n')}\nCOMMIT\n`;
}

function printDeclaration({ name, policy }: Pick<Chain, 'name' | 'policy'>): string {
  return `:${name} ${policy ?? '-'} [0:0]`;
}

/** The text that `iptables-restore --noflush` is given. A line a command, and two more a table. */
export function printRestore(restore: Restore): string {
  const lines: string[] = [];
  for (const { table, commands } of restore) {
    lines.push(`*${table}`);
    for (const command of commands) lines.push(printCommand(command));
    lines.push('COMMIT');
  }
  return `${lines.join('\n')}\n`;
}

/** The command in a line of what `printRestore` gives, counted from 1. */
export function commandAtLine(restore: Restore, line: number): { table: TableName; command: Command } | undefined {
  let first = 2;
  for (const { table, commands } of restore) {
    const command = commands[line - first];
    if (line >= first && command !== undefined) return { table, command };
    first += commands.length + 2;
  }
  return undefined;
}

function printCommand(command: Command): string {
  switch (command.verb) {
    case 'declare':
      return printDeclaration({ name: command.chain });
    case 'append':
      return `-A ${command.chain} ${command.rule}`;
    case 'insert':
      return `-I ${command.chain} ${command.rule}`;
    case 'delete':
      return `-D ${command.chain} ${command.rule}`;
    case 'delete-chain':
      return `-X ${command.chain}`;
  }
}

function printHeader({ source, destination, inInterface, outInterface, protocol }: KnownRule): string {
  return [
    printMatched('-s', source),
    printMatched('-d', destination),
    printMatched('-i', inInterface),
    printMatched('-o', outInterface),
    printMatched('-p', protocol),
  ].join('');
}

function printMatched(option: string, matched: Matched<string> | undefined): string {
  return matched === undefined ? '' : `${not(matched)} ${option} ${matched.value}`;
}

function not({ negated }: { readonly negated?: true }): string {
  return negated === true ? ' !' : '';
}

/** Begins with a space, as everything behind the first word of a rule. */
function printMatch(match: Match, family: IpFamily): string {
  switch (match.kind) {
    case 'comment':
      return ` -m comment --comment ${quote(match.text)}`;
    case 'ports':
      return ` -m ${match.protocol}${printPort('--sport', match.sourcePort)}${printPort('--dport', match.destinationPort)}`;
    case 'addrtype':
      return ` -m addrtype${printMatched('--src-type', match.source)}${printMatched('--dst-type', match.destination)}`;
    case 'statistic':
      return ` -m statistic --mode random --probability ${probabilityOf(match).toFixed(11)}`;
    case 'recent set':
      return ` -m recent --set${printList(match.name, family)}`;
    case 'recent rcheck':
      return ` -m recent --rcheck --seconds ${match.seconds}${match.reap === true ? ' --reap' : ''}${printList(match.name, family)}`;
    case 'mark':
      return ` -m mark${not(match)} --mark ${hex(match.value)}${match.mask === allBits ? '' : `/${hex(match.mask)}`}`;
    case 'ctstate':
      return ` -m conntrack${not(match)} --ctstate ${stateOrder.filter((state) => match.states.includes(state)).join(',')}`;
    case 'ctdir':
      return ` -m conntrack --ctdir ${match.direction}`;
    case 'set':
      return ` -m set${not(match)} --match-set ${match.name} ${match.parts.join(',')}`;
  }
}

/** The order of the bits, in which the tool lists them. */
const stateOrder: readonly ConnectionState[] = [
  'INVALID',
  'NEW',
  'RELATED',
  'ESTABLISHED',
  'UNTRACKED',
  'SNAT',
  'DNAT',
];

function printPort(option: string, port: number | undefined): string {
  return port === undefined ? '' : ` ${option} ${port}`;
}

function printList(name: string, family: IpFamily): string {
  return ` --name ${name} --mask ${hostMask[family]} --rsource`;
}

/** A list of the match `recent` has whole addresses on it. */
export const hostMask: { readonly [F in IpFamily]: string } = {
  IPv4: '255.255.255.255',
  IPv6: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
};

/** The mask of a mark that is compared as a whole; listings leave it out. */
export const allBits = 0xffff_ffff;

function printTarget(target: Target): string {
  switch (target.kind) {
    case 'REJECT':
      return ` -j REJECT --reject-with ${target.with}`;
    case 'DNAT':
      return ` -j DNAT --to-destination ${familyOf(target.ip) === 'IPv6' ? `[${target.ip}]` : target.ip}:${target.port}`;
    case 'MARK':
      return ` -j MARK --set-xmark ${hex(target.value)}/${hex(target.mask)}`;
    case 'MASQUERADE':
      return ` -j MASQUERADE${target.randomFully === true ? ' --random-fully' : ''}`;
    case 'SET':
      return ` -j SET --map-set ${target.set} ${target.parts.join(',')} --map-mark`;
    case 'jump':
      return ` -j ${target.chain}`;
    case 'goto':
      return ` -g ${target.chain}`;
    default:
      return ` -j ${target.kind}`;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** As the tool's own `xtables_save_string`: bare if there are only letters, digits, `_` and `-`. */
function quote(text: string): string {
  return /^[\w-]+$/.test(text) ? text : `"${text.replace(/["'\\]/g, '\\$&')}"`;
}
