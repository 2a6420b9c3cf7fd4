import type { FieldErrors } from '../field-error.ts';
import type { PodSpec, Taint, Toleration } from '../generated/types.ts';
import { labelValue, qualifiedName } from '../names.ts';
import { validateLabels } from './metadata.ts';

const effects = ['NoExecute', 'NoSchedule', 'PreferNoSchedule'];
const operators = ['Equal', 'Exists'];

/** Checks what a Pod says of the nodes it may be on: labels they have to have, taints it tolerates. */
export function validatePlacement(spec: PodSpec, field: string, errors: FieldErrors): void {
  validateLabels(spec.nodeSelector, `${field}.nodeSelector`, errors);
  for (const [i, toleration] of (spec.tolerations ?? []).entries())
    validateToleration(toleration, `${field}.tolerations[${i}]`, errors);
}

function validateToleration(toleration: Toleration, field: string, errors: FieldErrors): void {
  const { key = '', operator = '', value = '', effect = '', tolerationSeconds } = toleration;
  if (key !== '') errors.invalidEach(`${field}.key`, key, qualifiedName(key));
  else if (operator !== 'Exists') {
    const meaning = 'which means "match all values and all keys"';
    errors.invalid(`${field}.operator`, operator, `operator must be Exists when \`key\` is empty, ${meaning}`);
  }
  if (tolerationSeconds !== undefined && effect !== 'NoExecute')
    errors.invalid(`${field}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
  if (operator === 'Exists') {
    if (value !== '')
      errors.invalid(`${field}.operator`, toleration, "value must be empty when `operator` is 'Exists'");
  } else if (operator === '' || operator === 'Equal') errors.invalidEach(`${field}.operator`, value, labelValue(value));
  else errors.notSupported(`${field}.operator`, operator, operators);
  if (effect !== '' && !effects.includes(effect)) errors.notSupported(`${field}.effect`, effect, effects);
}

/** Checks a node's taints: there is one of a key and an effect. */
export function validateTaints(taints: readonly Taint[], field: string, errors: FieldErrors): void {
  const known = new Set<string>();
  for (const [i, taint] of taints.entries()) {
    const { key, effect, value = '' } = taint;
    const at = `${field}[${i}]`;
    if (key) errors.invalidEach(`${at}.key`, key, qualifiedName(key));
    else errors.required(`${at}.key`);
    errors.invalidEach(`${at}.value`, value, labelValue(value));
    if (!effects.includes(effect)) errors.notSupported(`${at}.effect`, effect ?? '', effects);
    if (known.has(`${key}:${effect}`)) errors.duplicate(at, taint);
    known.add(`${key}:${effect}`);
  }
}
