import { isPlainObject } from '../../api/decode.ts';
import { mediaType, messageOf, type ParsedBody, parseJson } from '../body.ts';
import { type BodyType, checkKind, decodeValue, type FieldValidation } from '../decode-body.ts';
import { badRequest, invalid, rejected, StatusError, tooMuch, unsupportedMediaType } from '../status.ts';
import type { ApiObject, StoredObject } from '../stored-object.ts';
import { applyJsonPatch, PatchTooLargeError } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

const mediaTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
] as const;
type PatchMediaType = (typeof mediaTypes)[number];

/** A patch as it was sent, ready to be applied to whatever version of its object there is. */
export interface ParsedPatch {
  readonly type: PatchMediaType;
  readonly body: ParsedBody;
}

/** Server-side apply is a patch too, but one that knows who sends it. */
export const applyMediaType = 'application/apply-patch+yaml';

/** @throws StatusError 415 for another media type, 400 when it is not JSON */
export function parsePatch(body: Buffer, contentType: string | undefined): ParsedPatch {
  const type = mediaTypes.find((one) => one === mediaType(contentType));
  if (type === undefined) {
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${[...mediaTypes, applyMediaType].join(', ')}`,
    );
  }
  const parsed = parseJson(body);
  if (type !== 'application/json-patch+json' && !isPlainObject(parsed.value)) {
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${JSON.stringify(parsed.value)?.slice(0, 100)} into an object`,
    );
  }
  return { type, body: parsed };
}

/**
 * The object that the patch makes of a stored one. `warn` is given problems that are not errors.
 * @throws StatusError 413 when it is too much work, 422 when the patch does not fit, or its result is not of the type
 */
export function applyPatch(
  patch: ParsedPatch,
  current: StoredObject['object'] | ApiObject,
  how: { readonly type: BodyType; readonly validation: FieldValidation; readonly warn: (problem: string) => void },
): ApiObject {
  const patched = patchValue(patch, current, how.type);
  try {
    // A strategic merge goes by the type of the path, whatever the patch calls itself; the others make a text of any kind.
    if (patch.type !== 'application/strategic-merge-patch+json' && isPlainObject(patched)) checkKind(patched, how.type);
    const { object, problems } = decodeValue({ value: patched, duplicates: patch.body.duplicates }, how.type);
    if (how.validation === 'Strict' && problems.length > 0) {
      throw patchInvalid(patch, `strict decoding error: ${problems.join(', ')}`);
    }
    if (how.validation === 'Warn') for (const problem of problems) how.warn(problem);
    return object;
  } catch (error) {
    if (error instanceof StatusError && error.status.code === 400) throw patchInvalid(patch, error.message);
    throw error;
  }
}

function patchValue(patch: ParsedPatch, current: ApiObject, type: BodyType): unknown {
  try {
    switch (patch.type) {
      case 'application/json-patch+json':
        return applyJsonPatch(current, patch.body.value);
      case 'application/merge-patch+json':
        return applyMergePatch(current, patch.body.value);
      case 'application/strategic-merge-patch+json':
        return applyStrategicMergePatch(type.schema, current, patch.body.value);
    }
  } catch (error) {
    if (error instanceof PatchTooLargeError) throw tooMuch(error.message);
    // Kubernetes does not say which operation did not fit.
    if (patch.type === 'application/json-patch+json') throw rejected();
    throw patchInvalid(patch, messageOf(error));
  }
}

function patchInvalid(patch: ParsedPatch, problem: string): StatusError {
  const shown = JSON.stringify(JSON.stringify(patch.body.value).slice(0, 1_000));
  const message = `Invalid value: ${shown}: ${problem}`;
  return invalid({ group: '', kind: '' }, '', [{ reason: 'FieldValueInvalid', field: 'patch', message }]);
}
