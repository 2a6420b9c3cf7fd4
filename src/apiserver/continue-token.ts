import { badRequest, StatusError } from './status.ts';

/** Where the next page of a list begins, and of which revision. -1: whatever is there by then. */
export interface ContinueToken {
  readonly revision: number;
  /** Key of the last object given. */
  readonly after: string;
}

const encodingVersion = 'meta.k8s.io/v1';

export function encodeContinue({ revision, after }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: encodingVersion, rv: revision, start: after })).toString('base64url');
}

/** @throws StatusError 400 */
export function decodeContinue(text: string): ContinueToken {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(text, 'base64url').toString()) as { [field: string]: unknown };
    if (v === encodingVersion && typeof rv === 'number' && Number.isSafeInteger(rv) && typeof start === 'string') {
      return { revision: rv, after: start };
    }
  } catch {
    // Not JSON: as wrong as JSON of another shape.
  }
  throw badRequest('continue key is not valid: the encoded continue token is malformed');
}

/** The list's revision is gone; the client may go on inconsistently, or begin again. */
export function expiredContinue(after: string): StatusError {
  const error = new StatusError(
    'Expired',
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  );
  error.status.metadata = { continue: encodeContinue({ revision: -1, after }) };
  return error;
}
