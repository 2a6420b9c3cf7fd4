import { FieldErrors } from '../../api/field-error.ts';
import type { Pod } from '../../api/generated/types.ts';
import { isTrue } from '../request-info.ts';
import { badRequest, invalid } from '../status.ts';

/**
 * The parameters of `pods/log` checked, as a node agent takes them.
 * @throws StatusError 400 for what cannot be read, 422 for what makes no sense
 */
export function readLogQuery(query: URLSearchParams, pod: Pod): URLSearchParams {
  const to = new URLSearchParams();
  const errors = new FieldErrors();
  for (const name of ['follow', 'previous', 'timestamps']) if (isTrue(query.get(name))) to.set(name, 'true');
  for (const [name, least] of leastCounts) readCount(query, { name, least }, { to, errors });
  readSince(query.get('sinceTime') ?? '', to, errors);
  if (errors.list.length > 0)
    throw invalid({ group: '', kind: 'PodLogOptions' }, pod.metadata?.name ?? '', errors.list);
  return to;
}

const leastCounts = [
  ['tailLines', 0],
  ['limitBytes', 1],
  ['sinceSeconds', 1],
] as const;

interface Reading {
  readonly to: URLSearchParams;
  readonly errors: FieldErrors;
}

function readCount(
  query: URLSearchParams,
  { name, least }: { name: string; least: number },
  { to, errors }: Reading,
): void {
  const text = query.get(name) ?? '';
  if (text === '') return;
  if (!/^-?\d{1,15}$/.test(text)) {
    throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number`);
  }
  if (Number(text) >= least) to.set(name, text);
  else errors.invalid(name, Number(text), `must be greater than ${least === 0 ? 'or equal to 0' : '0'}`);
}

function readSince(text: string, to: URLSearchParams, errors: FieldErrors): void {
  if (text === '') return;
  if (Number.isNaN(Date.parse(text))) {
    throw badRequest(`sinceTime: Invalid value: ${JSON.stringify(text)}: must be a time`);
  }
  if (to.has('sinceSeconds')) {
    errors.forbidden('sinceTime', 'at most one of `sinceTime` or `sinceSeconds` may be specified');
  }
  to.set('sinceTime', text);
}
