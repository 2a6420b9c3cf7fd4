import { FieldErrors } from '../api/field-error.ts';
import { isTrue } from './request-info.ts';
import { badRequest, invalid } from './status.ts';

const listOptions = { group: 'meta.k8s.io', kind: 'ListOptions' };

/**
 * Checks which parameters of a list go together.
 * @throws StatusError 422
 */
export function checkListOptions(query: URLSearchParams): void {
  const errors = new FieldErrors();
  const match = query.get('resourceVersionMatch') ?? '';
  const revision = query.get('resourceVersion') ?? '';
  if (match !== '') {
    if (revision === '')
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided');
    if (query.get('continue'))
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
    if (match !== 'Exact' && match !== 'NotOlderThan')
      errors.notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']);
    if (match === 'Exact' && revision === '0')
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
  }
  if (query.has('sendInitialEvents')) errors.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list');
  if (errors.list.length > 0) throw invalid(listOptions, '', errors.list);
}

/**
 * Checks which parameters of a watch go together.
 * @throws StatusError 422
 */
export function checkWatchOptions(query: URLSearchParams): void {
  const errors = new FieldErrors();
  const match = query.get('resourceVersionMatch') ?? '';
  const sendsInitial = query.has('sendInitialEvents');
  if (sendsInitial && match !== 'NotOlderThan')
    errors.forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (match !== '') {
    if (!sendsInitial)
      errors.forbidden(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      );
    if (match !== 'NotOlderThan') errors.notSupported('resourceVersionMatch', match, ['NotOlderThan']);
    if (query.get('continue'))
      errors.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided');
  }
  if (errors.list.length > 0) throw invalid(listOptions, '', errors.list);
}

/** How long a watch is to last at least when its client does not say. */
const minWatchSeconds = 1_800;

/** The client's own time, or 30 to 60 minutes by chance, so that not all come back together. @throws StatusError 400 */
export function readWatchTimeout(text: string | null): number {
  if (text === null || text === '' || text === '0') return minWatchSeconds * (1 + Math.random()) * 1000;
  if (!/^\d{1,9}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Math.min(Number(text), 0x7fffffff / 1000) * 1000;
}

/** Whether a watch begins with what is there. Without a revision, or with 0, it does unless told otherwise. */
export function startsWithState(query: URLSearchParams, revision: number | undefined): boolean {
  const sendsInitial = query.get('sendInitialEvents');
  return sendsInitial === null ? revision === undefined || revision === 0 : isTrue(sendsInitial);
}
