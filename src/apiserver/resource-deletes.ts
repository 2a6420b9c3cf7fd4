import { readDeleteOptions } from './delete-options.ts';
import { listObjects } from './list.ts';
import { negotiate } from './negotiation.ts';
import type { Deletion } from './registry.ts';
import { type ApiAnswer, formattedAnswer, jsonAnswer } from './requests.ts';
import { type Call, isStatus, type NamedCall, show } from './resource-call.ts';
import { readSelection } from './selection.ts';
import { verbsOf } from './served.ts';
import { deletedStatus, methodNotAllowed } from './status.ts';
import type { StoredObject } from './stored-object.ts';
import { viewOf } from './views.ts';

const concurrentDeletes = 32;

/** Deletes an object, or says that it is to go. */
export async function remove(call: NamedCall): Promise<ApiAnswer> {
  const { registry, place, info } = call;
  const options = await readDeleteOptions(call.request);
  const { object, gone } = await registry.delete(place, options);
  const isForeground = options.propagationPolicy === 'Foreground' || options.orphanDependents === false;
  const code = !gone && isForeground ? 202 : 200;
  if (gone && registry.strategy.returnsDeleted !== true) {
    return jsonAnswer(200, deletedStatus(info.resource, place.name, object.object.metadata.uid));
  }
  return show(call, code, object);
}

/** Deletes all that the selectors choose. */
export async function deleteCollection(call: Call): Promise<ApiAnswer> {
  const { request, info, registry, environment } = call;
  const isEverywhere = info.resource.namespaced && info.namespace === undefined;
  if (isEverywhere || !verbsOf(info.resource).includes('deletecollection')) throw methodNotAllowed(info.resource);
  const options = await readDeleteOptions(call.request);
  const matches = readSelection(request.query, info.resource, registry.strategy);
  const page = await listObjects(registry, environment.cache, {
    namespace: info.namespace,
    matches,
    isSelective: true,
    query: request.query,
  });
  const deleted: StoredObject[] = [];
  for (let i = 0; i < page.items.length; i += concurrentDeletes) {
    const group = page.items.slice(i, i + concurrentDeletes).map(({ object }) => {
      const { namespace, name } = object.metadata;
      return registry.delete({ namespace, name }, options).catch(ignoreMissing);
    });
    for (const deletion of await Promise.all(group)) if (deletion !== undefined) deleted.push(deletion.object);
  }
  const format = negotiate(request.headers.accept);
  const view = viewOf(format, { resource: info.resource, strategy: registry.strategy }, request.query);
  return formattedAnswer(200, view.list(deleted, { resourceVersion: String(environment.cache.revision) }), format.type);
}

/** What another one deleted meanwhile is as it should be. */
function ignoreMissing(error: unknown): Deletion | undefined {
  if (isStatus(error, 404)) return undefined;
  throw error;
}
