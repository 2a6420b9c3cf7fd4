import { Base64Error, canonicalBase64 } from './base64.ts';
import { schema } from './generated/schema.ts';
import { canonicalQuantity } from './quantity.ts';
import { canonicalTime, type TimePrecision, timeLayouts } from './time-text.ts';

/** A type of the schema, taken apart once. */
export type FieldType =
  | { readonly form: 'scalar'; readonly name: string }
  | { readonly form: 'list'; readonly element: FieldType }
  | { readonly form: 'map'; readonly value: FieldType }
  | { readonly form: 'object'; readonly name: string };

/** The object with the fields its type has, and nothing else; `unknown` are the paths of what was left out. */
export interface Decoded {
  readonly object: { [field: string]: unknown };
  readonly unknown: readonly string[];
}

/**
 * The value of a field has the wrong JSON type, or its text is not what it should be: base64, a time. Worded as
 * Kubernetes words it.
 */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

/** Fields whose text may be written as a number, because their Go type is `resource.Quantity`. */
const quantities = new Set([
  'ResourceRequirements.limits',
  'ResourceRequirements.requests',
  'VolumeResourceRequirements.limits',
  'VolumeResourceRequirements.requests',
  'NodeStatus.capacity',
  'NodeStatus.allocatable',
  'PodSpec.overhead',
  'ContainerStatus.allocatedResources',
  'PodStatus.allocatedResources',
  'PersistentVolumeClaimStatus.capacity',
  'PersistentVolumeClaimStatus.allocatedResources',
  'EmptyDirVolumeSource.sizeLimit',
  'ResourceFieldSelector.divisor',
]);

/** Times whose Go type is `MicroTime`. */
const microTimes = new Set([
  'LeaseSpec.acquireTime',
  'LeaseSpec.renewTime',
  'CoreEvent.eventTime',
  'CoreEventSeries.lastObservedTime',
  'Event.eventTime',
  'EventSeries.lastObservedTime',
]);

const compiled = new Map<string, ReadonlyMap<string, FieldType>>();

/** The fields of an object type of the schema. */
export function fieldsOf(type: string): ReadonlyMap<string, FieldType> {
  let fields = compiled.get(type);
  if (fields === undefined) {
    const table = schema[type];
    if (table === undefined) throw new Error(`the schema has no type ${type}`);
    fields = new Map(
      Object.entries(table.fields).map(([field, text]) => {
        const place = `${type}.${field}`;
        if (microTimes.has(place)) return [field, { form: 'scalar', name: 'micro-time' }];
        return [field, parseType(quantities.has(place) ? text.replace('string', 'quantity') : text)];
      }),
    );
    compiled.set(type, fields);
  }
  return fields;
}

function parseType(text: string): FieldType {
  if (text.startsWith('[]')) return { form: 'list', element: parseType(text.slice(2)) };
  if (text.startsWith('{}')) return { form: 'map', value: parseType(text.slice(2)) };
  return schema[text] === undefined ? { form: 'scalar', name: text } : { form: 'object', name: text };
}

/**
 * Makes an object of a type of the schema out of parsed JSON. Fields that are null count as absent. The result shares
 * nothing with `raw`.
 * @throws DecodeError
 */
export function decodeObject(type: string, raw: unknown): Decoded {
  const decoder = new Decoder();
  if (!isPlainObject(raw))
    throw new DecodeError(`json: cannot unmarshal ${jsonType(raw)} into Go value of type v1.${type}`);
  return { object: decoder.object(type, raw, ''), unknown: decoder.unknown };
}

class Decoder {
  readonly unknown: string[] = [];

  object(type: string, raw: { [field: string]: unknown }, path: string): { [field: string]: unknown } {
    const fields = fieldsOf(type);
    const object: { [field: string]: unknown } = {};
    for (const field in raw) {
      const fieldType = fields.get(field);
      const fieldPath = path === '' ? field : `${path}.${field}`;
      if (fieldType === undefined) this.unknown.push(fieldPath);
      else {
        const value = raw[field];
        if (value !== null && value !== undefined)
          object[field] = this.#value(fieldType, value, { path: fieldPath, owner: type });
      }
    }
    return object;
  }

  #value(type: FieldType, raw: unknown, place: Place): unknown {
    const { path, owner } = place;
    if (type.form === 'scalar') return checkScalar(type.name, raw, { path, owner });
    if (type.form === 'list') {
      if (!Array.isArray(raw)) throw mismatch(raw, { path, owner }, `[]${goName(type.element)}`);
      return raw.map((element, i) =>
        this.#value(type.element, element ?? zeroOf(type.element), { path: `${path}[${i}]`, owner }),
      );
    }
    if (!isPlainObject(raw)) {
      throw mismatch(raw, { path, owner }, type.form === 'map' ? `map[string]${goName(type.value)}` : goName(type));
    }
    if (type.form === 'object') return this.object(type.name, raw, path);
    const map: { [key: string]: unknown } = {};
    for (const key in raw) {
      const value = this.#value(type.value, raw[key] ?? zeroOf(type.value), { path: `${path}.${key}`, owner });
      // A key like __proto__ has to become a key, whatever it means to the language.
      Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
    }
    return map;
  }
}

/** Scalars that are a text and nothing else, in the one form in which they are kept. */
const texts: { readonly [name: string]: (text: string) => string } = {
  string: (text) => text,
  time: (text) => readTime(text, 'seconds'),
  'micro-time': (text) => readTime(text, 'microseconds'),
  bytes: readBytes,
};

function checkScalar(name: string, raw: unknown, place: Place): unknown {
  const kind = typeof raw;
  const readText = texts[name];
  if (readText !== undefined) {
    if (typeof raw === 'string') return readText(raw);
    throw mismatch(raw, place, goScalars[name] ?? name);
  }
  switch (name) {
    case 'quantity':
      if (kind === 'string' || kind === 'number') return canonicalQuantity(String(raw));
      break;
    case 'boolean':
      if (kind === 'boolean') return raw;
      break;
    case 'int32':
    case 'int64':
      if (isInteger(raw, name)) return raw;
      break;
    case 'number':
      if (kind === 'number') return raw;
      break;
    case 'int-or-string':
      if (kind === 'number') return checkScalar('int32', raw, place);
      if (kind === 'string') return raw;
      break;
    default:
      return structuredClone(raw);
  }
  throw mismatch(raw, place, goScalars[name] ?? name);
}

function readTime(text: string, precision: TimePrecision): string {
  const time = canonicalTime(text, precision);
  if (time !== undefined) return time;
  throw new DecodeError(`parsing time ${JSON.stringify(text)} as "${timeLayouts[precision]}": cannot parse it`);
}

function readBytes(text: string): string {
  try {
    return canonicalBase64(text);
  } catch (error) {
    throw error instanceof Base64Error ? new DecodeError(error.message) : error;
  }
}

/** Whether a number is whole and in range; of 64 bits those count that a double can tell apart. */
function isInteger(raw: unknown, name: 'int32' | 'int64'): boolean {
  return name === 'int64' ? Number.isSafeInteger(raw) : typeof raw === 'number' && (raw | 0) === raw;
}

const goScalars: { readonly [name: string]: string } = {
  number: 'float64',
  boolean: 'bool',
  time: 'v1.Time',
  'micro-time': 'v1.MicroTime',
  bytes: '[]uint8',
  quantity: 'resource.Quantity',
  'int-or-string': 'intstr.IntOrString',
  any: 'interface {}',
};

function goName(type: FieldType): string {
  if (type.form === 'list') return `[]${goName(type.element)}`;
  if (type.form === 'map') return `map[string]${goName(type.value)}`;
  return type.form === 'object' ? `v1.${type.name}` : (goScalars[type.name] ?? type.name);
}

function zeroOf(type: FieldType): unknown {
  if (type.form === 'list') return [];
  if (type.form !== 'scalar') return {};
  return { boolean: false, int32: 0, int64: 0, number: 0, 'int-or-string': 0 }[type.name] ?? '';
}

/** Where a value stands: its path, and the type that has the field. */
interface Place {
  readonly path: string;
  readonly owner: string;
}

function mismatch(raw: unknown, { path, owner }: Place, goType: string): DecodeError {
  const place = path.replaceAll(/\[\d+\]/g, '');
  // Of the right sort, but out of range.
  const shown = typeof raw === 'number' && goType.startsWith('int') ? `number ${raw}` : jsonType(raw);
  return new DecodeError(`json: cannot unmarshal ${shown} into Go struct field ${owner}.${place} of type ${goType}`);
}

function jsonType(raw: unknown): string {
  if (raw === null) return 'null';
  if (Array.isArray(raw)) return 'array';
  if (typeof raw === 'number') return Number.isInteger(raw) ? 'number' : `number ${raw}`;
  return typeof raw === 'boolean' ? 'bool' : typeof raw;
}

/** Whether a parsed JSON value is an object (no list, no null). */
export function isPlainObject(raw: unknown): raw is { [field: string]: unknown } {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw);
}
