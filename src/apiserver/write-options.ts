import { FieldErrors } from '../api/field-error.ts';
import { apiVersionOf } from '../api/resources.ts';
import { type FieldWriter, managerName } from './managed-fields/managers.ts';
import type { ResourceRequest } from './request-info.ts';
import { isTrue } from './request-info.ts';
import type { ApiRequest } from './requests.ts';
import { invalid } from './status.ts';

const maxManagerBytes = 128;

/** Whether nothing is to be stored. `kind` is that of the options: `CreateOptions`. @throws StatusError 422 */
export function readDryRun(query: URLSearchParams, kind: string): boolean {
  const values = query.getAll('dryRun');
  checkDryRun(values, kind);
  return values.length > 0;
}

/** @throws StatusError 422 for anything but `All` */
export function checkDryRun(values: readonly string[], kind: string): void {
  const errors = new FieldErrors();
  const wrong = values.find((value) => value !== 'All');
  if (wrong !== undefined) errors.notSupported('dryRun', wrong, ['All']);
  throwInvalid(kind, errors);
}

/**
 * Who writes with a request, and as what.
 * @throws StatusError 422: a manager's name too long or not printable, none with an apply, force without one
 */
export function readWriter(
  request: ApiRequest,
  info: ResourceRequest,
  operation: FieldWriter['operation'],
): FieldWriter {
  const named = request.query.get('fieldManager');
  const errors = new FieldErrors();
  if (operation === 'Apply' && (named === null || named === ''))
    errors.required('fieldManager', 'is required for apply patch');
  if (operation !== 'Apply' && request.method === 'PATCH' && request.query.has('force'))
    errors.forbidden('force', 'may not be specified for non-apply patch');
  if (Buffer.byteLength(named ?? '') > maxManagerBytes) errors.tooLong('fieldManager', maxManagerBytes);
  if (/\p{C}/u.test(named ?? '')) errors.invalid('fieldManager', named, 'should only contain printable characters');
  throwInvalid(optionsKind(request.method), errors);
  return {
    manager: managerName(named, request.headers['user-agent']),
    operation,
    apiVersion: apiVersionOf(info.resource),
    subresource: info.subresource ?? '',
  };
}

/** What the options of a write are called. */
export function optionsKind(method: string): string {
  return { POST: 'CreateOptions', PUT: 'UpdateOptions' }[method] ?? 'PatchOptions';
}

/** Whether an apply takes what others have. */
export function readForce(query: URLSearchParams): boolean {
  return isTrue(query.get('force'));
}

function throwInvalid(kind: string, errors: FieldErrors): void {
  if (errors.list.length > 0) throw invalid({ group: 'meta.k8s.io', kind }, '', errors.list);
}
