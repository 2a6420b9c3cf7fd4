import type { ObjectMeta } from './generated/types.ts';

/** Any Kubernetes object as it stands on the wire. */
export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
}

/** An object that the API server has stored: it has a name, a uid and a resource version. */
export type Stored<T extends KubernetesObject> = T & {
  metadata: ObjectMeta & { name: string; uid: string; resourceVersion: string };
};

/** `namespace/name`, or the name alone for cluster-scoped objects: the key of caches and logs. */
export function objectKey(object: KubernetesObject): string {
  const { namespace, name = '' } = object.metadata ?? {};
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}
