import { isDeepStrictEqual } from 'node:util';
import type { FieldErrors } from '../field-error.ts';
import type {
  ControllerRevision,
  DaemonSet,
  Deployment,
  LabelSelector,
  PodTemplateSpec,
  ReplicaSet,
  StatefulSet,
} from '../generated/types.ts';
import { matchLabelSelector } from '../label-selector.ts';
import { labelValue, qualifiedName } from '../names.ts';
import { validateLabels } from './metadata.ts';
import { validatePodSpec } from './pod.ts';

/** Checks a ReplicaSet with defaults set. */
export function validateReplicaSet(object: ReplicaSet, errors: FieldErrors): void {
  const { spec } = object;
  validateCount(spec?.replicas, 'spec.replicas', errors);
  validateCount(spec?.minReadySeconds, 'spec.minReadySeconds', errors);
  validateSelected(spec?.selector, spec?.template, errors);
}

/** Checks a Deployment with defaults set. */
export function validateDeployment(object: Deployment, errors: FieldErrors): void {
  const { spec } = object;
  for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit', 'progressDeadlineSeconds'] as const) {
    validateCount(spec?.[field], `spec.${field}`, errors);
  }
  if ((spec?.progressDeadlineSeconds ?? 600) <= (spec?.minReadySeconds ?? 0)) {
    errors.invalid(
      'spec.progressDeadlineSeconds',
      spec?.progressDeadlineSeconds,
      'must be greater than minReadySeconds',
    );
  }
  validateSelected(spec?.selector, spec?.template, errors);
  const { type, rollingUpdate } = spec?.strategy ?? {};
  if (type === 'Recreate') {
    if (rollingUpdate !== undefined) {
      errors.forbidden('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'");
    }
  } else if (type !== 'RollingUpdate') {
    errors.notSupported('spec.strategy.type', type ?? '', ['Recreate', 'RollingUpdate']);
  } else {
    const field = 'spec.strategy.rollingUpdate';
    validateShare(rollingUpdate?.maxUnavailable, `${field}.maxUnavailable`, errors);
    validateShare(rollingUpdate?.maxSurge, `${field}.maxSurge`, errors);
    if (isZero(rollingUpdate?.maxUnavailable) && isZero(rollingUpdate?.maxSurge)) {
      errors.invalid(`${field}.maxUnavailable`, rollingUpdate?.maxUnavailable, 'may not be 0 when `maxSurge` is 0');
    }
  }
}

/** Checks a StatefulSet with defaults set. */
export function validateStatefulSet({ spec }: StatefulSet, errors: FieldErrors): void {
  for (const field of ['replicas', 'minReadySeconds', 'revisionHistoryLimit'] as const) {
    validateCount(spec?.[field], `spec.${field}`, errors);
  }
  validateCount(spec?.ordinals?.start, 'spec.ordinals.start', errors);
  const policies = ['OrderedReady', 'Parallel'];
  const { podManagementPolicy = '', updateStrategy } = spec ?? {};
  if (!policies.includes(podManagementPolicy)) {
    errors.notSupported('spec.podManagementPolicy', podManagementPolicy, policies);
  }
  validateUpdateType(updateStrategy, errors);
  validateCount(updateStrategy?.rollingUpdate?.partition, 'spec.updateStrategy.rollingUpdate.partition', errors);
  validateSelected(spec?.selector, spec?.template, errors);
}

/** What of a StatefulSet may change: its Pods' names and storage rest on the rest. */
export function validateStatefulSetUpdate(next: StatefulSet, old: StatefulSet, errors: FieldErrors): void {
  const fixed = ({ spec }: StatefulSet) => {
    const { selector, serviceName, podManagementPolicy, volumeClaimTemplates } = spec ?? {};
    return [selector, serviceName ?? '', podManagementPolicy, volumeClaimTemplates];
  };
  if (isDeepStrictEqual(fixed(next), fixed(old))) return;
  const fields =
    "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', " +
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'";
  errors.forbidden('spec', `updates to statefulset spec for fields other than ${fields} are forbidden`);
}

/** Checks a DaemonSet with defaults set. */
export function validateDaemonSet({ spec }: DaemonSet, errors: FieldErrors): void {
  for (const field of ['minReadySeconds', 'revisionHistoryLimit'] as const) {
    validateCount(spec?.[field], `spec.${field}`, errors);
  }
  validateSelected(spec?.selector, spec?.template, errors);
  validateUpdateType(spec?.updateStrategy, errors);
  const { rollingUpdate } = spec?.updateStrategy ?? {};
  if (rollingUpdate === undefined) return;
  const field = 'spec.updateStrategy.rollingUpdate';
  validateShare(rollingUpdate.maxUnavailable, `${field}.maxUnavailable`, errors);
  validateShare(rollingUpdate.maxSurge, `${field}.maxSurge`, errors);
  const surges = !isZero(rollingUpdate.maxSurge);
  if (isZero(rollingUpdate.maxUnavailable) && !surges) {
    errors.required(`${field}.maxUnavailable`, 'cannot be 0 when maxSurge is 0');
  }
  if (!isZero(rollingUpdate.maxUnavailable) && surges) {
    errors.invalid(`${field}.maxSurge`, rollingUpdate.maxSurge, 'may not be set when maxUnavailable is non-zero');
  }
}

function validateUpdateType(
  strategy: { readonly type?: string; readonly rollingUpdate?: object } | undefined,
  errors: FieldErrors,
): void {
  const types = ['OnDelete', 'RollingUpdate'];
  if (!types.includes(strategy?.type ?? '')) {
    errors.notSupported('spec.updateStrategy.type', strategy?.type ?? '', types);
  } else if (strategy?.type === 'OnDelete' && strategy.rollingUpdate !== undefined) {
    errors.invalid(
      'spec.updateStrategy.rollingUpdate',
      strategy.rollingUpdate,
      "only allowed for updateStrategy 'RollingUpdate'",
    );
  }
}

/** What a revision holds never changes: only its number does, when it becomes the newest again. */
export function validateControllerRevisionUpdate(
  next: ControllerRevision,
  old: ControllerRevision,
  errors: FieldErrors,
): void {
  if (!isDeepStrictEqual(next.data, old.data)) errors.invalid('data', next.data, 'field is immutable');
}

/** Checks a revision. */
export function validateControllerRevision({ data, revision }: ControllerRevision, errors: FieldErrors): void {
  if (data === undefined) errors.required('data', 'data is mandatory');
  if ((revision ?? 0) < 0) errors.invalid('revision', revision, 'must be greater than or equal to 0');
}

/** A workload's selector is fixed. */
export function validateSelectorUpdate(
  next: { spec?: { selector?: LabelSelector } },
  old: { spec?: { selector?: LabelSelector } },
  errors: FieldErrors,
): void {
  if (!isDeepStrictEqual(next.spec?.selector, old.spec?.selector)) {
    errors.invalid('spec.selector', next.spec?.selector, 'field is immutable');
  }
}

/** Checks a selector, and that the template's Pods would be selected. */
function validateSelected(
  selector: LabelSelector | undefined,
  template: PodTemplateSpec | undefined,
  errors: FieldErrors,
): void {
  if (selector === undefined) errors.required('spec.selector');
  else {
    validateSelector(selector, errors);
    if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0) {
      errors.invalid('spec.selector', selector, 'empty selector is invalid for deployment');
    }
  }
  if (template === undefined) errors.required('spec.template');
  const { labels } = template?.metadata ?? {};
  validateLabels(labels, 'spec.template.labels', errors);
  if (selector !== undefined && !matchLabelSelector(selector)(labels)) {
    errors.invalid('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  }
  validatePodSpec(template?.spec ?? { containers: [] }, 'spec.template.spec', errors);
  const { restartPolicy } = template?.spec ?? {};
  if (restartPolicy === 'OnFailure' || restartPolicy === 'Never') {
    errors.notSupported('spec.template.spec.restartPolicy', restartPolicy, ['Always']);
  }
}

const operators = ['DoesNotExist', 'Exists', 'In', 'NotIn'];

function validateSelector(selector: LabelSelector, errors: FieldErrors): void {
  validateLabels(selector.matchLabels, 'spec.selector.matchLabels', errors);
  for (const [i, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const field = `spec.selector.matchExpressions[${i}]`;
    errors.invalidEach(`${field}.key`, key ?? '', qualifiedName(key ?? ''));
    if (!operators.includes(operator))
      errors.invalid(`${field}.operator`, operator ?? '', 'not a valid selector operator');
    const takesValues = operator === 'In' || operator === 'NotIn';
    if (takesValues && values.length === 0)
      errors.required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
    if (!takesValues && values.length > 0)
      errors.forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    for (const [j, value] of values.entries()) errors.invalidEach(`${field}.values[${j}]`, value, labelValue(value));
  }
}

function validateCount(count: number | undefined, field: string, errors: FieldErrors): void {
  if (count !== undefined && count < 0) errors.invalid(field, count, 'must be greater than or equal to 0');
  if (count !== undefined && count > 0x7fffffff) errors.invalid(field, count, 'must fit 32 bits');
}

function validateShare(share: number | string | undefined, field: string, errors: FieldErrors): void {
  if (typeof share === 'number') validateCount(share, field, errors);
  else if (share !== undefined && !/^\d+%$/.test(share)) {
    errors.invalid(
      field,
      share,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    );
  } else if (field.endsWith('maxUnavailable') && Number.parseInt(share ?? '0', 10) > 100) {
    errors.invalid(field, share, 'must not be greater than 100%');
  }
}

function isZero(share: number | string | undefined): boolean {
  return share === undefined || Number.parseInt(String(share), 10) === 0;
}
