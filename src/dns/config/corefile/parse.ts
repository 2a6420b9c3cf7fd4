import { dirname, join, resolve } from 'node:path';
import { corefileError, quoted } from './error.ts';
import { type Token, tokenize } from './tokens.ts';

/** A line of a Corefile: its first word, those after it, and the lines in the braces behind them. */
export interface Directive {
  readonly name: Token;
  readonly args: readonly Token[];
  /** `undefined` where there are no braces. */
  readonly block: readonly Directive[] | undefined;
}

/** A server block: `.:53 example.org { … }`. */
export interface CorefileBlock {
  readonly keys: readonly Token[];
  readonly directives: readonly Directive[];
}

/** Where a Corefile's imports and variables come from. Both may throw what a file system throws. */
export interface CorefileSurroundings {
  readonly readFile: (path: string) => string;
  /** The names of a folder's files. */
  readonly listFolder: (path: string) => readonly string[];
  readonly environment: { readonly [name: string]: string | undefined };
}

/** More imports than this lead round in circles. */
const maxImports = 1_000;
const maxTokens = 100_000;

/**
 * Reads the syntax of a Corefile: server blocks, snippets (`(name) { … }`), `import` of snippets and files, variables
 * (`{$NAME}`, `{%NAME%}`). The braces may be left out where there is one block.
 * @throws SignalboxError `INVALID_CONFIG` with the file and line
 */
export function parseCorefile(text: string, file: string, surroundings: CorefileSurroundings): CorefileBlock[] {
  return new Parser(text, file, surroundings).blocks();
}

class Parser {
  readonly #surroundings: CorefileSurroundings;
  readonly #file: string;
  readonly #snippets = new Map<string, readonly Token[]>();
  readonly #tokens: Token[];
  #at = 0;
  #imports = 0;

  constructor(text: string, file: string, surroundings: CorefileSurroundings) {
    this.#surroundings = surroundings;
    this.#file = file;
    this.#tokens = this.#expanded(tokenize(text, file));
  }

  blocks(): CorefileBlock[] {
    const blocks: CorefileBlock[] = [];
    for (let token = this.#lineStart(); token !== undefined; token = this.#lineStart()) {
      const snippet = /^\((.*)\)$/.exec(token.text)?.[1];
      if (snippet === undefined || token.isQuoted) blocks.push(this.#block());
      else this.#keepSnippet(token, snippet);
    }
    return blocks;
  }

  #block(): CorefileBlock {
    const keys = this.#keys();
    if (!this.#takeBrace('{')) return { keys, directives: this.#directives('end') };
    return { keys, directives: this.#directives(this.#brace()) };
  }

  /** The keys before a block: all on one line, or on several with a comma at the end of each but the last. */
  #keys(): Token[] {
    const keys: Token[] = [];
    for (let goesOn = true, token = this.#peek(); token !== undefined && !isBrace(token); token = this.#peek()) {
      if (keys.length > 0 && token.startsLine && !goesOn) break;
      goesOn = token.text.endsWith(',');
      const words = token.text.split(',').filter((word) => word !== '');
      for (const text of words) keys.push(this.#spaced({ ...token, text }));
      this.#at++;
    }
    const token = this.#peek();
    if (keys.length === 0) throw corefileError(token ?? this.#end(), 'a server block has no zone', 'write .:53 { … }');
    return keys;
  }

  /** The lines up to the closing brace of one that was opened, or to the end of the file. */
  #directives(opened: Token | 'end'): Directive[] {
    const directives: Directive[] = [];
    for (;;) {
      const token = this.#lineStart();
      if (opened !== 'end' && this.#takeBrace('}')) return directives;
      if (token === undefined) {
        if (opened === 'end') return directives;
        throw corefileError(opened, 'a { is not closed', 'close it with }');
      }
      if (isBrace(token)) throw corefileError(token, `${token.text} stands alone`, 'put a directive before it');
      directives.push(this.#directive());
    }
  }

  #directive(): Directive {
    const name = this.#spaced(this.#next());
    const args: Token[] = [];
    for (let token = this.#peek(); token !== undefined && !token.startsLine && !isBrace(token); token = this.#peek()) {
      args.push(this.#spaced(token));
      this.#at++;
    }
    const next = this.#peek();
    const opens = next !== undefined && !next.startsLine && this.#takeBrace('{');
    return { name, args, block: opens ? this.#directives(this.#brace()) : undefined };
  }

  #keepSnippet(token: Token, name: string): void {
    this.#at++;
    if (this.#snippets.has(name)) throw corefileError(token, `snippet ${name} is there already`, 'rename one of them');
    if (!this.#takeBrace('{')) throw corefileError(token, 'a snippet has no { after its name', 'write (name) { … }');
    const start = this.#at;
    const opened = this.#brace();
    for (let depth = 1; depth > 0; this.#at++) {
      const next = this.#peek();
      if (next === undefined) throw corefileError(opened, 'a { is not closed', 'close it with }');
      if (isBrace(next)) depth += next.text === '{' ? 1 : -1;
    }
    this.#snippets.set(name, this.#tokens.slice(start, this.#at - 1));
  }

  /** The next token, which begins a line, after the imports there have been put in. */
  #lineStart(): Token | undefined {
    for (let token = this.#peek(); token !== undefined; token = this.#peek()) {
      if (token.text !== 'import' || token.isQuoted) return token;
      this.#import(token);
    }
    return undefined;
  }

  #import(token: Token): void {
    const pattern = this.#tokens[this.#at + 1];
    const extra = this.#tokens[this.#at + 2];
    if (pattern === undefined || pattern.startsLine || isBrace(pattern))
      throw corefileError(token, 'import says nothing to import', 'name a snippet, a file, or files with *');
    if (extra !== undefined && !extra.startsLine && !isBrace(extra))
      throw corefileError(
        token,
        `import has ${extra.text} after its file`,
        'import one file, pattern or snippet a line',
      );
    if (++this.#imports > maxImports) throw corefileError(token, 'imports lead round in circles', 'remove one of them');
    const tokens = this.#snippets.get(pattern.text) ?? this.#filesOf(pattern);
    const first = tokens[0];
    // What is put in stands on lines of its own.
    const lines = first === undefined ? [] : [{ ...first, startsLine: true }, ...tokens.slice(1)];
    const after = this.#tokens[this.#at + 2];
    if (after !== undefined) this.#tokens[this.#at + 2] = { ...after, startsLine: true };
    this.#tokens.splice(this.#at, 2, ...lines);
    if (this.#tokens.length > maxTokens) throw corefileError(token, 'imports too much', 'split the configuration');
  }

  #filesOf(pattern: Token): Token[] {
    const path = resolve(dirname(this.#file), pattern.text);
    try {
      return this.#matching(path).flatMap((file) => this.#expanded(tokenize(this.#surroundings.readFile(file), file)));
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === undefined || code === 'INVALID_CONFIG') throw cause;
      const problem = `${quoted(pattern)} is no snippet above, and no file that can be read (${code})`;
      throw corefileError(pattern, problem, 'correct its name, or define it before', cause);
    }
  }

  /** The files a path stands for, by name: with `*` and `?` in its last part there may be none. */
  #matching(path: string): string[] {
    const folder = dirname(path);
    const last = path.slice(path.lastIndexOf('/') + 1);
    if (!/[*?]/.test(last)) return [path];
    const source = last
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    const pattern = new RegExp(`^${source}$`, 's');
    const names = this.#listed(folder).filter((name) => !name.startsWith('.') && pattern.test(name));
    return names.sort().map((name) => join(folder, name));
  }

  /** A folder that is not there has no files: the one for additions of the user's own is mounted where there are some. */
  #listed(folder: string): readonly string[] {
    try {
      return this.#surroundings.listFolder(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  #expanded(tokens: Token[]): Token[] {
    const { environment } = this.#surroundings;
    const expand = (text: string) =>
      text.replace(/\{\$([^{}]+)\}|\{%([^{}]+)%\}/g, (_, dollar, percent) => environment[dollar ?? percent] ?? '');
    return tokens.map((token) => (token.text.includes('{') ? { ...token, text: expand(token.text) } : token));
  }

  /** Refuses a word a brace sticks to: it would be neither. */
  #spaced(token: Token): Token {
    if (token.isQuoted || !token.text.endsWith('{')) return token;
    throw corefileError(token, `${token.text} has no space before its {`, 'put one there');
  }

  #takeBrace(brace: '{' | '}'): boolean {
    const token = this.#peek();
    if (token?.text !== brace || token.isQuoted) return false;
    this.#at++;
    return true;
  }

  /** The brace just taken. */
  #brace(): Token {
    return this.#tokens[this.#at - 1] ?? this.#end();
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  #next(): Token {
    return this.#tokens[this.#at++] ?? this.#end();
  }

  #end(): Token {
    const line = this.#tokens.at(-1)?.line ?? 1;
    return { text: '', file: this.#file, line, isQuoted: false, startsLine: true };
  }
}

function isBrace({ text, isQuoted }: Token): boolean {
  return !isQuoted && (text === '{' || text === '}');
}
