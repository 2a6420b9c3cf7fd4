import { isDeepStrictEqual } from 'node:util';
import type { OwnerReference } from '../../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../../api/object.ts';
import { apiVersionOf, type ResourceKey, resources } from '../../api/resources.ts';
import { type ApiClient, ApiError, type ObjectPlace } from '../../client/types.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { createOwnerGraph, type OwnerGraph } from './graph.ts';
import { type OwnerState, planDependent, planOwner } from './plan.ts';

/** Events own nothing and are owned by nobody; they are many. */
const watched = (Object.keys(resources) as ResourceKey[]).filter((resource) => resource !== 'events');

/**
 * Deletes what its owners leave behind, and holds owners up that are to go after their dependents. Keys are
 * `resource namespace/name`.
 */
export function garbageController({ client, caches }: ControllerContext): Controller {
  const graph = createOwnerGraph(caches);
  return {
    name: 'garbagecollector',
    concurrency: 16,
    watch(enqueue) {
      for (const resource of watched) {
        caches.informer(resource).onChange(({ key: place, previous, current }) => {
          if (previous !== undefined && current !== undefined && isDeepStrictEqual(facts(previous), facts(current)))
            return;
          const key = `${resource} ${place}`;
          graph.note(key, previous, current);
          for (const each of concerned(graph, { key, previous, current })) enqueue(each);
        });
      }
    },
    async reconcile(key, round) {
      const subject = graph.vertex(key);
      if (subject === undefined) return;
      const { uid, namespace, ownerReferences = [] } = subject.object.metadata;
      const dependents = graph.dependentKeys(uid).flatMap((dependent) => graph.vertex(dependent) ?? []);
      const states = new Map<string, OwnerState>();
      for (const owner of ownerReferences) {
        const at = ownerPlace(owner, namespace);
        if (at === undefined) continue;
        states.set(owner.uid, graph.stateOf(owner.uid, at.key) ?? (await askForOwner(client, owner, at)));
        const actual = graph.keyOf(owner.uid);
        if (actual !== undefined && actual !== at.key) round.record(subject.object, misplaced(owner, namespace));
      }
      await round.apply([
        ...planDependent(subject, (owner) => states.get(owner.uid) ?? 'there', dependents),
        ...planOwner(subject, dependents),
      ]);
    },
  };
}

interface VertexChange {
  readonly key: string;
  readonly previous: Stored<KubernetesObject> | undefined;
  readonly current: Stored<KubernetesObject> | undefined;
}

/** Whom a change concerns: the object itself, those who lose an owner by it, and owners that waited for it to go. */
function concerned(graph: OwnerGraph, { key, previous, current }: VertexChange): string[] {
  const leaving = current?.metadata.deletionTimestamp !== undefined;
  const owned = (current?.metadata.ownerReferences ?? []).length > 0;
  const uid = (current ?? previous)?.metadata.uid ?? '';
  return [
    ...(owned || leaving ? [key] : []),
    ...(current === undefined || leaving ? graph.dependentKeys(uid) : []),
    ...(previous?.metadata.ownerReferences ?? []).flatMap((owner) => graph.keyOf(owner.uid) ?? []),
  ];
}

/** What of an object's metadata decides about garbage. */
function facts({ metadata }: Stored<KubernetesObject>): unknown[] {
  return [metadata.uid, metadata.ownerReferences, metadata.deletionTimestamp !== undefined, metadata.finalizers];
}

/** Where an owner is looked for, and its key in the graph. */
interface OwnerPlace {
  readonly resource: ResourceKey;
  readonly place: ObjectPlace;
  readonly key: string;
}

/**
 * Where the owner of an object in a namespace has to be: there, or in none. Nothing for a kind that is not known here,
 * and for a namespaced owner of an object in no namespace: of these nobody can say that they are gone.
 */
function ownerPlace({ kind, apiVersion, name }: OwnerReference, namespace: string | undefined): OwnerPlace | undefined {
  const resource = watched.find(
    (each) => resources[each].kind === kind && apiVersionOf(resources[each]) === apiVersion,
  );
  if (resource === undefined) return undefined;
  if (!resources[resource].namespaced) return { resource, place: { name }, key: `${resource} ${name}` };
  if (namespace === undefined) return undefined;
  return { resource, place: { namespace, name }, key: `${resource} ${namespace}/${name}` };
}

/** What is said of an owner that is, but not where it could own the object. Worded as Kubernetes words it. */
function misplaced({ kind, apiVersion, name, uid }: OwnerReference, namespace = '') {
  const reference = `[${apiVersion}/${kind}, namespace: ${namespace}, name: ${name}, uid: ${uid}]`;
  const message = `ownerRef ${reference} does not exist in namespace ${JSON.stringify(namespace)}`;
  return { type: 'Warning', reason: 'OwnerRefInvalidNamespace', message } as const;
}

/** Asks the server for an owner that the caches do not show where it should be: they may be behind. */
async function askForOwner(
  client: ApiClient,
  owner: OwnerReference,
  { resource, place }: OwnerPlace,
): Promise<OwnerState> {
  try {
    const found = await client.get(resource, place);
    return found.metadata.uid === owner.uid ? 'there' : 'gone';
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return 'gone';
    throw error;
  }
}
