import type { FieldErrors } from '../field-error.ts';
import type { ObjectMeta } from '../generated/types.ts';
import { dns1123Label, labelValue, qualifiedName, type TextCheck } from '../names.ts';

const maxAnnotationsBytes = 256 * 1024;
const coreFinalizers = ['orphan', 'foregroundDeletion', 'kubernetes'];

/** What a resource's metadata has to be like. */
export interface MetadataRules {
  readonly namespaced: boolean;
  readonly name: TextCheck;
}

/** Checks an object's metadata as it is about to be created or changed. */
export function validateMetadata(meta: ObjectMeta, rules: MetadataRules, errors: FieldErrors): void {
  if (meta.generateName !== undefined && meta.generateName !== '') {
    // The suffix to come makes a trailing dash harmless.
    const prefix = meta.generateName.endsWith('-') ? `${meta.generateName.slice(0, -1)}a` : meta.generateName;
    errors.invalidEach('metadata.generateName', meta.generateName, rules.name(prefix));
  }
  if (meta.name === undefined || meta.name === '') errors.required('metadata.name', 'name or generateName is required');
  else errors.invalidEach('metadata.name', meta.name, rules.name(meta.name));
  if (rules.namespaced) {
    if (meta.namespace === undefined || meta.namespace === '') errors.required('metadata.namespace');
    else errors.invalidEach('metadata.namespace', meta.namespace, dns1123Label(meta.namespace));
  } else if (meta.namespace !== undefined) errors.forbidden('metadata.namespace', 'not allowed on this type');
  validateLabels(meta.labels, 'metadata.labels', errors);
  validateAnnotations(meta.annotations, errors);
  validateOwners(meta, errors);
  for (const [i, finalizer] of (meta.finalizers ?? []).entries()) {
    const field = `metadata.finalizers[${i}]`;
    errors.invalidEach(field, finalizer, qualifiedName(finalizer));
    if (!finalizer.includes('/') && !coreFinalizers.includes(finalizer)) {
      errors.invalid(field, finalizer, 'name is neither a standard finalizer name nor is it fully qualified');
    }
  }
}

/** Checks a label map, wherever it stands. */
export function validateLabels(
  labels: { readonly [key: string]: string } | undefined,
  field: string,
  errors: FieldErrors,
): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    errors.invalidEach(field, key, qualifiedName(key));
    errors.invalidEach(field, value, labelValue(value));
  }
}

function validateAnnotations(annotations: ObjectMeta['annotations'], errors: FieldErrors): void {
  let total = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.invalidEach('metadata.annotations', key, qualifiedName(key.toLowerCase()));
    total += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (total > maxAnnotationsBytes) errors.tooLong('metadata.annotations', maxAnnotationsBytes);
}

function validateOwners(meta: ObjectMeta, errors: FieldErrors): void {
  let controllers = 0;
  for (const [i, owner] of (meta.ownerReferences ?? []).entries()) {
    const field = `metadata.ownerReferences[${i}]`;
    if (!owner.apiVersion) errors.invalid(`${field}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty');
    if (!owner.kind) errors.invalid(`${field}.kind`, owner.kind ?? '', 'must not be empty');
    if (!owner.name) errors.invalid(`${field}.name`, owner.name ?? '', 'must not be empty');
    if (!owner.uid) errors.invalid(`${field}.uid`, owner.uid ?? '', 'must not be empty');
    if (owner.controller === true && ++controllers > 1) {
      errors.invalid(
        'metadata.ownerReferences',
        meta.ownerReferences,
        'Only one reference can have Controller set to true',
      );
    }
  }
}

/** The fields of metadata that nobody may change. */
export function validateMetadataUpdate(next: ObjectMeta, old: ObjectMeta, errors: FieldErrors): void {
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp'] as const) {
    if (next[field] !== old[field]) errors.invalid(`metadata.${field}`, next[field], 'field is immutable');
  }
  const added = (next.finalizers ?? []).filter((f) => !(old.finalizers ?? []).includes(f));
  if (old.deletionTimestamp !== undefined && added.length > 0) {
    errors.forbidden(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((f) => JSON.stringify(f)).join(', ')}}`,
    );
  }
}
