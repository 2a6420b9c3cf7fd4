import { parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, tryParseIp } from '../../net/ip.ts';
import { allBits, hostMask } from './print.ts';
import {
  type Block,
  type ConnectionState,
  type KnownRule,
  type Match,
  type Matched,
  orMark,
  type RejectWith,
  type Rule,
  type RuleText,
  statistic,
  type Target,
  type TransportProtocol,
  xorMark,
} from './syntax.ts';

/**
 * Reads a rule as it stands behind `-A CHAIN `, in the spelling of listings or in that of a command line. What is not
 * in `KnownRule` makes the whole a `ForeignRule`.
 */
export function parseRule(text: RuleText, family: IpFamily): Rule {
  const words = splitWords(text);
  const rule = words && new RuleReader(words, family).read();
  return rule ?? { foreign: text };
}

/** Splits at blanks as the tool does: within double quotes they stay, and a backslash there takes a character as it is. */
function splitWords(text: string): string[] | undefined {
  const words: string[] = [];
  const pattern = /\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))/gy;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    words.push(match[1]?.replace(/\\(.)/g, '$1') ?? match[2] ?? '');
    end = match.index + match[0].length;
  }
  return text.slice(end).trim() === '' ? words : undefined;
}

/** Thrown where a rule says what none of ours does. */
class Foreign extends Error {}

type Draft = { -readonly [K in keyof KnownRule]: KnownRule[K] } & { matches: Match[] };

/** Reads the words of one rule from left to right. */
class RuleReader {
  readonly #words: readonly string[];
  readonly #family: IpFamily;
  readonly #rule: Draft = { matches: [] };
  #at = 0;
  #negated = false;

  constructor(words: readonly string[], family: IpFamily) {
    this.#words = words;
    this.#family = family;
  }

  read(): Rule | undefined {
    try {
      while (this.#at < this.#words.length) this.#option(this.#next());
      return this.#rule;
    } catch (error) {
      if (error instanceof Foreign) return undefined;
      throw error;
    }
  }

  #next(): string {
    const word = this.#words[this.#at++];
    if (word === undefined) throw new Foreign();
    return word;
  }

  #peek(): string | undefined {
    return this.#words[this.#at];
  }

  /** The next word as one of a few. */
  #oneOf<T extends string>(known: readonly T[]): T {
    const word = this.#next();
    const found = known.find((candidate) => candidate === word);
    if (found === undefined) throw new Foreign();
    return found;
  }

  #number(): number {
    const value = Number(this.#next());
    if (Number.isNaN(value)) throw new Foreign();
    return value;
  }

  /** Whether `!` stood before the option; asked once. */
  #not(): { negated?: true } {
    const negated = this.#negated;
    this.#negated = false;
    return negated ? { negated: true } : {};
  }

  #matched<T>(value: T): Matched<T> {
    return { value, ...this.#not() };
  }

  #option(word: string): void {
    const rule = this.#rule;
    switch (word) {
      case '!':
        this.#negated = true;
        return;
      case '-s':
        rule.source = this.#block();
        return;
      case '-d':
        rule.destination = this.#block();
        return;
      case '-i':
        rule.inInterface = this.#matched(this.#next());
        return;
      case '-o':
        rule.outInterface = this.#matched(this.#next());
        return;
      case '-p':
        rule.protocol = this.#matched(this.#oneOf(transports));
        return;
      case '-j':
        rule.target = this.#target();
        return;
      case '-g':
        rule.target = { kind: 'goto', chain: this.#next() };
        return;
      case '-m':
        this.#match(this.#next());
        return;
      case '--dport':
      case '--sport':
        // Options of the protocol may stand anywhere behind `-m tcp`.
        this.#port(word);
        return;
      default:
        throw new Foreign();
    }
  }

  #block(): Matched<Block> {
    const text = this.#next();
    try {
      const { base, prefix } = parseCidr(text.includes('/') ? text : `${text}/${this.#family === 'IPv4' ? 32 : 128}`);
      return this.#matched<Block>(`${base}/${prefix}`);
    } catch {
      throw new Foreign();
    }
  }

  #port(option: string): void {
    const { matches } = this.#rule;
    const place = matches.findIndex(({ kind }) => kind === 'ports');
    const match = matches[place];
    if (match?.kind !== 'ports' || this.#negated) throw new Foreign();
    const port = this.#number();
    matches[place] = { ...match, [option === '--dport' ? 'destinationPort' : 'sourcePort']: port };
  }

  #match(name: string): void {
    const { matches } = this.#rule;
    switch (name) {
      case 'tcp':
      case 'udp':
      case 'sctp':
        matches.push({ kind: 'ports', protocol: name });
        return;
      case 'comment':
        this.#oneOf(['--comment']);
        matches.push({ kind: 'comment', text: this.#next() });
        return;
      case 'addrtype':
        matches.push(this.#addrtype());
        return;
      case 'statistic':
        this.#oneOf(['--mode']);
        this.#oneOf(['random']);
        this.#oneOf(['--probability']);
        matches.push(statistic(this.#number()));
        return;
      case 'recent':
        matches.push(this.#recent());
        return;
      case 'mark':
        matches.push(this.#mark());
        return;
      case 'conntrack':
        matches.push(this.#conntrack());
        return;
      case 'set':
        matches.push(this.#set());
        return;
      default:
        this.#foreign();
    }
  }

  #foreign(): never {
    throw new Foreign();
  }

  #addrtype(): Match {
    const sides: { source?: Matched<'LOCAL'>; destination?: Matched<'LOCAL'> } = {};
    for (;;) {
      const back = this.#at;
      this.#negation();
      const option = this.#peek();
      if (option !== '--src-type' && option !== '--dst-type') {
        this.#at = back;
        this.#negated = false;
        return { kind: 'addrtype', ...sides };
      }
      this.#next();
      sides[option === '--src-type' ? 'source' : 'destination'] = this.#matched(this.#oneOf(['LOCAL']));
    }
  }

  /** Takes a `!` if one is next. */
  #negation(): void {
    if (this.#peek() !== '!') return;
    this.#next();
    this.#negated = true;
  }

  #recent(): Match {
    const options: { action?: string; name?: string; seconds?: number; reap?: true } = {};
    for (;;) {
      switch (this.#peek()) {
        case '--set':
        case '--rcheck':
          options.action = this.#next();
          break;
        case '--name':
          this.#next();
          options.name = this.#next();
          break;
        case '--seconds':
          this.#next();
          options.seconds = this.#number();
          break;
        case '--reap':
          this.#next();
          options.reap = true;
          break;
        case '--rsource':
          this.#next();
          break;
        case '--mask':
          this.#next();
          if (this.#next() !== hostMask[this.#family]) this.#foreign();
          break;
        default:
          return this.#recentOf(options);
      }
    }
  }

  #recentOf({ action, name, seconds, reap }: RecentOptions): Match {
    if (name !== undefined && action === '--set' && seconds === undefined && reap === undefined)
      return { kind: 'recent set', name };
    if (name !== undefined && action === '--rcheck' && seconds !== undefined)
      return { kind: 'recent rcheck', name, seconds, ...(reap === undefined ? {} : { reap }) };
    return this.#foreign();
  }

  #mark(): Match {
    this.#negation();
    this.#oneOf(['--mark']);
    const [value, mask = allBits] = this.#marks();
    return { kind: 'mark', value, mask, ...this.#not() };
  }

  /** `0x4000/0x4000`, or the first of them alone. */
  #marks(): [value: number, mask?: number] {
    const [value = Number.NaN, mask, ...more] = this.#next().split('/').map(Number);
    if (Number.isNaN(value) || Number.isNaN(mask ?? 0) || more.length > 0) this.#foreign();
    return mask === undefined ? [value] : [value, mask];
  }

  #conntrack(): Match {
    this.#negation();
    if (this.#oneOf(['--ctstate', '--ctdir']) === '--ctdir') {
      if (this.#negated) this.#foreign();
      return { kind: 'ctdir', direction: this.#oneOf(['ORIGINAL', 'REPLY']) };
    }
    const states = this.#next()
      .split(',')
      .map((word) => connectionStates.find((state) => state === word) ?? this.#foreign());
    return { kind: 'ctstate', states, ...this.#not() };
  }

  #set(): Match {
    this.#negation();
    this.#oneOf(['--match-set']);
    const name = this.#next();
    return { kind: 'set', name, parts: this.#setParts(), ...this.#not() };
  }

  #setParts(): ('src' | 'dst')[] {
    return this.#next()
      .split(',')
      .map((word) => (word === 'src' || word === 'dst' ? word : this.#foreign()));
  }

  #setTarget(): Target {
    this.#oneOf(['--map-set']);
    const set = this.#next();
    const parts = this.#setParts();
    this.#oneOf(['--map-mark']);
    return { kind: 'SET', set, parts };
  }

  #target(): Target {
    const name = this.#next();
    switch (name) {
      case 'ACCEPT':
      case 'DROP':
      case 'RETURN':
        return { kind: name };
      case 'REJECT':
        if (this.#peek() !== '--reject-with') return { kind: 'REJECT', with: defaultReject[this.#family] };
        this.#next();
        return { kind: 'REJECT', with: this.#oneOf(rejections) };
      case 'DNAT':
        this.#oneOf(['--to-destination']);
        return this.#dnat(this.#next());
      case 'MARK':
        return this.#markTarget();
      case 'MASQUERADE':
        if (this.#peek() !== '--random-fully') return { kind: 'MASQUERADE' };
        this.#next();
        return { kind: 'MASQUERADE', randomFully: true };
      case 'SET':
        return this.#setTarget();
      default:
        // An option behind it shows that it is no chain but a target that we do not know.
        if (this.#peek()?.startsWith('--') === true) this.#foreign();
        return { kind: 'jump', chain: name };
    }
  }

  #dnat(text: string): Target {
    const [, bracketed, plain = '', port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
    const ip: Ip | undefined = tryParseIp(bracketed ?? plain);
    if (ip === undefined || familyOf(ip) !== this.#family) this.#foreign();
    return { kind: 'DNAT', ip, port: Number(port) };
  }

  #markTarget(): Target {
    const option = this.#oneOf(['--set-xmark', '--set-mark', '--or-mark', '--xor-mark']);
    const [value, mask] = this.#marks();
    if (option === '--or-mark') return orMark(value);
    if (option === '--xor-mark') return xorMark(value);
    // `--set-mark` zeroes the bits of its value as well.
    if (option === '--set-mark') return { kind: 'MARK', value, mask: ((mask ?? allBits) | value) >>> 0 };
    return { kind: 'MARK', value, mask: mask ?? allBits };
  }
}

interface RecentOptions {
  readonly action?: string;
  readonly name?: string;
  readonly seconds?: number;
  readonly reap?: true;
}

const transports: readonly TransportProtocol[] = ['tcp', 'udp', 'sctp'];
const connectionStates: readonly ConnectionState[] = [
  'NEW',
  'ESTABLISHED',
  'RELATED',
  'INVALID',
  'UNTRACKED',
  'SNAT',
  'DNAT',
];
const rejections: readonly RejectWith[] = ['icmp-port-unreachable', 'icmp6-port-unreachable', 'tcp-reset'];
const defaultReject: { readonly [F in IpFamily]: RejectWith } = {
  IPv4: 'icmp-port-unreachable',
  IPv6: 'icmp6-port-unreachable',
};
