import { SignalboxError } from '../../../errors/error.ts';

/** A place in a Corefile. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** An `INVALID_CONFIG` about a line of a Corefile; `problem` reads on after `Corefile:7`. */
export function corefileError({ file, line }: Place, problem: string, remedy: string, cause?: unknown): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', { object: `${file}:${line}`, problem, remedy, cause });
}

/** A word as it is quoted in errors: one that is empty, as a variable is that is not set, is to be seen. */
export function quoted({ text }: { readonly text: string }): string {
  return text === '' ? '""' : text;
}
