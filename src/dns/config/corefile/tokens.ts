import { corefileError } from './error.ts';

/** A word of a Corefile, and where it stands. */
export interface Token {
  readonly text: string;
  /** Path of the file, as error messages name it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Quoted words are never braces, and never `import`. */
  readonly isQuoted: boolean;
  /** Whether it is the first of its line: there, a line begins. */
  readonly startsLine: boolean;
}

/**
 * Splits a Corefile into words: at white space, except inside double quotes, which may span lines and in which `\"`
 * stands for a quote. `#` begins a comment wherever it stands outside quotes, as in CoreDNS.
 * @throws SignalboxError `INVALID_CONFIG` when a quote is not closed
 */
export function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let tokenLine = 0;
  // A quote opens a quoted word only at its beginning; a comment, a run of white space, a quoted word, or a plain one.
  for (const [whole, quoted, unclosed, plain] of stripMark(text).matchAll(
    /#[^\n]*|\s+|"((?:\\.|[^"\\])*)"|(")|([^\s#]+)/gs,
  )) {
    if (unclosed !== undefined) throw corefileError({ file, line }, 'a quote is not closed', 'close it with "');
    if (quoted !== undefined || plain !== undefined) {
      tokens.push({
        text: quoted?.replace(/\\(.)/gs, (pair, next) => (next === '"' ? next : pair)) ?? plain ?? '',
        file,
        line,
        isQuoted: quoted !== undefined,
        startsLine: line !== tokenLine,
      });
    }
    line += whole.split('\n').length - 1;
    // A quoted word ends on its last line: what follows there is on the same line still.
    if (quoted !== undefined || plain !== undefined) tokenLine = line;
  }
  return tokens;
}

/** Without the byte order mark some editors put first. */
function stripMark(text: string): string {
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}
