import { otherVersionOf, toServedVersion, toStoredVersion } from '../api/other-versions.ts';
import type { Resource } from '../api/resources.ts';
import { parseBody } from './body.ts';
import { type BodyType, bodyTypeOf, decodeBody, readFieldValidation } from './decode-body.ts';
import { type Format, negotiate } from './negotiation.ts';
import type { Registry, RegistryEnvironment } from './registry.ts';
import type { ResourceRequest } from './request-info.ts';
import { type ApiAnswer, type ApiRequest, formattedAnswer } from './requests.ts';
import { badRequest, StatusError } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import type { scaleFace } from './subresources/scale.ts';
import { viewOf } from './views.ts';

/** One request to a resource, with all that is needed to answer it. */
export interface Call {
  readonly request: ApiRequest;
  readonly info: ResourceRequest;
  readonly registry: Registry;
  readonly environment: RegistryEnvironment;
}

/** A call to an object that has a name. */
export type NamedCall = Call & { readonly place: { readonly namespace: string | undefined; readonly name: string } };

/** The object as the client wants to see it. */
export async function show(
  { request, info, registry, warnings = [], face }: Call & { warnings?: readonly string[]; face?: typeof scaleFace },
  code: number,
  object: StoredObject,
): Promise<ApiAnswer> {
  const format: Format = negotiate(request.headers.accept);
  const view = viewOf(format, face ?? { resource: info.resource, strategy: registry.strategy }, request.query);
  return { ...(await formattedAnswer(code, view.one(object, object.revision), format.type)), warnings };
}

/** The content of the body, of whichever type of message. */
export function parsedBody({ request }: Call, schemaType: string) {
  return parseBody(request.body, request.headers['content-type'], schemaType);
}

/** The object sent, and what there is to say of its fields. */
export async function readObject(call: Call, type: BodyType) {
  const validation = readFieldValidation(call.request);
  return decodeBody(await parsedBody(call, type.schema), type, validation);
}

/** The object sent, in the version that is stored. */
export async function readResource(call: Call) {
  const { object, warnings } = await readObject(call, bodyTypeOf(call.info.resource));
  return { object: asStored(call.info.resource, object), warnings };
}

/** The object in the version that is stored. */
export function asStored(resource: Resource, object: ApiObject): ApiObject {
  const other = otherVersionOf(resource);
  return other === undefined ? object : toStoredVersion(other, object);
}

/** The object in the version that is asked for. */
export function asServed(resource: Resource, object: ApiObject): ApiObject {
  const other = otherVersionOf(resource);
  return other === undefined ? object : toServedVersion(other, object);
}

/** @throws StatusError when the object names itself otherwise than the path does */
export function checkName(object: ApiObject, name: string): void {
  if (!object.metadata.name)
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  if (object.metadata.name !== name) {
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`);
  }
}

/** The namespace of the request's path, which the object's own must not contradict. */
export function namespaceFor({ info }: Call, object: ApiObject): string | undefined {
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

/** Whether a request was refused with this code. */
export function isStatus(error: unknown, code: number): boolean {
  return error instanceof StatusError && error.status.code === code;
}
