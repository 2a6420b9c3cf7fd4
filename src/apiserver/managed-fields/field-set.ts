import { isPlainObject } from '../../api/decode.ts';

/** A set of fields is not written as `FieldsV1` are. */
export class FieldSetError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FieldSetError';
  }
}

const maxDepth = 64;

/**
 * A set of fields of an object, as a tree. Steps are named as in `FieldsV1`: `f:spec`, `k:{"port":80,"protocol":"TCP"}`
 * for an element of a list by its keys, `v:"x"` for one by its value.
 */
export class FieldSet {
  /** Whether the field itself belongs to the set, beside what is below it. */
  isMember: boolean;
  readonly children = new Map<string, FieldSet>();

  constructor(isMember = false) {
    this.isMember = isMember;
  }

  /** The set of all that is in an entry's `fieldsV1`. @throws FieldSetError */
  static fromFieldsV1(fields: unknown): FieldSet {
    const set = readNode(fields, 0);
    set.isMember = false;
    return set;
  }

  /** As `fieldsV1` has it: steps in order, a dot for a field that is itself a member beside others below it. */
  toFieldsV1(): { [step: string]: unknown } {
    const fields: { [step: string]: unknown } = {};
    if (this.isMember && this.children.size > 0) fields['.'] = {};
    for (const step of [...this.children.keys()].sort()) fields[step] = this.children.get(step)?.toFieldsV1();
    return fields;
  }

  get isEmpty(): boolean {
    return !this.isMember && this.children.size === 0;
  }

  /** The set below a step, made when it is not there. */
  descend(step: string): FieldSet {
    let child = this.children.get(step);
    if (child === undefined) {
      child = new FieldSet();
      this.children.set(step, child);
    }
    return child;
  }

  has(path: readonly string[]): boolean {
    let node: FieldSet | undefined = this;
    for (const step of path) node = node?.children.get(step);
    return node?.isMember ?? false;
  }

  add(path: readonly string[]): void {
    let node: FieldSet = this;
    for (const step of path) node = node.descend(step);
    node.isMember = true;
  }

  /** What is in one of both. */
  union(other: FieldSet): FieldSet {
    const set = new FieldSet(this.isMember || other.isMember);
    for (const [step, child] of this.children) {
      const others = other.children.get(step);
      set.children.set(step, others === undefined ? child : child.union(others));
    }
    for (const [step, child] of other.children) if (!set.children.has(step)) set.children.set(step, child);
    return set;
  }

  /** What is in both. */
  intersection(other: FieldSet): FieldSet {
    const set = new FieldSet(this.isMember && other.isMember);
    for (const [step, child] of this.children) {
      const others = other.children.get(step);
      if (others !== undefined) set.#keep(step, child.intersection(others));
    }
    return set;
  }

  /** What is in this one alone. */
  difference(other: FieldSet): FieldSet {
    const set = new FieldSet(this.isMember && !other.isMember);
    for (const [step, child] of this.children) {
      const others = other.children.get(step);
      set.#keep(step, others === undefined ? child : child.difference(others));
    }
    return set;
  }

  /** As this one, with every field of an object under which something is a member counted as a member too. */
  withNamedParents(): FieldSet {
    const set = new FieldSet(this.isMember);
    for (const [step, child] of this.children) {
      const full = child.withNamedParents();
      if (step.startsWith('f:') || child.isMember) full.isMember = true;
      set.children.set(step, full);
    }
    return set;
  }

  equals(other: FieldSet): boolean {
    if (this.isMember !== other.isMember || this.children.size !== other.children.size) return false;
    for (const [step, child] of this.children) {
      const others = other.children.get(step);
      if (others === undefined || !child.equals(others)) return false;
    }
    return true;
  }

  /** The paths of all members, in order. */
  *paths(above: readonly string[] = []): Generator<readonly string[]> {
    if (this.isMember) yield above;
    for (const step of [...this.children.keys()].sort()) yield* this.children.get(step)?.paths([...above, step]) ?? [];
  }

  #keep(step: string, child: FieldSet): void {
    if (!child.isEmpty) this.children.set(step, child);
  }
}

function readNode(fields: unknown, depth: number): FieldSet {
  if (!isPlainObject(fields)) throw new FieldSetError('fieldsV1 is not an object of objects');
  if (depth > maxDepth) throw new FieldSetError('fieldsV1 nests too deep');
  const set = new FieldSet();
  for (const step in fields) {
    if (step === '.') set.isMember = true;
    else set.children.set(canonicalStep(step), readNode(fields[step], depth + 1));
  }
  if (set.children.size === 0) set.isMember = true;
  return set;
}

/** The one way of writing a step, whatever the order of its keys was. */
function canonicalStep(step: string): string {
  const form = step.slice(0, 2);
  if (form === 'f:') return step;
  try {
    const value: unknown = JSON.parse(step.slice(2));
    if (form === 'k:' && isPlainObject(value)) return keyStep(value);
    if (form === 'v:' || (form === 'i:' && Number.isInteger(value))) return `${form}${JSON.stringify(value)}`;
  } catch {
    // Not JSON: as wrong as JSON of another shape.
  }
  throw new FieldSetError(`unknown path element ${JSON.stringify(step)}`);
}

/** Step to the element of a list that has these key fields. */
export function keyStep(keys: { readonly [field: string]: unknown }): string {
  const sorted = Object.keys(keys).sort();
  return `k:{${sorted.map((field) => `${JSON.stringify(field)}:${JSON.stringify(keys[field])}`).join(',')}}`;
}

/** A path as conflicts show it: `.spec.ports[port=80,protocol="TCP"].targetPort` */
export function formatPath(path: readonly string[]): string {
  return path.map(formatStep).join('');
}

function formatStep(step: string): string {
  const text = step.slice(2);
  if (step.startsWith('f:')) return `.${text}`;
  if (step.startsWith('v:')) return `[=${text}]`;
  if (step.startsWith('i:')) return `[${text}]`;
  const keys = Object.entries(JSON.parse(text) as { [field: string]: unknown });
  return `[${keys.map(([field, value]) => `${field}=${JSON.stringify(value)}`).join(',')}]`;
}
