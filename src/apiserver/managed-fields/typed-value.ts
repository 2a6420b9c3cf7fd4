import { isDeepStrictEqual } from 'node:util';
import { type FieldType, fieldsOf, isPlainObject } from '../../api/decode.ts';
import { alwaysPresent, atomicMaps, atomicTypes, type ListRule, listRules } from '../../api/list-types.ts';
import { FieldSet, keyStep } from './field-set.ts';

/** The object of an apply is not as its type wants it. */
export class TypedValueError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TypedValueError';
  }
}

type Json = { [field: string]: unknown };

/** A field's type, and `Type.field`, by which the rules about it are found. */
interface Place {
  readonly type: FieldType;
  readonly field: string;
}

/** What is there in one place of an object: a value that only changes as a whole, or parts by step. */
type Shape = 'leaf' | 'fields' | 'entries' | 'elements';

function shapeOf({ type, field }: Place, value: unknown): Shape {
  switch (type.form) {
    case 'object':
      return isPlainObject(value) && !atomicTypes.has(type.name) ? 'fields' : 'leaf';
    case 'map':
      return isPlainObject(value) && !atomicMaps.has(field) ? 'entries' : 'leaf';
    case 'list':
      return Array.isArray(value) && listRules[field] !== undefined ? 'elements' : 'leaf';
    case 'scalar':
      return 'leaf';
  }
}

const objectParts: readonly string[] = ['metadata', 'spec', 'status'];
const compiledPlaces = new Map<
  string,
  ReadonlyMap<string, Place & { readonly step: string; readonly always: boolean }>
>();

/** The fields of a type, each with its step. */
function placesOf(typeName: string): ReadonlyMap<string, Place & { readonly step: string; readonly always: boolean }> {
  let places = compiledPlaces.get(typeName);
  if (places === undefined) {
    const isKind = fieldsOf(typeName).has('kind');
    places = new Map(
      [...fieldsOf(typeName)].map(([name, type]) => {
        const field = `${typeName}.${name}`;
        const always = alwaysPresent.has(field) || (isKind && objectParts.includes(name));
        return [name, { type, field, step: `f:${name}`, always }];
      }),
    );
    compiledPlaces.set(typeName, places);
  }
  return places;
}

/** One part of a value: where it is, and what it is. */
interface Part {
  readonly place: Place;
  readonly value: unknown;
  /** Whether an object has it even when nobody set it. */
  readonly always: boolean;
}

/** The parts of a value that is no leaf, by step. */
function partsOf({ type, field }: Place, value: unknown): Map<string, Part> {
  const parts = new Map<string, Part>();
  if (type.form === 'object') {
    const places = placesOf(type.name);
    for (const name in value as Json) {
      const place = places.get(name);
      const part = (value as Json)[name];
      if (place !== undefined && part !== undefined)
        parts.set(place.step, { place, value: part, always: place.always });
    }
  } else if (type.form === 'map') {
    const place = { type: type.value, field: '' };
    for (const key in value as Json) parts.set(`f:${key}`, { place, value: (value as Json)[key], always: false });
  } else if (type.form === 'list') {
    const place = { type: type.element, field: '' };
    for (const element of value as unknown[]) {
      const step = stepOf(element, field);
      if (!parts.has(step)) parts.set(step, { place, value: element, always: false });
    }
  }
  return parts;
}

/** A key that an element lacks counts as null: whoever sends one without tells of it by its validation. */
function stepOf(element: unknown, field: string): string {
  const rule: ListRule | undefined = listRules[field];
  if (rule === undefined || rule.type === 'set') return `v:${JSON.stringify(element)}`;
  const keys: Json = {};
  for (const key of rule.keys) keys[key] = (element as Json)[key] ?? rule.defaults?.[key] ?? null;
  return keyStep(keys);
}

/** @throws TypedValueError */
function checkKeys(elements: readonly unknown[], field: string): void {
  const rule = listRules[field];
  if (rule?.type !== 'map') return;
  for (const [i, element] of elements.entries()) {
    const missing = rule.keys.find((key) => ((element as Json)[key] ?? rule.defaults?.[key]) === undefined);
    if (missing === undefined) continue;
    throw new TypedValueError(
      `.${field.split('.').at(-1)}: element ${i}: associative list with keys has an element that omits key field ${JSON.stringify(missing)} (and doesn't have default value)`,
    );
  }
}

const rootPlace = (typeName: string): Place => ({ type: { form: 'object', name: typeName }, field: '' });

/**
 * The fields that an applied object speaks of. Of what has parts, only the parts count, but for entries of maps and
 * elements of lists, and for what is empty.
 * @throws TypedValueError for a list with an element twice, or one without its keys
 */
export function fieldsOfObject(typeName: string, object: object): FieldSet {
  const set = new FieldSet();
  collect(rootPlace(typeName), object, set);
  return set;
}

function collect(place: Place, value: unknown, set: FieldSet): void {
  const shape = shapeOf(place, value);
  if (shape === 'leaf') {
    set.isMember = true;
    return;
  }
  if (shape === 'elements') checkKeys(value as unknown[], place.field);
  const parts = partsOf(place, value);
  if (shape === 'elements' && parts.size < (value as unknown[]).length) {
    throw new TypedValueError(`.${place.field.split('.').at(-1)}: duplicate entries for one key`);
  }
  for (const [step, part] of parts) {
    const child = set.descend(step);
    collect(part.place, part.value, child);
    if (shape !== 'fields' || isEmpty(part.value)) child.isMember = true;
    if (child.isEmpty) set.children.delete(step);
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isPlainObject(value) && Object.keys(value).length === 0;
}

/** The fields that one version of an object has and another has not, or has otherwise. */
export interface Comparison {
  /** Added, or set to another value. */
  readonly changed: FieldSet;
  readonly removed: FieldSet;
}

/** Compares two versions of an object. The empty object is what there was before it was created. */
export function compareObjects(typeName: string, old: object, next: object): Comparison {
  const comparison = { changed: new FieldSet(), removed: new FieldSet() };
  compare(rootPlace(typeName), { old, next }, comparison);
  return comparison;
}

function compare(place: Place, { old, next }: { old: unknown; next: unknown }, found: Comparison): void {
  if (old === next) return;
  const shape = shapeOf(place, next);
  if (shape === 'leaf' || shapeOf(place, old) !== shape) {
    if (!isDeepStrictEqual(old, next)) found.changed.isMember = true;
    return;
  }
  const before = partsOf(place, old);
  const after = partsOf(place, next);
  for (const [step, part] of after) {
    const was = before.get(step);
    if (was === undefined) addAll(part, found.changed.descend(step));
    else {
      const below = { changed: new FieldSet(), removed: new FieldSet() };
      compare(part.place, { old: was.value, next: part.value }, below);
      if (!below.changed.isEmpty) found.changed.children.set(step, below.changed);
      if (!below.removed.isEmpty) found.removed.children.set(step, below.removed);
    }
  }
  for (const [step, part] of before) if (!after.has(step)) addAll(part, found.removed.descend(step));
}

/** A part that has come or gone, with all that is in it. */
function addAll({ place, value, always }: Part, set: FieldSet): void {
  const shape = shapeOf(place, value);
  if (shape === 'leaf') {
    set.isMember = true;
    return;
  }
  const parts = partsOf(place, value);
  set.isMember = !always || parts.size === 0;
  for (const [step, part] of parts) addAll(part, set.descend(step));
}

/**
 * All fields of a new object as `fieldsV1` has them: what `compareObjects` finds against the empty object, but without
 * the way over a set, because most objects are created more often than they are changed. `leavesOut` says which fields
 * of the object and of its metadata nobody owns.
 */
export function fieldsOfNew(typeName: string, object: object, leavesOut: (step: string) => boolean): Json {
  const fields: Json = {};
  for (const [name, place] of placesOf(typeName)) {
    const value = (object as Json)[name];
    if (value === undefined || leavesOut(place.step)) continue;
    const written = newFields(place, value, place.always);
    const left = name === 'metadata' ? ownedOf(written, leavesOut) : written;
    if (left !== undefined) fields[place.step] = left;
  }
  return fields;
}

/** What of the metadata's fields has an owner; nothing when none has. */
function ownedOf(metadata: Json, leavesOut: (step: string) => boolean): Json | undefined {
  let fields: Json | undefined;
  for (const step in metadata) {
    if (step === '.' || leavesOut(`f:metadata ${step}`)) continue;
    fields ??= {};
    fields[step] = metadata[step];
  }
  return fields;
}

function newFields(place: Place, value: unknown, always: boolean): Json {
  const fields: Json = {};
  const shape = shapeOf(place, value);
  if (shape === 'leaf') return fields;
  let isFirst = !always;
  const add = (step: string, part: Place, below: { readonly value: unknown; readonly always: boolean }) => {
    // Only beside others does the field itself stand there.
    if (isFirst) fields['.'] = {};
    isFirst = false;
    fields[step] = newFields(part, below.value, below.always);
  };
  if (shape === 'fields' && place.type.form === 'object') {
    // In the schema's order, which is that of the alphabet.
    for (const [name, field] of placesOf(place.type.name)) {
      const part = (value as Json)[name];
      if (part !== undefined) add(field.step, field, { value: part, always: field.always });
    }
  } else {
    for (const [step, part] of [...partsOf(place, value)].sort(byStep))
      add(step, part.place, { value: part.value, always: false });
  }
  return fields;
}

function byStep([a]: readonly [string, Part], [b]: readonly [string, Part]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The live object with what an applied one says put in; shares parts with both.
 * @throws TypedValueError
 */
export function mergeObjects(typeName: string, live: object, applied: object): Json {
  return merge(rootPlace(typeName), live, applied) as Json;
}

function merge(place: Place, live: unknown, applied: unknown): unknown {
  const shape = shapeOf(place, applied);
  if (shape === 'leaf' || shapeOf(place, live) !== shape) return applied;
  if (shape === 'elements') return mergeElements(place, live as unknown[], applied as unknown[]);
  const merged: Json = { ...(live as Json) };
  const liveParts = partsOf(place, live);
  for (const [step, part] of partsOf(place, applied)) {
    const was = liveParts.get(step);
    define(merged, step.slice(2), was === undefined ? part.value : merge(part.place, was.value, part.value));
  }
  return merged;
}

/** In the applied order, with the others left where they were between them. */
function mergeElements(place: Place, live: unknown[], applied: unknown[]): unknown[] {
  const liveParts = partsOf(place, live);
  const appliedParts = partsOf(place, applied);
  const waiting = [...liveParts.keys()];
  const merged: unknown[] = [];
  const done = new Set<string>();
  const passOthers = () => {
    for (let step = waiting[0]; step !== undefined; step = waiting[0]) {
      if (appliedParts.has(step) && !done.has(step)) return;
      if (!done.has(step)) merged.push(liveParts.get(step)?.value);
      waiting.shift();
    }
  };
  for (const [step, part] of appliedParts) {
    passOthers();
    const was = liveParts.get(step);
    merged.push(was === undefined ? part.value : merge(part.place, was.value, part.value));
    done.add(step);
  }
  passOthers();
  return merged;
}

/** The object without the members of a set, and all that is in them; shares parts with it. */
export function withoutFields(typeName: string, object: object, set: FieldSet): Json {
  return without(rootPlace(typeName), object, set) as Json;
}

function without(place: Place, value: unknown, set: FieldSet): unknown {
  const shape = shapeOf(place, value);
  if (shape === 'leaf' || set.children.size === 0) return value;
  if (shape === 'elements') {
    return (value as unknown[]).flatMap((element) => {
      const step = stepOf(element, place.field);
      const below = set.children.get(step);
      if (below === undefined) return [element];
      const part = partsOf(place, [element]).get(step);
      return below.isMember || part === undefined ? [] : [without(part.place, element, below)];
    });
  }
  const kept: Json = {};
  const parts = partsOf(place, value);
  for (const [step, part] of parts) {
    const below = set.children.get(step);
    if (below === undefined) define(kept, step.slice(2), part.value);
    else if (!below.isMember) define(kept, step.slice(2), without(part.place, part.value, below));
  }
  return kept;
}

/** A key like `__proto__` has to become a key, whatever it means to the language. */
function define(object: Json, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
  else object[key] = value;
}
