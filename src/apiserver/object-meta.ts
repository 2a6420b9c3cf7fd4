import { randomInt, randomUUID } from 'node:crypto';
import type { ObjectMeta } from '../api/generated/types.ts';
import type { ApiObject } from './stored-object.ts';

// Without vowels and what looks like one, so that no word comes about.
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';
const suffixLength = 5;
const maxGeneratedPrefix = 63 - suffixLength;

let second = { at: Number.NaN, text: '' };

/** A time, by default now, as Kubernetes writes times: whole seconds, UTC. */
export function kubernetesTime(at: Date | number = Date.now()): string {
  const seconds = Math.floor(Number(at) / 1_000);
  // Thousands of objects may be made in one second.
  if (seconds !== second.at) second = { at: seconds, text: `${new Date(seconds * 1_000).toISOString().slice(0, 19)}Z` };
  return second.text;
}

/** A name from `generateName`: the prefix and five random characters. */
export function generateName(prefix: string): string {
  let name = prefix.slice(0, maxGeneratedPrefix);
  for (let i = 0; i < suffixLength; i++) name += suffixAlphabet[randomInt(suffixAlphabet.length)];
  return name;
}

/** The new object with the metadata that the server gives it. */
export function withNewMetadata(object: ApiObject, namespace: string | undefined, counted: boolean): ApiObject {
  const metadata = withoutServerFields(object.metadata);
  metadata.name ||= metadata.generateName ? generateName(metadata.generateName) : '';
  if (namespace !== undefined) metadata.namespace = namespace;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = kubernetesTime();
  if (counted) metadata.generation = 1;
  return { ...object, metadata };
}

/** What of a new object's metadata is not the client's to say. */
const serverFields: ReadonlySet<string> = new Set([
  'resourceVersion',
  'selfLink',
  'managedFields',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
]);

/** A copy, which shares what is below. A loop, because the language's own way of leaving out is slow. */
function withoutServerFields(metadata: ObjectMeta): ObjectMeta {
  const given: { [field: string]: unknown } = {};
  for (const field in metadata) if (!serverFields.has(field)) given[field] = metadata[field as keyof ObjectMeta];
  return given;
}

/** An update's object with the metadata that no client may change, and what else is `kept`, taken from the stored one. */
export function withKeptMetadata(next: ApiObject, old: ApiObject, kept: readonly (keyof ObjectMeta)[] = []): ApiObject {
  const { selfLink: _, managedFields: __, ...given } = next.metadata;
  const { generation: ___, deletionTimestamp: ____, deletionGracePeriodSeconds: _____, ...metadata } = given;
  const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = old.metadata;
  return {
    ...next,
    metadata: {
      ...withFieldsOf(old.metadata, metadata, kept),
      // What a client leaves out it does not mean to change.
      ...(metadata.uid === undefined && uid !== undefined ? { uid } : {}),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(generation === undefined ? {} : { generation }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    },
  };
}

function withFieldsOf(old: ObjectMeta, next: ObjectMeta, fields: readonly (keyof ObjectMeta)[]): ObjectMeta {
  const others = Object.entries(next).filter(([field]) => !fields.some((kept) => kept === field));
  const kept = fields.flatMap((field) => (old[field] === undefined ? [] : [[field, structuredClone(old[field])]]));
  return Object.fromEntries([...others, ...kept]);
}
