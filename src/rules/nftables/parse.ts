import { SignalboxError } from '../../errors/error.ts';
import { parseIp } from '../../net/ip.ts';
import { typeWords } from './print.ts';
import type {
  Block,
  Chain,
  Element,
  Hook,
  Key,
  Program,
  Rule,
  Selector,
  SetDeclaration,
  Statement,
  TableFamily,
  TransportProtocol,
  TypeSelector,
  Value,
} from './syntax.ts';

/**
 * Reads one table as `printProgram` and `nft list table` write it, as far as it is in our part of the language.
 * @throws SignalboxError `INVALID_NFTABLES_TEXT` with the line, what is there and what could be
 */
export function parseProgram(text: string): Program {
  return new Parser(text).program();
}

interface Token {
  readonly text: string;
  readonly line: number;
}

// A line ends a rule, so it is a token of its own. Addresses of IPv6 have colons in them; a colon alone is a word.
const tokenPattern = /"[^"\n]*"|#[^\n]*|[{},;\n]|[^\s{},;"]+/g;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (const [token] of text.matchAll(tokenPattern)) {
    tokens.push({ text: token, line });
    if (token === '\n') line++;
  }
  return tokens;
}

const typeSelectors: readonly TypeSelector[] = [
  'ip saddr',
  'ip daddr',
  'ip6 saddr',
  'ip6 daddr',
  'meta l4proto',
  'th dport',
];
/** Of what no set of ours is typed by. */
const otherSelectors: readonly Selector[] = [
  'th sport',
  'ct original ip daddr',
  'ct original ip6 daddr',
  'ct original proto-dst',
];
const transportProtocols: readonly TransportProtocol[] = ['tcp', 'udp', 'sctp'];
const hookTypes: readonly Hook['type'][] = ['filter', 'nat'];
const hooks: readonly Hook['hook'][] = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
const families: readonly TableFamily[] = ['ip', 'ip6'];
const priorities: ReadonlyMap<string, number> = new Map([
  ['raw', -300],
  ['dstnat', -100],
  ['filter', 0],
  ['srcnat', 100],
]);

const secondsIn: ReadonlyMap<string, number> = new Map([
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
]);

function rememberedKey(family: TableFamily): readonly string[] {
  const key = `meta l4proto . ct original ${family} daddr . ct original proto-dst`;
  return `${key} . ct reply ${family} saddr . ct reply proto-src`.split(' ');
}

/** The comment of statements with memory says what nft has no words for: see `shownComment`. */
function withComment(statements: readonly Statement[], comment: string): Rule {
  const [, services, memory] = /^address as in @(\S+?)(?:, endpoint as in @(\S+))?$/.exec(comment) ?? [];
  if (services === undefined) return { statements, comment };
  return {
    statements: statements.map((statement) =>
      'services' in statement ? { ...statement, services, memory: memory ?? statement.memory } : statement,
    ),
  };
}

/** In a set of blocks, a single address is one. */
function asBlock(value: Value): Value {
  const text = String(value);
  if (text.includes('/')) return value;
  return `${text}/${text.includes(':') ? 128 : 32}`;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  program(): Program {
    const sets: SetDeclaration[] = [];
    const chains: Chain[] = [];
    const elements: Element[] = [];
    this.#skipLines();
    this.#expect('table');
    const family = this.#oneOf(families, 'a family');
    const table = this.#word('the name of a table');
    this.#expect('{');
    this.#skipLines();
    const comment = this.#takes('comment') ? this.#string() : undefined;
    for (this.#skipLines(); !this.#takes('}'); this.#skipLines()) {
      const kind = this.#oneOf(['set', 'map', 'chain'] as const, 'a set, map or chain');
      if (kind === 'chain') chains.push(this.#chain());
      else sets.push(this.#set(kind, elements));
    }
    this.#skipLines();
    if (this.#at < this.#tokens.length) this.#fail('the end');
    return { family, table, ...(comment !== undefined && { comment }), sets, chains, elements };
  }

  #set(kind: 'set' | 'map', elements: Element[]): SetDeclaration {
    const name = this.#word('a name');
    this.#expect('{');
    this.#skipLines();
    const key = this.#takes('type') ? this.#separated(() => this.#typeWord()) : this.#typeof();
    const data = kind === 'map' ? this.#data(() => this.#types()) : undefined;
    this.#skipLines();
    const flags = this.#flags();
    this.#skipLines();
    if (this.#takes('elements')) this.#elements({ name, interval: flags.interval === true }, elements);
    this.#skipLines();
    this.#expect('}');
    return { name, key, ...(data && { data }), ...flags };
  }

  #flags(): Pick<SetDeclaration, 'interval' | 'dynamic'> {
    const size = this.#takes('size') ? this.#number() : undefined;
    this.#skipLines();
    if (!this.#takes('flags')) return {};
    if (size === undefined) {
      this.#expect('interval');
      return { interval: true };
    }
    for (const word of ['dynamic', ',', 'timeout']) this.#expect(word);
    return { dynamic: { size } };
  }

  #data<T>(read: () => T): T {
    this.#expect(':');
    return read();
  }

  #elements(set: { readonly name: string; readonly interval: boolean }, into: Element[]): void {
    this.#expect('=');
    this.#expect('{');
    do {
      this.#skipLines();
      const element = this.#element(set.name);
      into.push(set.interval ? { ...element, key: element.key.map(asBlock) } : element);
    } while (this.#takes(','));
    this.#expect('}');
  }

  #element(set: string): Element {
    const key = this.#values();
    // Of what packets put in, nft shows how long it stays.
    for (const word of ['timeout', 'expires']) if (this.#takes(word)) this.#next();
    const comment = this.#takes('comment') ? this.#string() : undefined;
    const data = this.#peek() === ':' ? this.#data(() => this.#values()) : undefined;
    return { set, key, ...(data && { data }), ...(comment !== undefined && { comment }) };
  }

  #values(): Value[] {
    return this.#separated(() => this.#value());
  }

  #value(): Value {
    const word = this.#word('a value');
    if (/^\d+$/.test(word)) return Number(word);
    if (transportProtocols.includes(word as TransportProtocol)) return word as TransportProtocol;
    return word.includes('/') ? (word as Block) : parseIp(word);
  }

  #separated<T>(read: () => T): T[] {
    const items = [read()];
    while (this.#takes('.')) items.push(read());
    return items;
  }

  #chain(): Chain {
    const name = this.#word('a name');
    this.#expect('{');
    this.#skipLines();
    const hook = this.#takes('type') ? this.#hook() : undefined;
    const rules: Rule[] = [];
    for (this.#skipLines(); !this.#takes('}'); this.#skipLines()) rules.push(this.#rule());
    return { name, ...(hook && { hook }), rules };
  }

  #hook(): Hook {
    const type = this.#oneOf(hookTypes, 'a chain type');
    this.#expect('hook');
    const hook = this.#oneOf(hooks, 'a hook');
    this.#expect('priority');
    const priority = this.#priority();
    for (const word of [';', 'policy', 'accept', ';']) this.#expect(word);
    return { type, hook, priority };
  }

  #priority(): number {
    const word = this.#word('a priority');
    const base = priorities.get(word) ?? Number(word);
    if (!Number.isInteger(base)) this.#fail('a priority', word);
    if (this.#takes('+')) return base + this.#number();
    return this.#takes('-') ? base - this.#number() : base;
  }

  #rule(): Rule {
    const statements: Statement[] = [];
    while (this.#peek() !== '\n' && this.#peek() !== undefined) {
      if (this.#takes('comment')) return withComment(statements, this.#string());
      statements.push(this.#statement());
    }
    return { statements };
  }

  #statement(): Statement {
    if (this.#peek()?.startsWith('#')) return { kind: 'foreign', expressions: this.#next().slice(2) };
    if (this.#takes('iifname')) return this.#iifname();
    if (this.#takes('iif', '0')) return { kind: 'from node' };
    if (this.#takes('iif', '!=', '0')) return { kind: 'from node', negated: true };
    if (this.#takes('update')) return this.#memory('remember');
    if (this.#takes('delete')) return this.#memory('forget');
    if (this.#takes('ct', 'state', 'new')) return { kind: 'ct state', state: 'new' };
    if (this.#takes('ct', 'status', 'dnat')) return { kind: 'ct status', status: 'dnat' };
    if (this.#takes('ct', 'status', '!', 'dnat')) return { kind: 'ct status', status: 'dnat', negated: true };
    if (this.#takes('jump')) return { kind: 'jump', chain: this.#word('a chain') };
    if (this.#takes('goto')) return { kind: 'goto', chain: this.#word('a chain') };
    if (this.#takes('drop')) return { kind: 'drop' };
    if (this.#takes('notrack')) return { kind: 'notrack' };
    if (this.#takes('masquerade', 'fully-random')) return { kind: 'masquerade' };
    if (this.#takes('reject', 'with', 'tcp', 'reset')) return { kind: 'reject', with: 'tcp reset' };
    if (this.#takes('reject')) return { kind: 'reject' };
    if (this.#takes('dnat')) return this.#dnat();
    return this.#match();
  }

  #dnat(): Statement {
    this.#oneOf(families, 'a family');
    this.#expect('to');
    const key = this.#key();
    this.#expect('map');
    return { kind: 'dnat', key, map: this.#setName() };
  }

  #iifname(): Statement {
    const negated = this.#takes('!=');
    const text = this.#string();
    const prefix = text.endsWith('*');
    const name = prefix ? text.slice(0, -1) : text;
    return { kind: 'iifname', name, ...(prefix && { prefix }), ...(negated && { negated }) };
  }

  /** `@memory { key timeout 3h : data }`, of which only the names and the time are not always the same. */
  #memory(kind: 'remember' | 'forget'): Statement {
    const memory = this.#setName();
    this.#expect('{');
    const family: TableFamily = this.#key().some((selector) => selector.includes('ip6')) ? 'ip6' : 'ip';
    const seconds = this.#takes('timeout') ? this.#duration() : 0;
    this.#data(() => this.#key());
    this.#expect('}');
    const recall = { family, services: '', memory };
    return kind === 'remember' ? { kind, ...recall, seconds } : { kind, ...recall };
  }

  #duration(): number {
    const word = this.#word('a time');
    const parts = [...word.matchAll(/(\d+)([dhms])/g)];
    if (parts.map(([part]) => part).join('') !== word) this.#fail('a time in whole seconds', word);
    return parts.reduce((sum, [, count, unit = 's']) => sum + Number(count) * (secondsIn.get(unit) ?? 1), 0);
  }

  /** Where a translation to a remembered endpoint comes next, reads it: nothing but the set is not always the same. */
  #remembered(): Statement | undefined {
    const family = families.find((word) => this.#takes(...rememberedKey(word)));
    if (family === undefined) return undefined;
    const endpoints = this.#setName();
    for (const word of `dnat to ct reply ${family} saddr:ct reply proto-src`.split(' ')) this.#expect(word);
    return { kind: 'dnat remembered', family, endpoints, services: '', memory: '' };
  }

  #match(): Statement {
    const remembered = this.#remembered();
    if (remembered !== undefined) return remembered;
    const key = this.#key();
    if (this.#takes('!=')) return { kind: 'lookup', key, set: this.#setName(), negated: true };
    if (this.#peek()?.startsWith('@')) return { kind: 'lookup', key, set: this.#setName() };
    if (key.join() !== 'meta l4proto') this.#fail('a set');
    return { kind: 'meta l4proto', protocol: this.#oneOf(transportProtocols, 'a transport protocol') };
  }

  #setName(): string {
    const word = this.#word('a set');
    if (!word.startsWith('@')) this.#fail('a set', word);
    return word.slice(1);
  }

  #key(): Key {
    return this.#separated(() => this.#found(otherSelectors) ?? this.#maskedSource() ?? this.#type());
  }

  #maskedSource(): Selector | undefined {
    const family = families.find((word) => this.#takes(word, 'saddr', '&'));
    return family && `${family} saddr & ${this.#word('a mask')}`;
  }

  #typeof(): TypeSelector[] {
    this.#expect('typeof');
    return this.#types();
  }

  #typeWord(): TypeSelector {
    const word = this.#word('a type');
    for (const [selector, name] of typeWords) if (name === word) return selector;
    return this.#fail('a type', word);
  }

  #types(): TypeSelector[] {
    return this.#separated(() => this.#type());
  }

  #type(): TypeSelector {
    if (this.#takes('numgen', 'random', 'mod')) return `numgen random mod ${this.#number()}`;
    return this.#found(typeSelectors) ?? this.#fail('a selector or statement');
  }

  #found<T extends string>(selectors: readonly T[]): T | undefined {
    return selectors.find((selector) => this.#takes(...selector.split(' ')));
  }

  #number(): number {
    const word = this.#word('a number');
    return /^\d+$/.test(word) ? Number(word) : this.#fail('a number', word);
  }

  #string(): string {
    const word = this.#next();
    return word.startsWith('"') ? word.slice(1, -1) : this.#fail('a text in quotes', word);
  }

  #word(what: string): string {
    const word = this.#next();
    return /^[\w@.:/-]/.test(word) ? word : this.#fail(what, word);
  }

  #oneOf<T extends string>(words: readonly T[], what: string): T {
    const word = this.#next();
    return words.find((candidate) => candidate === word) ?? this.#fail(what, word);
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at]?.text;
  }

  #next(): string {
    return this.#tokens[this.#at++]?.text ?? '';
  }

  /** Goes on behind these words if they come next. */
  #takes(...words: readonly string[]): boolean {
    if (words.some((word, i) => this.#tokens[this.#at + i]?.text !== word)) return false;
    this.#at += words.length;
    return true;
  }

  #expect(word: string): void {
    if (!this.#takes(word)) this.#fail(`“${word}”`);
  }

  #skipLines(): void {
    while (this.#peek() === '\n') this.#at++;
  }

  /** At the next token, or at the one just taken if its text is given. */
  #fail(expected: string, taken?: string): never {
    const found = taken ?? this.#peek() ?? '';
    const token = this.#tokens[taken === undefined ? this.#at : this.#at - 1] ?? this.#tokens.at(-1);
    throw new SignalboxError('INVALID_NFTABLES_TEXT', {
      object: `line ${token?.line ?? 1} of the nftables text`,
      problem: found === '' ? 'ends too early' : `has “${found === '\n' ? 'end of line' : found}”`,
      remedy: `there should be ${expected}`,
    });
  }
}
