import type { Pod } from '../api/generated/types.ts';
import { negotiate } from './negotiation.ts';
import { isPodStream, type PodStream, passToNode } from './node-api/pod-streams.ts';
import type { ResourceRequest } from './request-info.ts';
import type { ApiAnswer, streamed } from './requests.ts';
import { type Call, type NamedCall, parsedBody, readObject } from './resource-call.ts';
import { deleteCollection, remove } from './resource-deletes.ts';
import { get, list, watch } from './resource-reads.ts';
import { changeScale, showScale } from './resource-scale.ts';
import { create, patch, update } from './resource-writes.ts';
import { methodNotAllowed } from './status.ts';
import { bindPod } from './subresources/binding.ts';
import { evictionBodyType, evictPod } from './subresources/eviction.ts';
import { readDryRun } from './write-options.ts';

const writes: ReadonlySet<ResourceRequest['verb']> = new Set([
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
]);

/** Whether a Pod, or its node's agent, answers requests to a subresource, in what form it likes. */
function isForOthers(subresource = ''): boolean {
  return subresource === 'proxy' || isPodStream(subresource);
}

/**
 * Answers requests to resources: the same code for all of them.
 * @throws StatusError
 */
export async function handleResource(call: Call): Promise<ApiAnswer | typeof streamed> {
  const { info } = call;
  const { namespace, name } = info;
  // What could not be shown is not done either.
  if (writes.has(info.verb) && !isForOthers(info.subresource)) negotiate(call.request.headers.accept);
  if (name === undefined) {
    if (info.verb === 'list') return list(call);
    if (info.verb === 'watch') return watch(call, call.request.query);
    if (info.verb === 'create') return create(call);
    if (info.verb === 'deletecollection') return deleteCollection(call);
    throw methodNotAllowed(info.resource);
  }
  const named: NamedCall = { ...call, place: { namespace, name } };
  if (info.subresource === undefined) return handleObject(named);
  if (info.subresource === 'proxy') {
    // Few Services are ever reached this way.
    const { proxyRequest } = await import('./proxying/proxy.ts');
    return proxyRequest(named);
  }
  return handleSubresource(named, info.subresource);
}

async function handleObject(call: NamedCall): Promise<ApiAnswer | typeof streamed> {
  switch (call.info.verb) {
    case 'get':
      return get(call);
    case 'watch': {
      const query = new URLSearchParams(call.request.query);
      const selector = query.get('fieldSelector');
      query.set('fieldSelector', `${selector ? `${selector},` : ''}metadata.name=${call.place.name}`);
      return watch(call, query);
    }
    case 'update':
      return update(call, 'main');
    case 'patch':
      return patch(call, 'main');
    case 'delete':
      return remove(call);
    default:
      throw methodNotAllowed(call.info.resource);
  }
}

async function handleSubresource(call: NamedCall, subresource: string): Promise<ApiAnswer | typeof streamed> {
  const { verb, resource } = call.info;
  if (isPodStream(subresource)) return podStream(call, subresource);
  if (subresource === 'binding' && verb === 'create')
    return bindPod(call.registry, {
      place: call.place,
      body: await parsedBody(call, 'Binding'),
      dryRun: readDryRun(call.request.query, 'CreateOptions'),
    });
  if (subresource === 'eviction' && verb === 'create') {
    const { object } = await readObject(call, evictionBodyType);
    const dryRun = readDryRun(call.request.query, 'CreateOptions');
    return evictPod(call.registry, { place: call.place, eviction: object, dryRun });
  }
  if (subresource === 'finalize' && verb === 'update') return update(call, 'finalize');
  if (subresource === 'status') {
    if (verb === 'get') return get(call);
    if (verb === 'update') return update(call, 'status');
    if (verb === 'patch') return patch(call, 'status');
  }
  if (subresource === 'scale') {
    if (verb === 'get') return showScale(call, await call.registry.get(call.place));
    if (verb === 'update' || verb === 'patch') return changeScale(call);
  }
  throw methodNotAllowed(resource);
}

async function podStream(call: NamedCall, subresource: PodStream): Promise<typeof streamed> {
  const { request, environment, info, registry } = call;
  const isRead = info.verb === 'get' || (info.verb === 'create' && subresource !== 'log');
  if (!isRead) throw methodNotAllowed(info.resource);
  const { object } = await registry.get(call.place);
  return passToNode(subresource, { pod: object as Pod, request, environment });
}
