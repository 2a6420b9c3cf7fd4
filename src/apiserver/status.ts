import { type FieldError, toCause } from '../api/field-error.ts';
import type { Status, StatusCause, StatusDetails } from '../api/generated/types.ts';
import type { Resource } from '../api/resources.ts';

/** Kubernetes' words for what went wrong, and the HTTP status code of each. */
const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  RequestTimeout: 408,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  RequestHeaderFieldsTooLarge: 431,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
  InsufficientStorage: 507,
} as const;

/** A request fails with this Status as its answer. */
export class StatusError extends Error {
  readonly status: Status & { readonly code: number };

  constructor(reason: keyof typeof codes, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'StatusError';
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      ...(details === undefined ? {} : { details }),
      code: codes[reason],
    };
  }
}

type Named = Pick<Resource, 'group' | 'plural'>;

/** `services`, `deployments.apps` */
function qualified({ group, plural }: Named): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function detailsOf(resource: Named, name: string): StatusDetails {
  return { name, ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.plural };
}

export function notFound(resource: Named, name: string): StatusError {
  return new StatusError('NotFound', `${qualified(resource)} "${name}" not found`, detailsOf(resource, name));
}

/** Nothing is served at the path. */
export function noSuchPath(): StatusError {
  return new StatusError('NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(resource: Named, name: string): StatusError {
  const message = `${qualified(resource)} "${name}" already exists`;
  return new StatusError('AlreadyExists', message, detailsOf(resource, name));
}

export function conflict(resource: Named, name: string, problem: string): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(resource)} "${name}": ${problem}`;
  return new StatusError('Conflict', message, detailsOf(resource, name));
}

/** An apply would take fields that others have. */
export function applyConflict(message: string, causes: StatusCause[]): StatusError {
  return new StatusError('Conflict', message, { causes });
}

/** The problem of an update made from an old version of the object. */
export const modifiedMessage =
  'the object has been modified; please apply your changes to the latest version and try again';

export function forbidden(resource: Named, name: string, problem: string): StatusError {
  const subject = name === '' ? qualified(resource) : `${qualified(resource)} "${name}"`;
  return new StatusError('Forbidden', `${subject} is forbidden: ${problem}`, detailsOf(resource, name));
}

/** More faults than anybody reads; a hostile object has as many as it has elements. */
const toldErrors = 200;

/** What is wrong with an object's fields; `kind` is empty for a patch that could not be applied. */
export function invalid(
  { group, kind }: Pick<Resource, 'group' | 'kind'>,
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const told = errors.slice(0, toldErrors);
  const lines = told.map((error) => `${error.field}: ${error.message}`);
  if (errors.length > told.length) lines.push(`and ${errors.length - told.length} more errors`);
  const all = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  const subject = group === '' ? kind : `${kind}.${group}`;
  return new StatusError('Invalid', `${subject} "${name}" is invalid: ${all}`, {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    ...(kind === '' ? {} : { kind }),
    causes: told.map(toCause),
  });
}

/** What Kubernetes says of a request that cannot be processed, and no more. */
export function rejected(): StatusError {
  return new StatusError('Invalid', 'the server rejected our request due to an error in our request', {});
}

export function badRequest(message: string): StatusError {
  return new StatusError('BadRequest', message);
}

export function unauthorized(): StatusError {
  return new StatusError('Unauthorized', 'Unauthorized');
}

export function methodNotAllowed(resource: Named): StatusError {
  const message = 'the server does not allow this method on the requested resource';
  return new StatusError('MethodNotAllowed', message, detailsOf(resource, ''));
}

/** The revision asked for, or the continue token's, is gone. */
export function expired(message: string): StatusError {
  return new StatusError('Expired', message);
}

export function unsupportedMediaType(message: string): StatusError {
  return new StatusError('UnsupportedMediaType', message);
}

export function notAcceptable(): StatusError {
  const types = 'application/json, application/yaml';
  return new StatusError('NotAcceptable', `only the following media types are accepted: ${types}`);
}

export function tooLarge(limit: number): StatusError {
  return new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${limit}`);
}

/** Too many are being answered already. */
export function tooManyRequests(): StatusError {
  return new StatusError('TooManyRequests', 'too many requests, please try again later', { retryAfterSeconds: 1 });
}

/** The client knows a revision that this server has not seen yet. */
export function tooLargeRevision(asked: number, current: number): StatusError {
  return new StatusError('Timeout', `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

export function internalError(message: string): StatusError {
  return new StatusError('InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
}

/** There is no room for what is to be written. */
export function insufficientStorage(message: string): StatusError {
  return new StatusError('InsufficientStorage', message);
}

/** The store takes no object of this size, or a patch is more work than its size allows. */
export function tooMuch(message: string): StatusError {
  return new StatusError('RequestEntityTooLarge', message);
}

export function unavailable(message: string): StatusError {
  return new StatusError('ServiceUnavailable', message, { retryAfterSeconds: 1 });
}

/** The answer to a delete that is done. */
export function deletedStatus(resource: Named, name: string, uid: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { ...detailsOf(resource, name), uid },
  };
}
