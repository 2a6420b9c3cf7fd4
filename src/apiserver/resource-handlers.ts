import type { Pod } from '../api/generated/types.ts';
import { otherVersionOf, toServedVersion, toStoredVersion } from '../api/other-versions.ts';
import { apiVersionOf, type Resource } from '../api/resources.ts';
import { mediaType, parseBody } from './body.ts';
import { type BodyType, bodyTypeOf, decodeBody, readFieldValidation } from './decode-body.ts';
import { readDeleteOptions } from './delete-options.ts';
import { listObjects, readRevision } from './list.ts';
import { checkWatchOptions, readWatchTimeout, startsWithState } from './list-options.ts';
import { type Format, negotiate } from './negotiation.ts';
import { isPodStream, type PodStream, passToNode } from './node-api/pod-streams.ts';
import { kubernetesTime } from './object-meta.ts';
import { applyTo, parseApplied, reachableBy } from './patch/apply-patch.ts';
import { applyMediaType, applyPatch, parsePatch } from './patch/patch.ts';
import type { Deletion, Registry, RegistryEnvironment } from './registry.ts';
import type { ResourceRequest } from './request-info.ts';
import { isTrue } from './request-info.ts';
import { type ApiAnswer, type ApiRequest, formattedAnswer, jsonAnswer, streamed } from './requests.ts';
import { readSelection } from './selection.ts';
import { verbsOf } from './served.ts';
import { badRequest, deletedStatus, methodNotAllowed, StatusError } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import { openStream } from './stream-answer.ts';
import { bindPod } from './subresources/binding.ts';
import { evictionBodyType, evictPod } from './subresources/eviction.ts';
import { readScale, scaleBodyType, scaleFace, scaleOf, scaleOfStored, withReplicas } from './subresources/scale.ts';
import { viewOf } from './views.ts';
import { WatchStream } from './watch-stream.ts';
import { readDryRun, readForce, readWriter } from './write-options.ts';

const concurrentDeletes = 32;

/** One request to a resource, with all that is needed to answer it. */
interface Call {
  readonly request: ApiRequest;
  readonly info: ResourceRequest;
  readonly registry: Registry;
  readonly environment: RegistryEnvironment;
}

/** A call to an object that has a name. */
type NamedCall = Call & { readonly place: { readonly namespace: string | undefined; readonly name: string } };

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

/** What is there now; a client that has seen a newer state elsewhere waits until it is known here. */
async function get(call: NamedCall): Promise<ApiAnswer> {
  const revision = readRevision(call.request.query.get('resourceVersion'));
  if (revision !== undefined) await call.environment.cache.waitUntil(revision);
  return show(call, 200, await call.registry.get(call.place));
}

async function podStream(call: NamedCall, subresource: PodStream): Promise<typeof streamed> {
  const { request, environment, info, registry } = call;
  const isRead = info.verb === 'get' || (info.verb === 'create' && subresource !== 'log');
  if (!isRead) throw methodNotAllowed(info.resource);
  const { object } = await registry.get(call.place);
  return passToNode(subresource, { pod: object as Pod, request, environment });
}

async function list({ request, info, registry, environment }: Call): Promise<ApiAnswer | typeof streamed> {
  const { query } = request;
  const format = negotiate(request.headers.accept);
  const view = viewOf(format, { resource: info.resource, strategy: registry.strategy }, query);
  const page = await listObjects(registry, environment.cache, {
    namespace: info.namespace,
    matches: readSelection(query, info.resource, registry.strategy),
    isSelective: Boolean(query.get('labelSelector') || query.get('fieldSelector')),
    query,
  });
  return formattedAnswer(200, view.list(page.items, page.metadata), format.type);
}

async function watch({ request, info, registry, environment }: Call, query: URLSearchParams): Promise<typeof streamed> {
  const revision = readRevision(query.get('resourceVersion'));
  checkWatchOptions(query);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const { cache } = environment;
  const format = negotiate(request.headers.accept);
  const view = viewOf(format, { resource: info.resource, strategy: registry.strategy }, query);
  const matches = readSelection(query, info.resource, registry.strategy);
  const timeoutMs = readWatchTimeout(query.get('timeoutSeconds'));
  if (revision === undefined) await cache.waitUntilFresh();
  else await cache.waitUntil(revision);
  const after = startsWithState(query, revision) ? undefined : (revision ?? cache.revision);
  const answer = await openStream(request, { type: 'application/json', messages: 'text' });
  if (answer === streamed) return streamed;
  await new WatchStream(
    answer,
    { all: cache, resource: registry.cache },
    {
      view,
      namespace: info.namespace,
      matches,
      after,
      bookmarks,
      marksInitialEnd: bookmarks && isTrue(query.get('sendInitialEvents')),
      timeoutMs,
    },
  ).run();
  return streamed;
}

async function create(call: Call): Promise<ApiAnswer> {
  const { info, registry } = call;
  if (info.resource.namespaced && info.namespace === undefined) throw methodNotAllowed(info.resource);
  const { object, warnings } = await readResource(call);
  const namespace = namespaceFor(call, object);
  const dryRun = readDryRun(call.request.query, 'CreateOptions');
  const writer = readWriter(call.request, info, 'Update');
  return written(call, { code: 201, warnings, object: await registry.create(object, namespace, { dryRun, writer }) });
}

async function update(call: NamedCall, part: 'main' | 'status' | 'finalize'): Promise<ApiAnswer> {
  const { info, registry, place, request } = call;
  const { object, warnings } = await readResource(call);
  checkName(object, place.name);
  const namespace = namespaceFor(call, object);
  const dryRun = readDryRun(request.query, 'UpdateOptions');
  const writer = readWriter(request, info, 'Update');
  if (registry.strategy.createOnUpdate === true && part === 'main' && !object.metadata.resourceVersion) {
    const key = info.resource.namespaced ? `${namespace}/${place.name}` : place.name;
    if (registry.cache.get(key) === undefined) {
      return written(call, {
        code: 201,
        warnings,
        object: await registry.create(object, namespace, { dryRun, writer }),
      });
    }
  }
  // Each try gets its own copy, because what is stored is made of it in place.
  const stored = await registry.update(place, () => structuredClone(object), { dryRun, part, writer });
  return written(call, { code: 200, warnings, object: stored, part });
}

async function patch(call: NamedCall, part: 'main' | 'status'): Promise<ApiAnswer> {
  const { info, registry, place, request } = call;
  if (isApply(call)) {
    const { object, warnings } = await parseApplied(
      request.body,
      bodyTypeOf(info.resource),
      readFieldValidation(request),
    );
    const applied = asStored(info.resource, object);
    // What is applied may leave its name to the path.
    applied.metadata.name ||= place.name;
    checkName(applied, place.name);
    namespaceFor(call, applied);
    const { code, stored } = await apply(call, applied, part);
    return written(call, { code, warnings, object: stored, part });
  }
  const writer = readWriter(request, info, 'Update');
  const parsed = parsePatch(request.body, request.headers['content-type']);
  const validation = readFieldValidation(request);
  const dryRun = readDryRun(request.query, 'PatchOptions');
  const warnings = new Set<string>();
  const type = bodyTypeOf(info.resource);
  const stored = await registry.update(
    place,
    (current) => {
      const served = asServed(info.resource, current.object);
      const patched = applyPatch(parsed, served, { type, validation, warn: (w) => warnings.add(w) });
      const object = asStored(info.resource, patched);
      checkName(object, place.name);
      namespaceFor(call, object);
      return object;
    },
    { dryRun, part, writer },
  );
  return written(call, { code: 200, warnings: [...warnings], object: stored, part });
}

function isApply({ request }: Call): boolean {
  return mediaType(request.headers['content-type']) === applyMediaType;
}

/** Server-side apply: changes the object, or creates it. */
async function apply(
  call: NamedCall,
  sent: ApiObject,
  part: 'main' | 'status',
): Promise<{ code: number; stored: StoredObject }> {
  const { info, registry, place, request } = call;
  const { resource } = registry;
  const writer = readWriter(request, info, 'Apply');
  const options = { dryRun: readDryRun(request.query, 'PatchOptions'), writer };
  const hasStatus = resource.subresources.some((subresource) => subresource === 'status');
  const context = { schema: resource.schema, writer, hasStatus, now: kubernetesTime() };
  const change = {
    applied: reachableBy(sent, { ...context, statusKeeps: registry.strategy.statusKeeps }),
    force: readForce(request.query),
  };
  const update = () =>
    registry.update(place, ({ object }) => applyTo(resource, context, { ...change, live: object }), {
      ...options,
      part,
    });
  try {
    return { code: 200, stored: await update() };
  } catch (error) {
    if (!isStatus(error, 404) || info.subresource !== undefined) throw error;
  }
  try {
    const object = applyTo(resource, context, { ...change, live: undefined });
    return { code: 201, stored: await registry.create(object, place.namespace, options) };
  } catch (error) {
    if (!(error instanceof StatusError) || error.status.reason !== 'AlreadyExists') throw error;
    return { code: 200, stored: await update() };
  }
}

function isStatus(error: unknown, code: number): boolean {
  return error instanceof StatusError && error.status.code === code;
}

/** A Scale that is applied is its workload, of which its one field is applied. */
async function applyScale(call: NamedCall): Promise<ApiAnswer> {
  const { info, place, request } = call;
  const { object } = await parseApplied(request.body, scaleBodyType, readFieldValidation(request));
  const scale = readScale(object, place.name);
  const metadata = { ...(place.namespace === undefined ? {} : { namespace: place.namespace }), name: place.name };
  const { kind } = info.resource;
  const applied = { apiVersion: apiVersionOf(info.resource), kind, metadata, spec: { ...scale.spec } };
  const { stored } = await apply(call, applied, 'main');
  return showScale(call, stored);
}

async function changeScale(call: NamedCall): Promise<ApiAnswer> {
  const { registry, place, request, info } = call;
  if (info.verb === 'patch' && isApply(call)) return applyScale(call);
  const writer = readWriter(request, info, 'Update');
  const dryRun = readDryRun(request.query, 'UpdateOptions');
  const validation = readFieldValidation(request);
  const isPatch = info.verb === 'patch';
  const parsed = isPatch ? parsePatch(request.body, request.headers['content-type']) : undefined;
  const sent = isPatch ? undefined : (await readObject(call, scaleBodyType)).object;
  const stored = await registry.update(
    place,
    (current) => {
      const scale = scaleOf(current.object);
      const next =
        parsed === undefined
          ? (sent ?? scale)
          : applyPatch(parsed, scale, { type: scaleBodyType, validation, warn: () => {} });
      return withReplicas(current.object, readScale(next, place.name));
    },
    { dryRun, part: 'main', writer },
  );
  return showScale(call, stored);
}

async function remove(call: NamedCall): Promise<ApiAnswer> {
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

async function deleteCollection(call: Call): Promise<ApiAnswer> {
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

function showScale(call: NamedCall, workload: StoredObject): Promise<ApiAnswer> {
  return show({ ...call, face: scaleFace }, 200, scaleOfStored(workload));
}

interface Written {
  readonly code: number;
  readonly object: StoredObject;
  /** What there was to say of the body. */
  readonly warnings?: readonly string[];
  readonly part?: 'main' | 'status' | 'finalize';
}

/** Shows what was written, with what there is to say of it. */
function written(call: Call, { code, object, warnings = [], part = 'main' }: Written): Promise<ApiAnswer> {
  const said = part === 'main' ? call.registry.strategy.warnings?.(object.object) : undefined;
  return show({ ...call, warnings: [...warnings, ...(said ?? [])] }, code, object);
}

async function show(
  { request, info, registry, warnings = [], face }: Call & { warnings?: readonly string[]; face?: typeof scaleFace },
  code: number,
  object: StoredObject,
): Promise<ApiAnswer> {
  const format: Format = negotiate(request.headers.accept);
  const view = viewOf(format, face ?? { resource: info.resource, strategy: registry.strategy }, request.query);
  return { ...(await formattedAnswer(code, view.one(object, object.revision), format.type)), warnings };
}

function parsedBody({ request }: Call, schemaType: string) {
  return parseBody(request.body, request.headers['content-type'], schemaType);
}

async function readObject(call: Call, type: BodyType) {
  const validation = readFieldValidation(call.request);
  return decodeBody(await parsedBody(call, type.schema), type, validation);
}

/** The object sent, in the version that is stored. */
async function readResource(call: Call) {
  const { object, warnings } = await readObject(call, bodyTypeOf(call.info.resource));
  return { object: asStored(call.info.resource, object), warnings };
}

function asStored(resource: Resource, object: ApiObject): ApiObject {
  const other = otherVersionOf(resource);
  return other === undefined ? object : toStoredVersion(other, object);
}

function asServed(resource: Resource, object: ApiObject): ApiObject {
  const other = otherVersionOf(resource);
  return other === undefined ? object : toServedVersion(other, object);
}

function checkName(object: ApiObject, name: string): void {
  if (!object.metadata.name)
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  if (object.metadata.name !== name) {
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`);
  }
}

/** The namespace of the request's path, which the object's own must not contradict. */
function namespaceFor({ info }: Call, object: ApiObject): string | undefined {
  const { namespace = '' } = object.metadata;
  if (!info.resource.namespaced) {
    if (namespace !== '') delete object.metadata.namespace;
    return undefined;
  }
  const wanted = info.namespace ?? namespace;
  if (wanted === '') throw badRequest('an empty namespace may not be set during creation');
  if (namespace !== '' && namespace !== wanted) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  object.metadata.namespace = wanted;
  return wanted;
}
