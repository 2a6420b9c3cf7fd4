import { SignalboxError } from '../errors/error.ts';
import { parseDuration } from './duration.ts';

/** How one kind of configuration is read. */
export interface ConfigRules {
  /** What errors call the configuration as a whole. */
  readonly name: string;
  /**
   * Whether a field with its zero value (`""`, `0`, `"0s"`, `false`, an empty list, an object of nothing else) is read
   * as if it was absent: so it is in Kubernetes' own configuration kinds, whose generated files are full of them.
   */
  readonly zeroIsAbsent?: boolean;
}

/** Makes something of a value, or throws an error that says where the value stands and what is wrong with it. */
export type ConfigReader<T> = (at: ConfigValue) => T;

/** A value of a configuration, and where it stands in it. */
export class ConfigValue {
  readonly value: unknown;
  /** `listen[0].port`; empty for the whole. */
  readonly path: string;
  readonly rules: ConfigRules;

  constructor(value: unknown, path: string, rules: ConfigRules) {
    this.value = value;
    this.path = path;
    this.rules = rules;
  }

  /** Whether the configuration says nothing here. */
  get isAbsent(): boolean {
    return this.rules.zeroIsAbsent === true ? isZero(this.value) : this.isNothing;
  }

  /** Whether there is not even a zero value. `null` is what YAML makes of a name with nothing behind it. */
  get isNothing(): boolean {
    return this.value === undefined || this.value === null;
  }

  field(name: string, value: unknown): ConfigValue {
    return new ConfigValue(value, this.path === '' ? name : `${this.path}.${name}`, this.rules);
  }

  item(index: number, value: unknown): ConfigValue {
    return new ConfigValue(value, `${this.path}[${index}]`, this.rules);
  }

  /** An `INVALID_CONFIG` about this place; `problem` reads on after its path. */
  error(problem: string, remedy: string, cause?: unknown): SignalboxError {
    return new SignalboxError('INVALID_CONFIG', { object: this.path || this.rules.name, problem, remedy, cause });
  }

  /** The same about the value itself, which is shown; `problem` reads on after it. */
  valueError(problem: string, remedy: string, cause?: unknown): SignalboxError {
    return this.error(`${shown(this.value)} ${problem}`, remedy, cause);
  }
}

/** The fields of one object, each read once by its name. */
export class ConfigFields {
  readonly #at: ConfigValue;
  readonly #fields: { readonly [name: string]: unknown };
  readonly #known = new Set<string>();

  /** @throws SignalboxError `INVALID_CONFIG` when the value is no object */
  constructor(at: ConfigValue) {
    this.#at = at;
    this.#fields = objectAt(at);
  }

  /** The field as `read` makes it of its value; `undefined` when it is absent. */
  optional<T>(name: string, read: ConfigReader<T>): T | undefined {
    const at = this.#field(name);
    return at.isAbsent ? undefined : read(at);
  }

  /** As `optional`, and it must be there. */
  required<T>(name: string, read: ConfigReader<T>): T {
    const at = this.#field(name);
    if (at.isAbsent) throw at.error('is missing', 'the configuration must have it');
    return read(at);
  }

  /** A field that is an object of fields itself; absent, it is one without any. */
  group<T>(name: string, read: (fields: ConfigFields) => T): T {
    const at = this.#field(name);
    return readFields(read)(at.isNothing ? new ConfigValue({}, at.path, at.rules) : at);
  }

  /**
   * As `optional`, where a zero is not the same as nothing: of Kubernetes' own kinds these are the fields that are
   * pointers. Only `null` is absent.
   */
  explicit<T>(name: string, read: ConfigReader<T>): T | undefined {
    const at = this.#field(name);
    return at.isNothing ? undefined : read(at);
  }

  /**
   * Fields whose wish cannot be met, each with the reason, which reads on after its name: they may ask for nothing
   * (their zero value), and are refused otherwise.
   */
  refused(fields: { readonly [name: string]: string }): void {
    for (const [name, reason] of Object.entries(fields)) {
      const { value } = this.#field(name);
      if (!isZero(value)) throw this.#at.field(name, value).error(reason, 'remove it');
    }
  }

  /** Refuses fields that nobody asked for. */
  requireNothingElse(): void {
    const unknown = Object.keys(this.#fields).find((name) => !this.#known.has(name));
    if (unknown === undefined) return;
    const near = nearest(unknown, this.#known);
    const remedy =
      near === undefined
        ? `remove it, or correct its name to one of ${[...this.#known].join(', ')}`
        : `did you mean ${near}? Otherwise remove it`;
    throw this.#at.field(unknown, undefined).error(`is no field of ${this.#at.rules.name}`, remedy);
  }

  #field(name: string): ConfigValue {
    this.#known.add(name);
    return this.#at.field(name, Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined);
  }
}

/**
 * Reads a whole configuration, parsed from JSON or YAML, by its fields. Fields that `read` does not ask for are refused.
 * @throws SignalboxError `INVALID_CONFIG` with the path of what is wrong, and what parsers within `read` throw
 */
export function readConfig<T>(value: unknown, rules: ConfigRules, read: (fields: ConfigFields) => T): T {
  return readFields(read)(new ConfigValue(value, '', rules));
}

/** An object, by its fields. */
export function readFields<T>(read: (fields: ConfigFields) => T): ConfigReader<T> {
  return (at) => {
    const fields = new ConfigFields(at);
    const result = read(fields);
    fields.requireNothingElse();
    return result;
  };
}

/** A list, each element read alike. */
export function readList<T>(read: ConfigReader<T>): ConfigReader<T[]> {
  return (at) => {
    if (!Array.isArray(at.value)) throw at.valueError('is not a list', 'write a list, even of one');
    return at.value.map((item: unknown, index) => read(at.item(index, item)));
  };
}

/** As `readList`, of at least one. */
export function readSome<T>(read: ConfigReader<T>): ConfigReader<T[]> {
  return (at) => {
    const list = readList(read)(at);
    if (list.length === 0) throw at.error('is empty', 'name at least one');
    return list;
  };
}

/** An object whose fields have names of the user's own, each read alike. */
export function readRecord<T>(read: ConfigReader<T>): ConfigReader<{ [name: string]: T }> {
  return (at) => {
    const entries = Object.entries(objectAt(at));
    return Object.fromEntries(entries.map(([name, value]) => [name, read(at.field(name, value))]));
  };
}

function objectAt(at: ConfigValue): { readonly [name: string]: unknown } {
  const { value } = at;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw at.valueError('is not an object', 'write its fields as name: value');
}

/** A text that is not empty. */
export function readText(at: ConfigValue): string {
  if (typeof at.value === 'string' && at.value !== '') return at.value;
  throw at.valueError('is not a text', 'put it in quotes');
}

/** A text as `parse` takes it; what `parse` has against it becomes an `INVALID_CONFIG` about this place. */
export function readParsed<T>(parse: (text: string) => T): ConfigReader<T> {
  return (at) => {
    const text = readText(at);
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof SignalboxError) throw at.valueError(error.problem, error.remedy, error);
      throw error;
    }
  };
}

/** One of some texts. */
export function readOneOf<const T extends string>(choices: readonly T[]): ConfigReader<T> {
  return (at) => {
    const choice = choices.find((each) => each === at.value);
    if (choice === undefined) throw at.valueError('is not among what there is', `choose from ${choices.join(', ')}`);
    return choice;
  };
}

/** A whole number within bounds, both included. */
export function readInteger(least: number, most: number): ConfigReader<number> {
  return (at) => {
    const { value } = at;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw at.valueError(`is not a whole number from ${least} to ${most}`, 'choose one');
  };
}

/** Any number within bounds, both included. */
export function readNumber(least: number, most: number): ConfigReader<number> {
  return (at) => {
    const { value } = at;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw at.valueError(`is not a number from ${least} to ${most}`, 'choose one');
  };
}

export function readBoolean(at: ConfigValue): boolean {
  if (typeof at.value === 'boolean') return at.value;
  throw at.valueError('is neither true nor false', 'set it to one');
}

/** A duration as Kubernetes writes them, in milliseconds. */
export function readDuration(at: ConfigValue): number {
  const duration = parseDuration(readText(at));
  if (duration === undefined) throw at.valueError('is not a duration', 'write it as 30s, 1m30s or 500ms');
  return duration;
}

/** Whether a value asks for nothing but the default. */
function isZero(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isZero);
  if (typeof value === 'string') return value === '' || parseDuration(value) === 0;
  return value === undefined || value === null || value === 0 || value === false;
}

/** A name that somebody who wrote `name` may have meant: it differs in case, or by a letter or two. */
function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    const most = Math.min(2, Math.floor(Math.min(name.length, candidate.length) / 3));
    if (distance <= most && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { candidate, distance };
  }
  return best?.candidate;
}

/** How many letters must be put in, taken out or replaced to make one text the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  // A name much longer than any field's is near to none, and not worth the square of its length.
  if (Math.abs(a.length - b.length) > 2) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** As much of a value as fits into a line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`;
}
