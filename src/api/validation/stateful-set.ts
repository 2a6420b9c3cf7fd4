import { isDeepStrictEqual } from 'node:util';
import type { FieldErrors } from '../field-error.ts';
import type { StatefulSet, StatefulSetSpec } from '../generated/types.ts';
import { validateCount, validateSelected } from './workload.ts';

const retentionPolicies = ['Delete', 'Retain'];

/** Checks a StatefulSet with defaults set. */
export function validateStatefulSet({ spec }: StatefulSet, errors: FieldErrors): void {
  const { podManagementPolicy } = spec ?? {};
  if (!podManagementPolicy) errors.required('spec.podManagementPolicy');
  else if (podManagementPolicy !== 'OrderedReady' && podManagementPolicy !== 'Parallel')
    errors.invalid('spec.podManagementPolicy', podManagementPolicy, "must be 'OrderedReady' or 'Parallel'");
  validateUpdateStrategy(spec, errors);
  const { whenDeleted, whenScaled } = spec?.persistentVolumeClaimRetentionPolicy ?? {};
  for (const [field, policy] of Object.entries({ whenDeleted, whenScaled })) {
    if (policy !== undefined && !retentionPolicies.includes(policy))
      errors.notSupported(`spec.persistentVolumeClaimRetentionPolicy.${field}`, policy, retentionPolicies);
  }
  for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit'] as const) {
    validateCount(spec?.[field], `spec.${field}`, errors);
  }
  validateCount(spec?.ordinals?.start, 'spec.ordinals.start', errors);
  validateSelected(spec?.selector, spec?.template, { errors, kind: 'statefulset' });
}

function validateUpdateStrategy(spec: StatefulSetSpec | undefined, errors: FieldErrors): void {
  const field = 'spec.updateStrategy';
  const { type, rollingUpdate } = spec?.updateStrategy ?? {};
  if (!type) errors.required(field);
  else if (type === 'OnDelete') {
    if (rollingUpdate !== undefined)
      errors.invalid(`${field}.rollingUpdate`, rollingUpdate, "only allowed for updateStrategy 'RollingUpdate'");
  } else if (type === 'RollingUpdate')
    validateCount(rollingUpdate?.partition, `${field}.rollingUpdate.partition`, errors);
  else errors.invalid(field, spec?.updateStrategy, "must be 'RollingUpdate' or 'OnDelete'");
}

const changeable = [
  'replicas',
  'ordinals',
  'template',
  'updateStrategy',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
  'minReadySeconds',
] as const;

/** What of a StatefulSet stays as it was created. */
export function validateStatefulSetUpdate(next: StatefulSet, old: StatefulSet, errors: FieldErrors): void {
  if (isDeepStrictEqual(fixedPart(next), fixedPart(old))) return;
  const names = changeable.map((field) => `'${field}'`);
  const list = `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  errors.forbidden('spec', `updates to statefulset spec for fields other than ${list} are forbidden`);
}

function fixedPart({ spec }: StatefulSet): unknown {
  const fields = Object.entries(spec ?? {}).filter(([field]) => !changeable.some((one) => one === field));
  return JSON.parse(JSON.stringify(Object.fromEntries(fields)));
}
