import { type FieldType, fieldsOf, isPlainObject } from '../../api/decode.ts';
import { type MergeRule, mergeRules } from '../../api/merge-rules.ts';
import { PatchError, setField } from './json-patch.ts';

type Fields = { [field: string]: unknown };

const orderPrefix = '$setElementOrder/';
const deletePrefix = '$deleteFromPrimitiveList/';
const retainKeys = '$retainKeys';
const directive = '$patch';

/**
 * Applies a strategic merge patch: as a merge patch, but lists that have a merge key are merged by it, and directives
 * (`$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`) are obeyed. Neither side is changed.
 * `type` is the document's type in the schema.
 * @throws PatchError
 */
export function applyStrategicMergePatch(type: string, document: Fields, patch: unknown): Fields {
  if (!isPlainObject(patch)) throw new PatchError('a strategic merge patch must be an object');
  return mergeObject({ form: 'object', name: type }, document, patch) ?? {};
}

/** Nothing when the patch says to delete the object. */
function mergeObject(type: FieldType | undefined, original: Fields, patch: Fields): Fields | undefined {
  const how = patch[directive];
  if (how === 'replace') return mergeObject(type, {}, without(patch, directive));
  if (how === 'delete') return undefined;
  if (how !== undefined && how !== 'merge') throw new PatchError(`unknown patch type ${JSON.stringify(how)} found`);
  const result: Fields = retained(original, patch[retainKeys]);
  for (const [field, value] of Object.entries(patch)) {
    if (field === directive || field === retainKeys || field.startsWith(orderPrefix)) continue;
    if (field.startsWith(deletePrefix)) removeValues(result, field.slice(deletePrefix.length), value);
    else if (value === null) delete result[field];
    else mergeField(type, result, { field, value });
  }
  for (const [field, order] of Object.entries(patch)) {
    if (field.startsWith(orderPrefix)) sortField(type, { result, original, order }, field.slice(orderPrefix.length));
  }
  return result;
}

function mergeField(
  type: FieldType | undefined,
  result: Fields,
  { field, value }: { field: string; value: unknown },
): void {
  const present = Object.hasOwn(result, field) ? result[field] : undefined;
  const fieldType = typeOfField(type, field);
  if (isPlainObject(value)) {
    const merged = mergeObject(fieldType, isPlainObject(present) ? present : {}, value);
    if (merged === undefined) delete result[field];
    else setField(result, field, merged);
  } else if (Array.isArray(value)) {
    const rule = ruleOf(type, field);
    const element = fieldType?.form === 'list' ? fieldType.element : undefined;
    setField(
      result,
      field,
      rule === undefined ? structuredClone(value) : mergeList({ rule, element, field }, present, value),
    );
  } else setField(result, field, value);
}

interface ListContext {
  readonly rule: MergeRule;
  readonly element: FieldType | undefined;
  readonly field: string;
}

function mergeList(context: ListContext, present: unknown, patch: readonly unknown[]): unknown[] {
  const original: readonly unknown[] = Array.isArray(present) ? present : [];
  const { key } = context.rule;
  if (key === undefined) {
    const known = new Set(original);
    return [...original, ...new Set(patch.filter((value) => !known.has(value)))];
  }
  const replaces = patch.some((element) => isPlainObject(element) && element[directive] === 'replace');
  const result = elementsByKey(replaces ? [] : original, key);
  for (const element of patch) {
    if (!isPlainObject(element)) throw new PatchError(`an element of ${context.field} is not an object`);
    if (element[directive] === 'replace') continue;
    mergeElement(context, result, element);
  }
  return [...result.values()];
}

/** In their order; an element whose key another has before it has a place of its own, which nothing finds. */
function elementsByKey(list: readonly unknown[], key: string): Map<unknown, unknown> {
  const elements = new Map<unknown, unknown>();
  for (const element of list) {
    const id = isPlainObject(element) ? element[key] : undefined;
    elements.set(id === undefined || elements.has(id) ? Symbol('unnamed') : id, element);
  }
  return elements;
}

function mergeElement(
  { rule: { key = '' }, element: type, field }: ListContext,
  elements: Map<unknown, unknown>,
  patch: Fields,
): void {
  const id = patch[key];
  if (id === undefined) {
    throw new PatchError(`an element of ${field} does not contain declared merge key: ${key}`);
  }
  const present = elements.get(id);
  const merged = mergeObject(type, isPlainObject(present) ? present : {}, patch);
  if (merged === undefined) elements.delete(id);
  else elements.set(id, merged);
}

function retained(original: Fields, keys: unknown): Fields {
  if (keys === undefined) return { ...original };
  if (!Array.isArray(keys)) throw new PatchError('$retainKeys must be a list of field names');
  const kept = new Set(keys);
  return Object.fromEntries(Object.entries(original).filter(([field]) => kept.has(field)));
}

function removeValues(result: Fields, field: string, values: unknown): void {
  const present = result[field];
  if (!Array.isArray(values)) throw new PatchError(`${deletePrefix}${field} must be a list`);
  const gone = new Set(values);
  if (Array.isArray(present)) result[field] = present.filter((value) => !gone.has(value));
}

/**
 * Puts the elements named into the order asked for; those not named keep their places relative to what was there.
 */
function sortField(
  type: FieldType | undefined,
  { result, original, order }: { result: Fields; original: Fields; order: unknown },
  field: string,
): void {
  const list = result[field];
  const rule = ruleOf(type, field);
  if (!Array.isArray(order)) throw new PatchError(`${orderPrefix}${field} must be a list`);
  if (!Array.isArray(list) || rule === undefined) return;
  const id = (element: unknown) => (rule.key !== undefined && isPlainObject(element) ? element[rule.key] : element);
  const wanted = placesOf(order.map(id));
  const before = placesOf(Array.isArray(original[field]) ? original[field].map(id) : []);
  const place = (element: unknown, places: ReadonlyMap<unknown, number>) => places.get(id(element)) ?? -1;
  const named = list
    .filter((element) => place(element, wanted) >= 0)
    .sort((a, b) => place(a, wanted) - place(b, wanted));
  const others = list.filter((element) => place(element, wanted) < 0);
  const sorted: unknown[] = [];
  let next = 0;
  for (const element of named) {
    const at = place(element, before);
    while (next < others.length && at >= 0 && place(others[next], before) < at) sorted.push(others[next++]);
    sorted.push(element);
  }
  result[field] = [...sorted, ...others.slice(next)];
}

/** Where each value stands first. */
function placesOf(values: readonly unknown[]): ReadonlyMap<unknown, number> {
  const places = new Map<unknown, number>();
  for (const [place, value] of values.entries()) if (!places.has(value)) places.set(value, place);
  return places;
}

function typeOfField(type: FieldType | undefined, field: string): FieldType | undefined {
  if (type?.form === 'object') return fieldsOf(type.name).get(field);
  return type?.form === 'map' ? type.value : undefined;
}

function ruleOf(type: FieldType | undefined, field: string): MergeRule | undefined {
  return type?.form === 'object' ? mergeRules[`${type.name}.${field}`] : undefined;
}

function without(fields: Fields, field: string): Fields {
  const { [field]: _, ...rest } = fields;
  return rest;
}
