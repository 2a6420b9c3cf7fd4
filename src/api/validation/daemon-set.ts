import { isDeepStrictEqual } from 'node:util';
import type { FieldErrors } from '../field-error.ts';
import type { ControllerRevision, DaemonSet } from '../generated/types.ts';
import { isZero, validateCount, validateSelected, validateShare } from './workload.ts';

/** Checks a DaemonSet with defaults set. */
export function validateDaemonSet({ spec }: DaemonSet, errors: FieldErrors): void {
  validateCount(spec?.minReadySeconds, 'spec.minReadySeconds', errors);
  validateCount(spec?.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors);
  validateSelected(spec?.selector, spec?.template, { errors, kind: 'daemonset' });
  const field = 'spec.updateStrategy';
  const { type, rollingUpdate } = spec?.updateStrategy ?? {};
  if (type === 'OnDelete') return;
  if (type !== 'RollingUpdate') {
    errors.notSupported(`${field}.type`, type ?? '', ['OnDelete', 'RollingUpdate']);
    return;
  }
  const { maxUnavailable, maxSurge } = rollingUpdate ?? {};
  validateShare(maxUnavailable, `${field}.rollingUpdate.maxUnavailable`, errors);
  validateShare(maxSurge, `${field}.rollingUpdate.maxSurge`, errors);
  if (isZero(maxUnavailable) && isZero(maxSurge))
    errors.required(`${field}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0');
  if (!isZero(maxUnavailable) && !isZero(maxSurge))
    errors.invalid(`${field}.rollingUpdate.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero');
}

/** Checks one version of a workload's template, kept for the way back. */
export function validateControllerRevision({ revision, data }: ControllerRevision, errors: FieldErrors): void {
  if ((revision ?? 0) < 0) errors.invalid('revision', revision, 'must be greater than or equal to 0');
  if (data === undefined) errors.required('data', 'data is mandatory');
}

/** A version that was kept is not rewritten. */
export function validateControllerRevisionUpdate(
  next: ControllerRevision,
  old: ControllerRevision,
  errors: FieldErrors,
): void {
  if (!isDeepStrictEqual(next.data, old.data)) errors.invalid('data', next.data, 'field is immutable');
}
