import { isPlainObject } from '../../api/decode.ts';
import type { Resource } from '../../api/resources.ts';
import { parseJson, parseYaml } from '../body.ts';
import {
  type BodyType,
  checkKind,
  type DecodedBody,
  decodeBody,
  decodeValue,
  type FieldValidation,
} from '../decode-body.ts';
import { applyObject, conflictCause, conflictMessage, type WriteContext } from '../managed-fields/track.ts';
import { TypedValueError } from '../managed-fields/typed-value.ts';
import { applyConflict, badRequest, conflict } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';
import type { Strategy } from '../strategy.ts';

/**
 * Reads the body of a server-side apply: YAML, of which JSON is a part. Fields that it has twice are told of; those that
 * are unknown could have no owner, however lenient the validation is.
 * @throws StatusError 400: not of the type, unknown fields, managed fields of its own; when strict, fields twice
 */
export async function parseApplied(body: Buffer, type: BodyType, validation: FieldValidation): Promise<DecodedBody> {
  const { value, duplicates } = await (body[0] === 0x7b ? parseJson(body) : parseYaml(body));
  if (validation === 'Strict' && duplicates.length > 0)
    throw badRequest(`error strict decoding YAML: ${duplicates.join(', ')}`);
  const parsed = { value, duplicates: [] };
  // Elsewhere the path says what a body leaves out. What is applied has to say it itself.
  if (isPlainObject(parsed.value)) checkKind(parsed.value, type);
  const { object, warnings } = decodeBody(parsed, type, 'Warn');
  const { namespace = '', name = '', managedFields } = object.metadata;
  if (warnings.length > 0) {
    const { problems } = decodeValue(parsed, type);
    const fields = problems.map((problem) =>
      problem.replace(/^unknown field "(.*)"$/, '.$1: field not declared in schema'),
    );
    const whose = `${namespace === '' ? '' : `${namespace}/`}${name}; ${type.apiVersion}, Kind=${type.kind}`;
    const all = fields.length === 1 ? fields[0] : `errors:\n  ${fields.join('\n  ')}`;
    throw badRequest(`failed to create typed patch object (${whose}): ${all}`);
  }
  if (managedFields !== undefined && managedFields.length > 0) throw badRequest('metadata.managedFields must be nil');
  return { object, warnings: validation === 'Warn' ? duplicates : [] };
}

/** The part of an applied object that a write to the object itself, or to its status, can reach. */
export function reachableBy(
  applied: ApiObject,
  { writer, hasStatus, statusKeeps }: WriteContext & Pick<Strategy<ApiObject>, 'statusKeeps'>,
): ApiObject {
  const { status, ...rest } = applied;
  if (writer.subresource !== 'status') return hasStatus ? rest : applied;
  const metadata = { ...applied.metadata };
  for (const field of statusKeeps ?? []) delete metadata[field];
  const { kind, apiVersion } = rest;
  return {
    ...(apiVersion && { apiVersion }),
    ...(kind && { kind }),
    metadata,
    ...(status === undefined ? {} : { status }),
  };
}

/**
 * The object that an apply makes, a new one, with its managed fields.
 * @throws StatusError 409 when others have what it would change, 400 for lists whose elements cannot be told apart
 */
export function applyTo(
  resource: Resource,
  context: WriteContext,
  change: { live: ApiObject | undefined; applied: ApiObject; force: boolean },
): ApiObject {
  const { uid, name = '' } = change.applied.metadata;
  if (change.live === undefined && uid !== undefined && uid !== '') {
    const problem = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
    throw conflict(resource, name, problem);
  }
  try {
    const { object, conflicts } = applyObject(context, change);
    if (conflicts !== undefined) throw applyConflict(conflictMessage(conflicts), conflicts.map(conflictCause));
    return structuredClone(object);
  } catch (error) {
    if (error instanceof TypedValueError) throw badRequest(`failed to create typed patch object: ${error.message}`);
    throw error;
  }
}
