import type { KubernetesObject, Stored } from '../api/object.ts';
import { type ResourceKey, type ResourceTypes, resourcePath, resources } from '../api/resources.ts';
import { type ApiClient, ApiError, type ObjectPlace, type Patch } from '../client/types.ts';

type CreateWrite = {
  [K in ResourceKey]: { readonly verb: 'create'; readonly resource: K; readonly object: ResourceTypes[K] };
};
type UpdateWrite = {
  [K in ResourceKey]: {
    readonly verb: 'update';
    readonly resource: K;
    readonly object: ResourceTypes[K];
    readonly subresource?: 'status' | 'finalize';
  };
};

/** A change of the API that a controller wants: a value, so that plans can be compared and printed. */
export type Write =
  | CreateWrite[ResourceKey]
  | UpdateWrite[ResourceKey]
  | { readonly verb: 'patch'; readonly resource: ResourceKey; readonly place: ObjectPlace; readonly patch: Patch }
  | {
      readonly verb: 'delete';
      readonly resource: ResourceKey;
      readonly place: ObjectPlace;
      /** Only the object with this uid, not a successor under its name. */
      readonly uid: string;
      readonly gracePeriodSeconds?: number;
      readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
    }
  /** Gives a Pod to a node. */
  | { readonly verb: 'bind'; readonly place: ObjectPlace; readonly uid: string; readonly node: string };

/** A write to delete one object. */
export function deletion(
  resource: ResourceKey,
  { metadata }: Stored<KubernetesObject>,
  options: { readonly gracePeriodSeconds?: number; readonly propagationPolicy?: 'Background' | 'Foreground' } = {},
): Write {
  const { namespace, name, uid } = metadata;
  return { verb: 'delete', resource, place: { namespace, name }, uid, ...options };
}

/**
 * Sends one write. What is to be deleted and is gone already counts as done.
 * @returns the object as stored; nothing for deletions and bindings
 */
export async function send(client: ApiClient, write: Write): Promise<Stored<KubernetesObject> | undefined> {
  switch (write.verb) {
    case 'create':
      return client.create(write.resource, write.object);
    case 'update':
      return client.update(
        write.resource,
        write.object,
        write.subresource === undefined ? {} : { subresource: write.subresource },
      );
    case 'patch':
      return client.patch(write.resource, write.place, write.patch);
    case 'delete':
      return ifThere(() => client.delete(write.resource, write.place, deleteOptions(write)));
    case 'bind':
      await client.raw({
        method: 'POST',
        path: resourcePath(resources.pods, { ...write.place, subresource: 'binding' }),
        body: {
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { ...write.place, uid: write.uid },
          target: { apiVersion: 'v1', kind: 'Node', name: write.node },
        },
      });
      return undefined;
  }
}

function deleteOptions({ uid, gracePeriodSeconds, propagationPolicy }: Extract<Write, { verb: 'delete' }>) {
  return {
    uid,
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
  };
}

/** A deletion by uid conflicts when another object has taken the name: the one that was meant is gone then, too. */
async function ifThere(remove: () => Promise<void>): Promise<undefined> {
  try {
    await remove();
  } catch (error) {
    if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
  }
}
