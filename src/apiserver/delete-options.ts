import { decodeObject, isPlainObject } from '../api/decode.ts';
import type { DeleteOptions } from '../api/generated/types.ts';
import { parseBody } from './body.ts';
import { isTrue } from './request-info.ts';
import type { ApiRequest } from './requests.ts';
import { badRequest, invalid } from './status.ts';
import { checkDryRun } from './write-options.ts';

/**
 * Options of a delete: the body, and what the query adds.
 * @throws StatusError 400, 422
 */
export async function readDeleteOptions({ query, body, headers }: ApiRequest): Promise<DeleteOptions> {
  const sent = body.length === 0 ? {} : (await parseBody(body, headers['content-type'], 'DeleteOptions')).value;
  // An object sent by mistake has no options in it that anybody meant.
  if (!isPlainObject(sent) || (sent.kind || 'DeleteOptions') !== 'DeleteOptions')
    throw badRequest('the body of a delete must be DeleteOptions');
  let options: DeleteOptions;
  try {
    options = decodeObject('DeleteOptions', sent).object;
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
  const grace = query.get('gracePeriodSeconds');
  if (grace !== null && grace !== '') {
    if (!/^-?\d{1,9}$/.test(grace))
      throw badRequest(`gracePeriodSeconds: Invalid value: ${JSON.stringify(grace)}: must be a whole number`);
    options.gracePeriodSeconds = Number(grace);
  }
  const policy = query.get('propagationPolicy');
  if (policy !== null && policy !== '') options.propagationPolicy = policy;
  const orphan = query.get('orphanDependents');
  if (orphan !== null) options.orphanDependents = isTrue(orphan);
  options.dryRun = [...(options.dryRun ?? []), ...query.getAll('dryRun')];
  checkDeleteOptions(options);
  return options;
}

const policies = ['Background', 'Foreground', 'Orphan'];

function checkDeleteOptions({ propagationPolicy, orphanDependents, dryRun }: DeleteOptions): void {
  checkDryRun(dryRun ?? [], 'DeleteOptions');
  const about = { group: 'meta.k8s.io', kind: 'DeleteOptions' };
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    const message = `Invalid value: ${JSON.stringify(propagationPolicy)}: orphanDependents and deletionPropagation cannot be both set`;
    throw invalid(about, '', [{ reason: 'FieldValueInvalid', field: 'propagationPolicy', message }]);
  }
  if (propagationPolicy !== undefined && !policies.includes(propagationPolicy)) {
    const supported = [...policies, 'nil'].map((p) => JSON.stringify(p)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(propagationPolicy)}: supported values: ${supported}`;
    throw invalid(about, '', [{ reason: 'FieldValueNotSupported', field: 'propagationPolicy', message }]);
  }
}
