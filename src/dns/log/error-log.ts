import type { Logger } from '../../component/log.ts';
import type { ErrorsSettings } from '../config/types.ts';
import { typeName } from '../wire/mnemonics.ts';
import { formatName } from '../wire/name.ts';
import type { Query } from '../wire/query.ts';

type Rule = ErrorsSettings['consolidate'][number];

/** Lines within a second; what is beyond is counted, and told in one. */
const maxLines = 50;

/**
 * A line for each query that failed: response code, name, type, and what was wrong. Problems that fit a pattern are told
 * together at the end of its interval instead, or from the second on.
 */
export class ErrorLog {
  readonly #rules: readonly Rule[];
  readonly #log: Logger;
  readonly #counts = new Map<Rule, { count: number; readonly timer: NodeJS.Timeout }>();
  readonly #now: () => number;
  #second = 0;
  #lines = 0;

  /** `now` in milliseconds. */
  constructor({ consolidate }: ErrorsSettings, log: Logger, now: () => number = () => performance.now()) {
    this.#rules = consolidate;
    this.#log = log;
    this.#now = now;
  }

  /** Notes a query that failed. */
  note({ name, type }: Query, code: number, problem: string): void {
    const rule = this.#rules.find(({ pattern }) => pattern.test(problem));
    const isFirst = rule !== undefined && this.#count(rule) === 1;
    if (rule !== undefined && !(rule.showFirst && isFirst)) return;
    if (this.#hasRoom()) this.#log[rule?.level ?? 'error'](`${code} ${formatName(name)} ${typeName(type)}: ${problem}`);
  }

  /** Tells what has been counted so far. */
  close(): void {
    for (const [rule, { timer }] of [...this.#counts]) {
      clearTimeout(timer);
      this.#tell(rule);
    }
  }

  /** How many there are in the interval, with this one. */
  #count(rule: Rule): number {
    const known = this.#counts.get(rule);
    if (known !== undefined) return ++known.count;
    this.#counts.set(rule, { count: 1, timer: setTimeout(() => this.#tell(rule), rule.intervalMs).unref() });
    return 1;
  }

  #tell(rule: Rule): void {
    const count = this.#counts.get(rule)?.count ?? 0;
    this.#counts.delete(rule);
    const { pattern, intervalMs, level, showFirst } = rule;
    // It has been told.
    if (showFirst && count === 1) return;
    // As it was written: slashes are escaped by nobody but JavaScript.
    const text = pattern.source.replaceAll('\\/', '/');
    this.#log[level](`${count} errors like '${text}' occurred in last ${intervalMs / 1000}s`);
  }

  #hasRoom(): boolean {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      if (this.#lines > maxLines) this.#log.error(`${this.#lines - maxLines} more errors occurred in one second`);
      this.#second = second;
      this.#lines = 0;
    }
    return ++this.#lines <= maxLines;
  }
}
