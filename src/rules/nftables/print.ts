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
  TableName,
  Transaction,
  TypeSelector,
  Value,
} from './syntax.ts';

/** The table as `nft list table` shows it (nftables 1.0.6); elements in the order of the program. */
export function printProgram(program: Program): string {
  const elements = new Map<string, Element[]>(program.sets.map((set) => [set.name, []]));
  for (const element of program.elements) elements.get(element.set)?.push(element);
  const comment = program.comment === undefined ? '' : `\tcomment ${quoted(program.comment)}\n`;
  const blocks = [
    ...program.sets.map((set) => printSet(set, elements.get(set.name) ?? [])),
    ...program.chains.map(printChain),
  ];
  return `table ${program.family} ${program.table} {\n${comment}${blocks.join('\n')}}\n`;
}

function printSet(set: SetDeclaration, elements: readonly Element[]): string {
  const lines = [`\t\t${declaredTypes(set)}`];
  if (set.dynamic !== undefined) lines.push(`\t\tsize ${set.dynamic.size}`, '\t\tflags dynamic,timeout');
  if (set.interval === true) lines.push('\t\tflags interval');
  if (elements.length > 0) lines.push(`\t\telements = { ${printElementLines(set, elements).join(',\n\t\t\t     ')} }`);
  return `\t${setWord(set)} ${set.name} {\n${lines.join('\n')}\n\t}\n`;
}

/** One on a line; of IPv4 blocks two. */
function printElementLines(set: SetDeclaration, elements: readonly Element[]): string[] {
  const perLine = set.interval === true && addressFamily(set.key) === 'ip' ? 2 : 1;
  const lines: string[][] = [];
  elements.forEach((element, i) => {
    if (i % perLine === 0) lines.push([]);
    lines.at(-1)?.push(printElement(element));
  });
  return lines.map((line) => line.join(', '));
}

function printChain(chain: Chain): string {
  const lines = chain.hook === undefined ? [] : [printHook(chain.hook)];
  lines.push(...chain.rules.map(printRule));
  return `\tchain ${chain.name} {\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}\n`;
}

/** nft's word for a set with or without data. */
export function setWord(set: { readonly data?: Key }): 'map' | 'set' {
  return set.data === undefined ? 'set' : 'map';
}

/** nft 1.0.6 keeps the selectors of up to four; of more it shows what they are. */
const mostTypeof = 4;

/** nft's word for the type of a selector, and the selector that is meant by it in our own sets. */
export const typeWords: ReadonlyMap<TypeSelector, string> = new Map([
  ['ip daddr', 'ipv4_addr'],
  ['ip6 daddr', 'ipv6_addr'],
  ['meta l4proto', 'inet_proto'],
  ['th dport', 'inet_service'],
]);

function declaredTypes(set: SetDeclaration): string {
  if (set.key.length > mostTypeof)
    return `type ${set.key.map((selector) => typeWords.get(selector) ?? selector).join(' . ')}`;
  return `typeof ${printKey(set.key)}${set.data === undefined ? '' : ` : ${printKey(set.data)}`}`;
}

/** `type nat hook prerouting priority dstnat; policy accept;` */
export function printHook({ type, hook, priority }: Hook): string {
  return `type ${type} hook ${hook} priority ${printPriority(priority, hook)}; policy accept;`;
}

/** As nft lists it: relative to a named priority of the hook when near one. */
function printPriority(priority: number, hook: Hook['hook']): string {
  const names: [string, number][] = [
    ['raw', -300],
    ['filter', 0],
  ];
  if (hook === 'prerouting') names.push(['dstnat', -100]);
  if (hook === 'postrouting') names.push(['srcnat', 100]);
  for (const [name, base] of names) {
    const offset = priority - base;
    if (offset === 0) return name;
    if (Math.abs(offset) <= 10) return `${name} ${offset < 0 ? '-' : '+'} ${Math.abs(offset)}`;
  }
  return String(priority);
}

/** One rule on one line. */
export function printRule(rule: Rule): string {
  const words = rule.statements.map(printStatement);
  const comment = shownComment(rule);
  if (comment !== undefined) words.push(`comment ${quoted(comment)}`);
  return words.join(' ');
}

/** The comment that the kernel is given with a rule: its own, or what nft cannot say of a statement with memory. */
export function shownComment({ statements, comment }: Rule): string | undefined {
  for (const statement of statements) {
    if (statement.kind === 'dnat remembered') {
      return `address as in @${statement.services}, endpoint as in @${statement.memory}`;
    }
    if (statement.kind === 'remember' || statement.kind === 'forget') return `address as in @${statement.services}`;
  }
  return comment;
}

/** One statement in nft's words. */
function printStatement(statement: Statement): string {
  switch (statement.kind) {
    case 'lookup':
      return `${printKey(statement.key)}${statement.negated === true ? ' !=' : ''} @${statement.set}`;
    case 'meta l4proto':
      return `meta l4proto ${statement.protocol}`;
    case 'iifname':
      return `iifname ${statement.negated === true ? '!= ' : ''}${quoted(`${statement.name}${statement.prefix === true ? '*' : ''}`)}`;
    case 'from node':
      return statement.negated === true ? 'iif != 0' : 'iif 0';
    case 'ct state':
      return `ct state ${statement.state}`;
    case 'ct status':
      return `ct status ${statement.negated === true ? '! ' : ''}${statement.status}`;
    case 'jump':
    case 'goto':
      return `${statement.kind} ${statement.chain}`;
    case 'drop':
    case 'notrack':
      return statement.kind;
    case 'reject':
      return statement.with === undefined ? 'reject' : `reject with ${statement.with}`;
    case 'masquerade':
      return 'masquerade fully-random';
    case 'dnat':
      return `dnat ${addressFamily(statement.key)} to ${printKey(statement.key)} map @${statement.map}`;
    case 'dnat remembered':
      return printRemembered(statement);
    case 'remember':
      return printMemory('update', statement, ` timeout ${printSeconds(statement.seconds)}`);
    case 'forget':
      return printMemory('delete', statement, '');
    case 'foreign':
      return `# ${statement.expressions}`;
  }
}

type Remembered = Extract<Statement, { kind: 'dnat remembered' }>;
type Memory = Extract<Statement, { kind: 'remember' | 'forget' }>;

function printRemembered({ family, endpoints }: Remembered): string {
  const address = `ct reply ${family} saddr`;
  const frontend = `meta l4proto . ct original ${family} daddr . ct original proto-dst`;
  return `${frontend} . ${address} . ct reply proto-src @${endpoints} dnat to ${address}:ct reply proto-src`;
}

/** What is forgotten is looked for where the client sends to, what is remembered where it had been sent to. */
function printMemory(verb: 'update' | 'delete', { family, memory, kind }: Memory, timeout: string): string {
  const [address, port] =
    kind === 'forget' ? [`${family} daddr`, 'th dport'] : [`ct original ${family} daddr`, 'ct original proto-dst'];
  const key = `meta l4proto . ${address} . ${port} . ${family} saddr${timeout}`;
  return `${verb} @${memory} { ${key} : meta l4proto . ${family} daddr . th dport }`;
}

/** `1d2h3m4s`, without the parts that are zero. */
function printSeconds(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join('');
}

/** The family of the addresses in a key. */
function addressFamily(key: Key): 'ip' | 'ip6' {
  return key.some((selector) => selector.includes('ip6')) ? 'ip6' : 'ip';
}

/** `ip daddr . meta l4proto . th dport` */
function printKey(key: Key): string {
  return key.join(' . ');
}

/** `10.96.0.1 . tcp . 80 comment "default/web" : 2` */
export function printElement(element: Element): string {
  const comment = element.comment === undefined ? '' : ` comment ${quoted(element.comment)}`;
  const data = element.data === undefined ? '' : ` : ${printValues(element.data)}`;
  return `${printValues(element.key)}${comment}${data}`;
}

/** `10.96.0.1 . tcp . 80` */
export function printValues(values: readonly Value[]): string {
  return values.map(printValue).join(' . ');
}

/** A block of one address is shown as the address. */
function printValue(value: Value): string {
  const text = String(value);
  return text.endsWith('/32') && !text.includes(':') ? text.slice(0, -3) : text.replace(/\/128$/, '');
}

/** A text that two elements share if and only if one would take the other's place. */
export function elementKeyText(element: Element): string {
  return `${element.set} ${element.key.join(' ')}`;
}

/** The transaction as input for `nft -f`; each unit's elements set by set. */
export function printTransaction(transaction: Transaction): string {
  const lines = transaction.commands.map((command) => printCommand(transaction, command));
  for (const unit of transaction.units) {
    lines.push(...printElementCommands(transaction, 'delete', unit.delete));
    lines.push(...printElementCommands(transaction, 'add', unit.add));
  }
  return lines.map((line) => `${line}\n`).join('');
}

function printElementCommands(table: TableName, verb: 'add' | 'delete', elements: readonly Element[]): string[] {
  const bySet = new Map<string, Element[]>();
  for (const element of elements) {
    const list = bySet.get(element.set);
    if (list === undefined) bySet.set(element.set, [element]);
    else list.push(element);
  }
  return [...bySet].map(([set, list]) => {
    const texts = list.map(printElement);
    const listed = texts.length === 1 ? ` ${texts[0]} ` : `\n\t${texts.join(',\n\t')}\n`;
    return `${verb} element ${table.family} ${table.table} ${set} {${listed}}`;
  });
}

function printCommand(table: TableName, command: ObjectCommand): string {
  const place = `${table.family} ${table.table}`;
  switch (command.object) {
    case 'table':
      if (command.verb === 'add' && command.comment !== undefined)
        return `add table ${place} { comment ${quoted(command.comment)}; }`;
      return `${command.verb} table ${place}`;
    case 'set': {
      if (command.verb === 'delete') return `delete ${command.map ? 'map' : 'set'} ${place} ${command.name}`;
      const { set } = command;
      const dynamic = set.dynamic === undefined ? '' : ` size ${set.dynamic.size}; flags dynamic,timeout;`;
      const flags = set.interval === true ? ' flags interval;' : dynamic;
      return `add ${setWord(set)} ${place} ${set.name} { ${declaredTypes(set)};${flags} }`;
    }
    case 'chain': {
      const hook = command.verb === 'add' && command.hook !== undefined ? ` { ${printHook(command.hook)} }` : '';
      return `${command.verb} chain ${place} ${command.name}${hook}`;
    }
    case 'rule':
      return `add rule ${place} ${command.chain} ${printRule(command.rule)}`;
  }
}

// nft has no escape for a quote within quotes; no comment of ours has one.
function quoted(text: string): string {
  return `"${text}"`;
}
