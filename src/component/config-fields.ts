import { SignalboxError } from '../errors/error.ts';

/**
 * The fields of one object of a configuration file, each read once by name and type. Every mistake is an
 * `INVALID_CONFIG` that names the field by its path.
 */
export class ConfigFields {
  readonly #fields: { readonly [name: string]: unknown };
  readonly #path: string;
  readonly #asked = new Set<string>();

  /** @throws SignalboxError `INVALID_CONFIG` when the value is no object */
  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(path, 'is not an object');
    this.#fields = { ...value };
    this.#path = path;
  }

  /** The field as `read` makes it of its value; `undefined` when it is absent. */
  optional<T>(name: string, read: (value: unknown, path: string) => T): T | undefined {
    this.#asked.add(name);
    const value = this.#fields[name];
    return value === undefined || value === null ? undefined : read(value, `${this.#path}.${name}`);
  }

  /** As `optional`, and it must be there. */
  required<T>(name: string, read: (value: unknown, path: string) => T): T {
    const value = this.optional(name, read);
    if (value === undefined) throw wrong(`${this.#path}.${name}`, 'is missing');
    return value;
  }

  /** To be called last: refuses fields that nobody asked for. */
  done(): void {
    const unknown = Object.keys(this.#fields).find((name) => !this.#asked.has(name));
    if (unknown !== undefined) {
      throw wrong(`${this.#path}.${unknown}`, 'is not known', `the fields are ${[...this.#asked].join(', ')}`);
    }
  }
}

/** A text that is not empty. */
export function readText(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw wrong(path, 'is not a text');
}

/** A whole number within bounds. */
export function readInteger(from: number, to: number): (value: unknown, path: string) => number {
  return (value, path) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to) return value;
    throw wrong(path, `is not a whole number from ${from} to ${to}`);
  };
}

/** A list, each element read alike. */
export function readList<T>(read: (value: unknown, path: string) => T): (value: unknown, path: string) => T[] {
  return (value, path) => {
    if (!Array.isArray(value)) throw wrong(path, 'is not a list');
    return value.map((item, index) => read(item, `${path}[${index}]`));
  };
}

function wrong(object: string, problem: string, remedy = 'correct the configuration'): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', { object, problem, remedy });
}
