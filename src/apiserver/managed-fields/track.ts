import { decodeObject } from '../../api/decode.ts';
import type { ManagedFieldsEntry } from '../../api/generated/types.ts';
import { servedFieldSteps } from '../../api/other-versions.ts';
import type { ApiObject } from '../stored-object.ts';
import { FieldSet, FieldSetError, formatPath } from './field-set.ts';
import {
  type FieldWriter,
  type Manager,
  type Managers,
  managerKey,
  readManagers,
  withFields,
  writeManagers,
} from './managers.ts';
import {
  type Comparison,
  compareObjects,
  fieldsOfNew,
  fieldsOfObject,
  mergeObjects,
  withoutFields,
} from './typed-value.ts';

/** What all tracking is about: whose object, who writes, when. */
export interface WriteContext {
  /** Name of the object's type in the schema. */
  readonly schema: string;
  readonly writer: FieldWriter;
  /** As Kubernetes writes times. */
  readonly now: string;
  /** Whether the object's status is written by its own subresource only. */
  readonly hasStatus: boolean;
}

/** Metadata that belongs to nobody. */
const unowned = [
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'generation',
  'managedFields',
  'resourceVersion',
];

/** The set without what belongs to nobody, and without what a write of this kind cannot reach. Changes it. */
function owned(set: FieldSet, { hasStatus, writer }: WriteContext): FieldSet {
  set.children.delete('f:apiVersion');
  set.children.delete('f:kind');
  if (hasStatus && writer.subresource !== 'status') set.children.delete('f:status');
  const metadata = set.children.get('f:metadata');
  if (metadata === undefined) return set;
  metadata.isMember = false;
  for (const field of unowned) metadata.children.delete(`f:${field}`);
  if (metadata.children.size === 0) set.children.delete('f:metadata');
  return set;
}

function difference(context: WriteContext, old: object, next: object): Comparison {
  const { changed, removed } = compareObjects(context.schema, old, next);
  return { changed: owned(changed, context), removed: owned(removed, context) };
}

/**
 * The `managedFields` of an object after a create (no `live`) or an update: who writes has what he changed, and what
 * he changed or removed no other has. `sent` are those of the request, by which a client may drop or move ownership.
 * Nothing for an object that was not tracked before.
 */
export function trackUpdate(
  context: WriteContext,
  {
    live,
    next,
    sent,
  }: { live: ApiObject | undefined; next: ApiObject; sent: readonly ManagedFieldsEntry[] | undefined },
): ManagedFieldsEntry[] | undefined {
  if (live === undefined) return ownerOfNew(context, next);
  const stored = live.metadata.managedFields;
  const mayReplace = context.writer.subresource === '' && sent !== undefined && sent !== stored;
  if (mayReplace && isReset(sent)) return undefined;
  const replacement = mayReplace ? tryReadManagers(sent) : undefined;
  if (replacement === undefined && stored === undefined) return undefined;
  const { changed, removed } = difference(context, live, next);
  if (replacement === undefined && changed.isEmpty && removed.isEmpty) return stored;
  const managers = replacement ?? tryReadManagers(stored) ?? new Map();
  takeFromAll(managers, changed);
  takeFromAll(managers, removed);
  if (!changed.isEmpty) give(managers, context, changed);
  return writeManagers(managers);
}

const unownedSteps = new Set(['f:apiVersion', 'f:kind', ...unowned.map((field) => `f:metadata f:${field}`)]);

/** Who creates has all there is. */
function ownerOfNew(
  { schema, hasStatus, writer, now }: WriteContext,
  next: ApiObject,
): ManagedFieldsEntry[] | undefined {
  const fieldsV1 = shared(
    fieldsOfNew(schema, next, (step) => unownedSteps.has(step) || (hasStatus && step === 'f:status')),
  );
  if (Object.keys(fieldsV1).length === 0) return undefined;
  const { manager, operation, apiVersion, subresource } = writer;
  const entry = { manager, operation, apiVersion, time: now };
  const served = servedFieldSteps(apiVersion, fieldsV1);
  return [{ ...entry, fieldsType: 'FieldsV1', fieldsV1: served, ...(subresource === '' ? {} : { subresource }) }];
}

const maxShared = 1_000;
const sharedFields = new Map<string, { [step: string]: unknown }>();

/** Objects of one make have the same fields: thousands of them hold one copy. */
function shared(fields: { [step: string]: unknown }): { [step: string]: unknown } {
  const text = JSON.stringify(fields);
  const known = sharedFields.get(text);
  if (known !== undefined) return known;
  if (sharedFields.size >= maxShared) sharedFields.clear();
  sharedFields.set(text, fields);
  return fields;
}

/** `managedFields: [{}]` gives up tracking. */
function isReset(sent: readonly ManagedFieldsEntry[]): boolean {
  return sent.length === 1 && Object.keys(sent[0] ?? {}).length === 0;
}

function tryReadManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managers | undefined {
  try {
    const managers = readManagers(entries);
    return managers.size === 0 ? undefined : managers;
  } catch (error) {
    // What a client wrote that does not know the form is as good as left out.
    if (error instanceof FieldSetError) return undefined;
    throw error;
  }
}

function takeFromAll(managers: Managers, fields: FieldSet): void {
  for (const [key, manager] of managers) take(managers, key, { manager, fields });
}

function take(managers: Managers, key: string, { manager, fields }: { manager: Manager; fields: FieldSet }): void {
  const left = manager.fields.difference(fields);
  if (left.isEmpty) managers.delete(key);
  else if (!left.equals(manager.fields)) managers.set(key, withFields(manager, left));
}

function give(managers: Managers, { writer, now }: WriteContext, fields: FieldSet): void {
  const key = managerKey(writer);
  const before = managers.get(key);
  const all = before === undefined ? fields : before.fields.union(fields);
  managers.set(key, { ...writer, time: now, fields: all, entry: undefined });
}

/** Someone else has fields that an apply would change. */
export interface FieldConflict {
  readonly manager: Manager;
  readonly path: readonly string[];
}

/** What an apply makes of an object: the object with its managed fields, or the conflicts that stand against it. */
export type Applied =
  | { readonly object: ApiObject; readonly conflicts?: undefined }
  | { readonly object?: undefined; readonly conflicts: readonly FieldConflict[] };

/** Owner of what was there before anybody applied. */
const beforeFirstApply = 'before-first-apply';

/**
 * Server-side apply (KEP 555): the live object with all that `applied` says; what the same manager applied before and
 * leaves out now goes, unless another has it too.
 * @throws TypedValueError
 */
export function applyObject(
  context: WriteContext,
  { live, applied, force }: { live: ApiObject | undefined; applied: ApiObject; force: boolean },
): Applied {
  const { schema, writer, now } = context;
  const old = live ?? {};
  const managers = managersBefore(context, live);
  const key = managerKey(writer);
  const before = managers.get(key);
  const spoken = fieldsOfObject(schema, applied);
  managers.delete(key);
  const object = pruned(context, mergeObjects(schema, old, applied), {
    before: before?.fields,
    kept: [...managers.values()].reduce((all, { fields }) => all.union(fields), spoken),
  });
  const { changed, removed } = difference(context, old, object);
  const conflicts = force ? [] : conflictsWith(managers, changed, allowedConflicts(context, live));
  if (conflicts.length > 0) return { conflicts };
  takeFromAll(managers, changed);
  takeFromAll(managers, removed);
  const fields = owned(spoken, context);
  const isSame = changed.isEmpty && removed.isEmpty && before?.fields.equals(fields) === true;
  managers.set(key, isSame ? before : { ...writer, time: now, fields, entry: undefined });
  const managedFields =
    isSame && live?.metadata.managedFields !== undefined ? live.metadata.managedFields : writeManagers(managers);
  const { managedFields: _, ...metadata } = object.metadata;
  return {
    object: { ...object, metadata: { ...metadata, ...(managedFields === undefined ? {} : { managedFields }) } },
  };
}

function managersBefore(context: WriteContext, live: ApiObject | undefined): Managers {
  const managers = tryReadManagers(live?.metadata.managedFields);
  if (managers !== undefined || live === undefined) return managers ?? new Map();
  const { apiVersion } = context.writer;
  const writer: FieldWriter = { manager: beforeFirstApply, operation: 'Update', apiVersion, subresource: '' };
  const { changed } = difference({ ...context, writer }, {}, live);
  const owner: Manager = { ...writer, time: context.now, fields: changed, entry: undefined };
  return new Map([[managerKey(writer), owner]]);
}

function pruned(
  { schema }: WriteContext,
  merged: { [field: string]: unknown },
  { before, kept }: { before: FieldSet | undefined; kept: FieldSet },
): ApiObject {
  if (before === undefined) return merged as ApiObject;
  const gone = before.withNamedParents().difference(kept.withNamedParents());
  return withoutFields(schema, merged, gone) as ApiObject;
}

function conflictsWith(managers: Managers, changed: FieldSet, allowed: FieldSet): FieldConflict[] {
  const conflicts: FieldConflict[] = [];
  for (const manager of managers.values()) {
    const disputed = manager.fields.intersection(changed).difference(allowed);
    for (const path of disputed.paths()) conflicts.push({ manager, path });
  }
  return conflicts;
}

const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/**
 * Fields that kubectl applied itself, on its own side, and that have still the values it gave them: it may take them
 * over when it begins to apply on the server's.
 */
function allowedConflicts({ schema, writer }: WriteContext, live: ApiObject | undefined): FieldSet {
  const text = live?.metadata.annotations?.[lastAppliedAnnotation];
  if (live === undefined || text === undefined || writer.manager !== 'kubectl') return new FieldSet();
  try {
    const { object } = decodeObject(schema, JSON.parse(text));
    return fieldsOfObject(schema, object).difference(compareObjects(schema, live, object).changed);
  } catch {
    // Not written by kubectl: says nothing.
    return new FieldSet();
  }
}

/** `"kubectl" using apps/v1`: how messages name a manager. */
function formatManager({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = `${JSON.stringify(manager)}${subresource === '' ? '' : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}

/** The message of a failed apply. */
export function conflictMessage(conflicts: readonly FieldConflict[]): string {
  const [first] = conflicts;
  if (first !== undefined && conflicts.length === 1) {
    return `Apply failed with 1 conflict: conflict with ${formatManager(first.manager)}: ${formatPath(first.path)}`;
  }
  const byManager = new Map<string, string[]>();
  for (const { manager, path } of conflicts) {
    const name = formatManager(manager);
    byManager.set(name, [...(byManager.get(name) ?? []), `- ${formatPath(path)}`]);
  }
  const parts = [...byManager].sort().map(([name, paths]) => `conflicts with ${name}:\n${paths.join('\n')}`);
  return `Apply failed with ${conflicts.length} conflicts: ${parts.join('\n')}`;
}

/** As `StatusDetails.causes` has a conflict. */
export function conflictCause({ manager, path }: FieldConflict) {
  return {
    reason: 'FieldManagerConflict',
    message: `conflict with ${formatManager(manager)}`,
    field: formatPath(path),
  };
}
