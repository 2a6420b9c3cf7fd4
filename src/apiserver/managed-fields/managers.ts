import { isPlainObject } from '../../api/decode.ts';
import type { ManagedFieldsEntry } from '../../api/generated/types.ts';
import { servedFieldSteps, storedFieldSteps } from '../../api/other-versions.ts';
import { FieldSet, FieldSetError } from './field-set.ts';

/** Who writes, and how. */
export interface FieldWriter {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** `status`, `scale`; empty for the object itself. */
  readonly subresource: string;
}

/** One manager's fields; `entry` is how they were written, as long as they are still the same. */
export interface Manager extends FieldWriter {
  readonly time: string | undefined;
  readonly fields: FieldSet;
  readonly entry: ManagedFieldsEntry | undefined;
}

/** All managers of an object, by what tells them apart. */
export type Managers = Map<string, Manager>;

const maxUpdateManagers = 10;
const ancient = 'ancient-changes';

/** What tells two managers apart. For an apply it is not the version: it can be applied in another one. */
export function managerKey({ manager, operation, apiVersion, subresource }: FieldWriter): string {
  return JSON.stringify([operation, manager, subresource, operation === 'Update' ? apiVersion : '']);
}

/** @throws FieldSetError for an entry that is not as entries are */
export function readManagers(entries: readonly ManagedFieldsEntry[] | undefined): Managers {
  const managers: Managers = new Map();
  for (const entry of entries ?? []) {
    const { manager = '', operation, apiVersion = '', subresource = '', time, fieldsType, fieldsV1 } = entry;
    if (operation !== 'Apply' && operation !== 'Update')
      throw new FieldSetError(`operation must be Apply or Update, but is ${JSON.stringify(operation ?? '')}`);
    if (fieldsType !== 'FieldsV1')
      throw new FieldSetError(`fieldsType must be FieldsV1, but is ${JSON.stringify(fieldsType ?? '')}`);
    const fields = isPlainObject(fieldsV1)
      ? FieldSet.fromFieldsV1(storedFieldSteps(apiVersion, fieldsV1))
      : new FieldSet();
    const read: Manager = { manager, operation, apiVersion, subresource, time, fields, entry };
    const key = managerKey(read);
    const twin = managers.get(key);
    managers.set(key, twin === undefined ? read : withFields(twin, twin.fields.union(fields)));
  }
  return managers;
}

/** The manager with other fields, from a time that is the same unless one is given. */
export function withFields(manager: Manager, fields: FieldSet, time: string | undefined = manager.time): Manager {
  return { ...manager, fields, time, entry: undefined };
}

/** As the metadata has them: who applies first, then by age; nothing when there are none. */
export function writeManagers(managers: Managers): ManagedFieldsEntry[] | undefined {
  const kept = [...managers.values()].filter(({ fields }) => !fields.isEmpty);
  if (kept.length === 0) return undefined;
  return withoutCrowd(kept.sort(byAge)).map((manager) => manager.entry ?? writeEntry(manager));
}

function writeEntry({ manager, operation, apiVersion, subresource, time, fields }: Manager): ManagedFieldsEntry {
  return {
    manager,
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: 'FieldsV1',
    fieldsV1: servedFieldSteps(apiVersion, fields.toFieldsV1()),
    ...(subresource === '' ? {} : { subresource }),
  };
}

function byAge(a: Manager, b: Manager): number {
  return (
    compareTexts(a.operation, b.operation) ||
    compareTexts(a.time ?? '', b.time ?? '') ||
    compareTexts(a.manager, b.manager) ||
    compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource, b.subresource)
  );
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The oldest of too many that updated become one, so that objects do not grow with the number of their writers. */
function withoutCrowd(sorted: readonly Manager[]): readonly Manager[] {
  const updates = sorted.filter(({ operation }) => operation === 'Update');
  const others = sorted.filter(({ operation }) => operation !== 'Update');
  const isAncient = ({ manager }: Manager) => manager === ancient;
  const old = updates.filter(isAncient);
  const recent = updates.filter((manager) => !isAncient(manager));
  const excess = recent.length + old.length - maxUpdateManagers;
  if (excess <= 0) return sorted;
  const merged = [...old, ...recent.splice(0, excess + (old.length === 0 ? 1 : 0))];
  const [first, ...rest] = merged;
  if (first === undefined) return sorted;
  const fields = rest.reduce((all, one) => all.union(one.fields), first.fields);
  const bucket = { ...withFields(first, fields, merged.at(-1)?.time), manager: ancient, subresource: '' };
  return [...others, bucket, ...recent];
}

const maxManagerLength = 128;

/** The manager that a request speaks for: named, or else the first word of its user agent, or else `unknown`. */
export function managerName(named: string | null, userAgent: string | undefined): string {
  if (named !== null && named !== '') return named;
  const [agent = ''] = (userAgent ?? '').split('/', 1);
  return agent.replaceAll(/[^ -~]/g, '').slice(0, maxManagerLength) || 'unknown';
}
