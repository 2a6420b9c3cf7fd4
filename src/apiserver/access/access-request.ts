import type { ResourceRequest } from '../request-info.ts';
import type { ApiRequest } from '../requests.ts';
import type { User } from '../user.ts';
import type { Attributes } from './attributes.ts';
import type { NodeRequest } from './node-authorizer.ts';

/** What authorization asks about a request. */
export interface AccessRequest extends NodeRequest {
  readonly user: User;
  readonly attributes: Attributes;
}

const pathVerbs: { readonly [method: string]: string } = { POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' };

/** A request as authorization sees it. */
export function accessRequestOf(
  user: User,
  request: Pick<ApiRequest, 'method' | 'path' | 'query'>,
  info: ResourceRequest | undefined,
): AccessRequest {
  if (info === undefined) {
    const attributes = { verb: pathVerbs[request.method] ?? request.method.toLowerCase(), path: request.path };
    return { user, attributes, fields: new Map() };
  }
  const { resource, verb = 'unknown', subresource = '', name } = info;
  const isCollection = verb === 'list' || verb === 'watch' || verb === 'deletecollection';
  const fields = isCollection ? selectedFields(request.query.get('fieldSelector')) : new Map<string, string>();
  // A namespace lies in itself, as far as rights go.
  const namespace = resource.kind === 'Namespace' ? name : info.namespace;
  const attributes = {
    verb,
    group: resource.group,
    resource: resource.plural,
    subresource,
    namespace: namespace ?? '',
    name: name ?? fields.get('metadata.name') ?? '',
  };
  return { user, attributes, fields };
}

/** Values that a field selector fixes. What cannot be read fixes nothing, and is refused where it is used. */
function selectedFields(selector: string | null): Map<string, string> {
  const fields = new Map<string, string>();
  for (const term of (selector ?? '').split(',')) {
    const [, field, value] = /^\s*([^=!\s]+)\s*==?\s*([^=!\s]*)\s*$/.exec(term) ?? [];
    if (field !== undefined && value !== undefined) fields.set(field, value);
  }
  return fields;
}
