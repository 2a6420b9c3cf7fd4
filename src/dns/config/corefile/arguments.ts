import { parseDuration } from '../../../component/duration.ts';
import { SignalboxError } from '../../../errors/error.ts';
import { tryParseIp } from '../../../net/ip.ts';
import { type Name, parseName } from '../../wire/name.ts';
import { tryReverseZones } from '../reverse.ts';
import type { HttpAddress } from '../types.ts';
import { corefileError, quoted } from './error.ts';
import type { Directive } from './parse.ts';
import type { Token } from './tokens.ts';

/** How the lines of a plugin's block are read, by their first word. */
export type OptionReaders = { readonly [name: string]: (option: Directive) => void };

/**
 * Reads the lines in a directive's braces, each by the reader of its name.
 * @throws SignalboxError `INVALID_CONFIG` for a line that has none, by name and line
 */
export function readOptions(directive: Directive, readers: OptionReaders): void {
  for (const option of directive.block ?? []) {
    const { text } = option.name;
    const read = Object.hasOwn(readers, text) ? readers[text] : undefined;
    if (read === undefined) {
      const names = Object.keys(readers);
      const remedy = names.length === 0 ? 'remove it' : `remove it; there are ${names.join(', ')}`;
      throw corefileError(option.name, `option ${text} of ${directive.name.text} is not supported`, remedy);
    }
    if (option.block !== undefined) throw corefileError(option.name, `${text} takes no block`, 'remove its braces');
    read(option);
  }
}

/**
 * The words after a directive's name.
 * @throws SignalboxError `INVALID_CONFIG` unless there are so many
 */
export function argumentsOf(
  { name, args }: Directive,
  least: number,
  most = Number.POSITIVE_INFINITY,
): readonly Token[] {
  if (args.length >= least && args.length <= most) return args;
  const extra = args[most];
  if (extra !== undefined) throw corefileError(extra, `${name.text} does not take ${quoted(extra)}`, 'remove it');
  throw corefileError(name, `${name.text} says too little`, `put ${least} or more words after it`);
}

/** The one word after a directive's name. */
export function argumentOf(directive: Directive): Token {
  const [token = directive.name] = argumentsOf(directive, 1, 1);
  return token;
}

/** Refuses a plugin's block. */
export function requireNoBlock(directive: Directive): void {
  readOptions(directive, {});
}

/** A whole number within bounds, both included. */
export function integerOf(token: Token, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(token.text) ? Number(token.text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw corefileError(token, `${quoted(token)} is not a whole number from ${least} to ${most}`, 'choose one');
}

/** Milliseconds, of `5s` or `1m30s`, within bounds, both included. */
export function durationOf(token: Token, least = 0, most = Number.POSITIVE_INFINITY): number {
  const value = parseDuration(token.text);
  if (value !== undefined && value >= least && value <= most) return value;
  const bounds = `${least === 0 ? '' : ` of at least ${least} ms`}${most < 1e9 ? ` of at most ${most} ms` : ''}`;
  throw corefileError(token, `${quoted(token)} is not a duration${bounds}`, 'write it as 5s, 1m30s or 500ms');
}

/** A zone: a name, or the block of addresses whose names are in it (several zones where it ends between labels). */
export function zonesOf(token: Token): readonly Name[] {
  const zones = parsedOf(token, tryReverseZones) ?? [parseName(token.text)].filter((zone) => zone !== undefined);
  if (zones.length > 0) return zones;
  throw corefileError(token, `${quoted(token)} is not a zone`, 'write it as example.org, or as 10.0.0.0/24');
}

/** The zones of some words; `absent` where there are none. */
export function zonesOr(tokens: readonly Token[], absent: readonly Name[]): readonly Name[] {
  return tokens.length === 0 ? absent : tokens.flatMap(zonesOf);
}

/** Where a page is served: `:8080`, `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. */
export function httpAddressOf(token: Token): HttpAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(token.text) ?? [];
  const host = bracketed ?? (plain === 'localhost' ? '127.0.0.1' : plain);
  const port = Number(digits);
  const ip = host === undefined || host === '' ? undefined : tryParseIp(host);
  if (digits === undefined || port > 65_535 || (ip === undefined && host !== ''))
    throw corefileError(
      token,
      `${quoted(token)} is not an address to listen at`,
      'write it as :8080 or 127.0.0.1:8080',
    );
  return { ip, port };
}

/** What `parse` makes of a word; what it has against it becomes an error about its line. */
export function parsedOf<T>(token: Token, parse: (text: string) => T): T {
  try {
    return parse(token.text);
  } catch (error) {
    if (error instanceof SignalboxError)
      throw corefileError(token, `${quoted(token)} ${error.problem}`, error.remedy, error);
    throw error;
  }
}

/** One of some words. */
export function choiceOf<const T extends string>(token: Token, choices: readonly T[]): T {
  const choice = choices.find((each) => each === token.text);
  if (choice !== undefined) return choice;
  throw corefileError(token, `${quoted(token)} is not supported here`, `choose from ${choices.join(', ')}`);
}
