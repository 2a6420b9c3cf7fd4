import { isDeepStrictEqual } from 'node:util';
import { tryParseCidr } from '../../net/cidr.ts';
import type { FieldErrors } from '../field-error.ts';
import type { ConfigMap, Lease, Node, Secret } from '../generated/types.ts';
import { configMapKey } from '../names.ts';
import { validateTaints } from './placement.ts';

const maxDataBytes = 1024 * 1024;

/** Checks a ConfigMap: keys are file names, no key twice, 1 MiB in all. */
export function validateConfigMap(object: ConfigMap, errors: FieldErrors): void {
  let total = 0;
  for (const [key, value] of Object.entries(object.data ?? {})) {
    errors.invalidEach(`data[${key}]`, key, configMapKey(key));
    if (object.binaryData?.[key] !== undefined)
      errors.invalid(`data[${key}]`, key, 'duplicate of key present in binaryData');
    total += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(object.binaryData ?? {})) {
    errors.invalidEach(`binaryData[${key}]`, key, configMapKey(key));
    total += Math.floor((value.length * 3) / 4);
  }
  if (total > maxDataBytes) errors.tooLong('', maxDataBytes);
}

/** What was declared immutable stays so. */
export function validateDataUpdate(next: ConfigMap | Secret, old: ConfigMap | Secret, errors: FieldErrors): void {
  if (old.immutable !== true) return;
  if (next.immutable !== true) errors.forbidden('immutable', 'field is immutable when `immutable` is set');
  if (!isDeepStrictEqual(next.data, old.data)) errors.forbidden('data', 'field is immutable when `immutable` is set');
  if ('binaryData' in old && !isDeepStrictEqual((next as ConfigMap).binaryData, old.binaryData)) {
    errors.forbidden('binaryData', 'field is immutable when `immutable` is set');
  }
}

/** Keys that a Secret of a type must have. */
const requiredSecretKeys: { readonly [type: string]: readonly string[] } = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

/** Checks a Secret whose `stringData` has been folded into `data`. */
export function validateSecret(object: Secret, errors: FieldErrors): void {
  let total = 0;
  for (const [key, value] of Object.entries(object.data ?? {})) {
    errors.invalidEach(`data[${key}]`, key, configMapKey(key));
    total += Math.floor((value.length * 3) / 4);
  }
  if (total > maxDataBytes) errors.tooLong('data', maxDataBytes);
  const { type = '', data = {} } = object;
  for (const key of requiredSecretKeys[type] ?? []) {
    if (data[key] === undefined) errors.required(`data[${key}]`);
    // What is wrong in it is not said: it is a secret.
    else if (/^\.docker/.test(key) && !isJson(data[key]))
      errors.invalid(`data[${key}]`, '<secret contents redacted>', 'must be JSON');
  }
  if (type === 'kubernetes.io/basic-auth' && data.username === undefined && data.password === undefined) {
    for (const key of ['username', 'password']) errors.required(`data[${key}]`);
  }
  const account = 'kubernetes.io/service-account.name';
  if (type === 'kubernetes.io/service-account-token' && !object.metadata?.annotations?.[account])
    errors.required(`metadata.annotations[${account}]`);
}

function isJson(base64: string): boolean {
  try {
    JSON.parse(Buffer.from(base64, 'base64').toString());
    return true;
  } catch {
    return false;
  }
}

export function validateSecretUpdate(next: Secret, old: Secret, errors: FieldErrors): void {
  if (next.type !== old.type) errors.invalid('type', next.type, 'field is immutable');
  validateDataUpdate(next, old, errors);
}

/** Checks a Node: the Pod network may be set once. */
export function validateNode(object: Node, errors: FieldErrors): void {
  for (const [i, cidr] of (object.spec?.podCIDRs ?? []).entries()) {
    if (tryParseCidr(cidr) === undefined)
      errors.invalid(`spec.podCIDRs[${i}]`, cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
  }
  validateTaints(object.spec?.taints ?? [], 'spec.taints', errors);
}

export function validateNodeUpdate(next: Node, old: Node, errors: FieldErrors): void {
  const was = old.spec?.podCIDRs ?? [];
  if (was.length > 0 && !isDeepStrictEqual(next.spec?.podCIDRs, was)) {
    errors.forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid');
  }
}

/** Checks a Lease: positive duration, no negative transitions. */
export function validateLease(object: Lease, errors: FieldErrors): void {
  const { leaseDurationSeconds, leaseTransitions } = object.spec ?? {};
  if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) {
    errors.invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0');
  }
  if (leaseTransitions !== undefined && leaseTransitions < 0) {
    errors.invalid('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0');
  }
}
