import { isDeepStrictEqual } from 'node:util';
import { type FieldType, fieldsOf, isPlainObject } from '../api/decode.ts';
import { mergeRules } from '../api/merge-rules.ts';

type Fields = { readonly [field: string]: unknown };

/**
 * A strategic merge patch that makes a live object say what a manifest says, as `kubectl apply` would: all of the
 * manifest, and a deletion of each field and list element that was in the last applied manifest and is no more.
 * What others have set in the live object stays. `type` is the object's type in the schema.
 */
export function threeWayPatch(type: string, lastApplied: Fields, manifest: Fields): Fields {
  return patchObject({ form: 'object', name: type }, lastApplied, manifest);
}

function patchObject(type: FieldType | undefined, before: Fields, after: Fields): Fields {
  const patch: { [field: string]: unknown } = {};
  for (const field of Object.keys(before)) if (!Object.hasOwn(after, field)) patch[field] = null;
  for (const [field, value] of Object.entries(after))
    Object.assign(patch, patchField(type, field, before[field], value));
  return patch;
}

function patchField(type: FieldType | undefined, field: string, before: unknown, after: unknown): Fields {
  if (isPlainObject(after))
    return { [field]: patchObject(memberType(type, field), isPlainObject(before) ? before : {}, after) };
  const rule = type?.form === 'object' ? mergeRules[`${type.name}.${field}`] : undefined;
  if (rule === undefined || !Array.isArray(after) || !Array.isArray(before)) return { [field]: after };
  if (rule.key === undefined) return { [field]: after, ...removedValues(field, before, after) };
  return { [field]: patchKeyedList(memberType(type, field), rule.key, { before, after }) };
}

function removedValues(field: string, before: readonly unknown[], after: readonly unknown[]): Fields {
  const removed = before.filter((value) => !after.some((other) => isDeepStrictEqual(value, other)));
  return removed.length === 0 ? {} : { [`$deleteFromPrimitiveList/${field}`]: removed };
}

function patchKeyedList(
  type: FieldType | undefined,
  key: string,
  lists: { readonly before: readonly unknown[]; readonly after: readonly unknown[] },
): unknown[] {
  const element = type?.form === 'list' ? type.element : undefined;
  const before = new Map(lists.before.filter(isPlainObject).map((item) => [item[key], item]));
  const after = lists.after.map((item) => {
    if (!isPlainObject(item)) return item;
    const old = before.get(item[key]) ?? {};
    before.delete(item[key]);
    return patchObject(element, old, item);
  });
  return [...after, ...[...before.keys()].map((value) => ({ $patch: 'delete', [key]: value }))];
}

function memberType(type: FieldType | undefined, field: string): FieldType | undefined {
  if (type?.form === 'map') return type.value;
  return type?.form === 'object' ? fieldsOf(type.name).get(field) : undefined;
}
