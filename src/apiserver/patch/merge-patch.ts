import { isPlainObject } from '../../api/decode.ts';
import { setField } from './json-patch.ts';

/** Applies a JSON merge patch (RFC 7386): null removes, objects merge, all else replaces. Neither side is changed. */
export function applyMergePatch(document: unknown, patch: unknown): unknown {
  if (!isPlainObject(patch)) return structuredClone(patch);
  const result: { [field: string]: unknown } = isPlainObject(document) ? { ...document } : {};
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete result[field];
    else setField(result, field, applyMergePatch(Object.hasOwn(result, field) ? result[field] : undefined, value));
  }
  return result;
}
