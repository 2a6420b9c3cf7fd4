import { DecodeError, decodeObject, isPlainObject } from '../api/decode.ts';
import { FieldErrors } from '../api/field-error.ts';
import { apiVersionOf, type Resource } from '../api/resources.ts';
import { maxProblems, type ParsedBody } from './body.ts';
import type { ApiRequest } from './requests.ts';
import { badRequest, invalid } from './status.ts';
import type { ApiObject } from './stored-object.ts';
import { optionsKind } from './write-options.ts';

const fieldValidations = ['Strict', 'Warn', 'Ignore'] as const;
export type FieldValidation = (typeof fieldValidations)[number];

/** The type of a body: what it has to call itself, and its name in the schema. */
export interface BodyType {
  readonly apiVersion: string;
  readonly kind: string;
  readonly schema: string;
}

export function bodyTypeOf(resource: Resource): BodyType {
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, schema: resource.schema };
}

export interface DecodedBody {
  readonly object: ApiObject;
  readonly warnings: readonly string[];
}

/** @throws StatusError 422 */
export function readFieldValidation({ method, query }: Pick<ApiRequest, 'method' | 'query'>): FieldValidation {
  const text = query.get('fieldValidation') ?? '';
  if (text === '') return 'Warn';
  const found = fieldValidations.find((one) => one === text);
  if (found !== undefined) return found;
  const errors = new FieldErrors();
  errors.notSupported('fieldValidation', text, ['Ignore', 'Strict', 'Warn']);
  throw invalid({ group: 'meta.k8s.io', kind: optionsKind(method) }, '', errors.list);
}

/**
 * Makes an object of its type out of a parsed body.
 * @throws StatusError 400: another kind, a field of the wrong type, or, when strict, fields unknown or twice
 */
export function decodeBody(body: ParsedBody, type: BodyType, validation: FieldValidation): DecodedBody {
  if (!isPlainObject(body.value)) throw badRequest(`the body is not a JSON object`);
  checkKind(withDefaultKind(body.value, type), type);
  const { object, problems } = decodeValue(body, type);
  const warnings = problems.length === 0 || validation === 'Ignore' ? [] : problems;
  if (warnings.length > 0 && validation === 'Strict')
    throw cannotBeHandled(type, `strict decoding error: ${warnings.join(', ')}`);
  return { object, warnings };
}

/** What a body does not say of its kind and version, the path has said. */
function withDefaultKind(value: { [field: string]: unknown }, type: BodyType): { [field: string]: unknown } {
  return { ...value, kind: value.kind || type.kind, apiVersion: value.apiVersion || type.apiVersion };
}

/**
 * Checks that a body says what it is, and that it is what is wanted.
 * @throws StatusError 400
 */
export function checkKind(value: { [field: string]: unknown }, type: BodyType): void {
  const { apiVersion, kind } = value;
  if (kind === undefined || kind === '')
    throw badRequest(`Object 'Kind' is missing in '${JSON.stringify(value).slice(0, 200)}'`);
  if (apiVersion === undefined || apiVersion === '') {
    throw badRequest(`Object 'apiVersion' is missing in '${JSON.stringify(value).slice(0, 200)}'`);
  }
  if (apiVersion !== type.apiVersion) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${type.apiVersion})`,
    );
  }
  if (kind !== type.kind) {
    throw badRequest(
      `${kind} in version "${versionOf(type)}" cannot be handled as a ${type.kind}: the kind does not match`,
    );
  }
}

/** The object, and the problems that are only errors when strict. */
export function decodeValue(body: ParsedBody, type: BodyType): { object: ApiObject; problems: readonly string[] } {
  try {
    const { object, unknown } = decodeObject(type.schema, body.value);
    const problems = [
      ...unknown.slice(0, maxProblems).map((path) => `unknown field ${JSON.stringify(path)}`),
      ...body.duplicates,
    ];
    const metadata = isPlainObject(object.metadata) ? object.metadata : {};
    return { object: { ...object, apiVersion: type.apiVersion, kind: type.kind, metadata }, problems };
  } catch (error) {
    if (error instanceof DecodeError) throw cannotBeHandled(type, error.message);
    throw error;
  }
}

function cannotBeHandled(type: BodyType, problem: string): Error {
  return badRequest(`${type.kind} in version "${versionOf(type)}" cannot be handled as a ${type.kind}: ${problem}`);
}

function versionOf({ apiVersion }: BodyType): string {
  return apiVersion.split('/').at(-1) ?? apiVersion;
}
