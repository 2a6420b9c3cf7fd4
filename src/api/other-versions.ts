import type { KubernetesObject } from './object.ts';
import { apiVersionOf, type Resource, type ResourceKey, resource } from './resources.ts';

/** A second version of the API in which a resource is served: the same objects, stored once, with other field names. */
export interface OtherVersion {
  readonly resource: Resource;
  /** The resource in whose version the objects are stored. */
  readonly stored: ResourceKey;
  /** Fields of the object that this version calls otherwise, by their stored names. All below them is the same in both. */
  readonly renamed: { readonly [stored: string]: string };
  /** Field selectors of this version, by their stored names. */
  readonly selectors: { readonly [served: string]: string };
}

const about = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];

/** All of them: Events, which grew out of the core group (KEP 383). */
export const otherVersions: readonly OtherVersion[] = [
  {
    resource: resource('events.k8s.io/v1', 'Event', 'events', { shortNames: ['ev'] }),
    stored: 'events',
    renamed: {
      involvedObject: 'regarding',
      message: 'note',
      reportingComponent: 'reportingController',
      source: 'deprecatedSource',
      firstTimestamp: 'deprecatedFirstTimestamp',
      lastTimestamp: 'deprecatedLastTimestamp',
      count: 'deprecatedCount',
    },
    selectors: {
      ...Object.fromEntries(about.map((field) => [`regarding.${field}`, `involvedObject.${field}`])),
      reason: 'reason',
      reportingController: 'reportingComponent',
      type: 'type',
    },
  },
];

/** The version that a resource is, if it is not the one that is stored. */
export function otherVersionOf(served: Resource): OtherVersion | undefined {
  return otherVersions.find(({ resource: other }) => other === served);
}

/** The version of that name, if it is not the one that is stored. */
function otherVersionCalled(apiVersion: string): OtherVersion | undefined {
  return otherVersions.find(({ resource: other }) => apiVersionOf(other) === apiVersion);
}

/** An object of this version as the stored version has it; a new object, which shares what is below its fields. */
export function toStoredVersion<T extends KubernetesObject>({ renamed }: OtherVersion, served: T): T {
  const back = Object.fromEntries(Object.entries(renamed).map(([from, to]) => [to, from]));
  return rename(served, back);
}

/** A stored object as this version has it; a new object, which shares what is below its fields. */
export function toServedVersion<T extends KubernetesObject>({ renamed, resource: served }: OtherVersion, stored: T): T {
  return { ...rename(stored, renamed), kind: served.kind, apiVersion: apiVersionOf(served) };
}

function rename<T extends object>(object: T, names: { readonly [name: string]: string }): T {
  return Object.fromEntries(Object.entries(object).map(([field, value]) => [names[field] ?? field, value])) as T;
}

/** The first steps of a `FieldsV1` written in another version, as the stored version would write them. */
export function storedFieldSteps(apiVersion: string, steps: { readonly [step: string]: unknown }) {
  const other = otherVersionCalled(apiVersion);
  if (other === undefined) return steps;
  const back = Object.entries(other.renamed).map(([from, to]) => [`f:${to}`, `f:${from}`]);
  return rename(steps, Object.fromEntries(back) as { [step: string]: string });
}

/** The first steps of a `FieldsV1` of the stored version, as a version of the API writes them. */
export function servedFieldSteps(apiVersion: string, steps: { [step: string]: unknown }) {
  const other = otherVersionCalled(apiVersion);
  if (other === undefined) return steps;
  const names = Object.entries(other.renamed).map(([from, to]) => [`f:${from}`, `f:${to}`]);
  return rename(steps, Object.fromEntries(names) as { [step: string]: string });
}
