import { mediaType } from './body.ts';
import { bodyTypeOf, readFieldValidation } from './decode-body.ts';
import { kubernetesTime } from './object-meta.ts';
import { applyTo, parseApplied, reachableBy } from './patch/apply-patch.ts';
import { applyMediaType, applyPatch, parsePatch } from './patch/patch.ts';
import type { ApiAnswer } from './requests.ts';
import {
  asServed,
  asStored,
  type Call,
  checkName,
  isStatus,
  type NamedCall,
  namespaceFor,
  readResource,
  show,
} from './resource-call.ts';
import { methodNotAllowed, StatusError } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import { readDryRun, readForce, readWriter } from './write-options.ts';

/** Creates what was sent. */
export async function create(call: Call): Promise<ApiAnswer> {
  const { info, registry } = call;
  if (info.resource.namespaced && info.namespace === undefined) throw methodNotAllowed(info.resource);
  const { object, warnings } = await readResource(call);
  const namespace = namespaceFor(call, object);
  const dryRun = readDryRun(call.request.query, 'CreateOptions');
  const writer = readWriter(call.request, info, 'Update');
  return written(call, { code: 201, warnings, object: await registry.create(object, namespace, { dryRun, writer }) });
}

/** Puts what was sent in the place of what is there, or of a part of it. */
export async function update(call: NamedCall, part: 'main' | 'status' | 'finalize'): Promise<ApiAnswer> {
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

/** Changes what is there as a patch of whichever type says. */
export async function patch(call: NamedCall, part: 'main' | 'status'): Promise<ApiAnswer> {
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

/** Whether a patch is a server-side apply. */
export function isApply({ request }: Call): boolean {
  return mediaType(request.headers['content-type']) === applyMediaType;
}

/** Server-side apply: changes the object, or creates it. */
export async function apply(
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
