import { randomInt, randomUUID } from 'node:crypto';
import type { ApiObject } from './stored-object.ts';

// Without vowels and what looks like one, so that no word comes about.
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';
const suffixLength = 5;
const maxGeneratedPrefix = 63 - suffixLength;

/** Now, as Kubernetes writes times: whole seconds, UTC. */
export function kubernetesTime(at = new Date()): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}

/** A name from `generateName`: the prefix and five random characters. */
export function generateName(prefix: string): string {
  let name = prefix.slice(0, maxGeneratedPrefix);
  for (let i = 0; i < suffixLength; i++) name += suffixAlphabet[randomInt(suffixAlphabet.length)];
  return name;
}

/** The new object with the metadata that the server gives it. */
export function withNewMetadata(object: ApiObject, namespace: string | undefined, counted: boolean): ApiObject {
  const { resourceVersion: _, selfLink: __, managedFields: ___, ...given } = object.metadata;
  const { deletionTimestamp: ____, deletionGracePeriodSeconds: _____, generation: ______, ...metadata } = given;
  const name = metadata.name || (metadata.generateName ? generateName(metadata.generateName) : '');
  return {
    ...object,
    metadata: {
      ...metadata,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: randomUUID(),
      creationTimestamp: kubernetesTime(),
      ...(counted ? { generation: 1 } : {}),
    },
  };
}

/** An update's object with the metadata that no client may change taken from the stored one. */
export function withKeptMetadata(next: ApiObject, old: ApiObject): ApiObject {
  const { selfLink: _, managedFields: __, ...given } = next.metadata;
  const { generation: ___, deletionTimestamp: ____, deletionGracePeriodSeconds: _____, ...metadata } = given;
  const { uid, creationTimestamp, generation, deletionTimestamp, deletionGracePeriodSeconds } = old.metadata;
  return {
    ...next,
    metadata: {
      ...metadata,
      // What a client leaves out it does not mean to change.
      ...(metadata.uid === undefined && uid !== undefined ? { uid } : {}),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(generation === undefined ? {} : { generation }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    },
  };
}
