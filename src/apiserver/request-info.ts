import { otherVersions } from '../api/other-versions.ts';
import {
  apiVersionOf,
  type Resource,
  type ResourceKey,
  type ReviewKey,
  resources,
  reviews,
  type Subresource,
} from '../api/resources.ts';

/** What a request to a resource is about, as its path and method say. */
export interface ResourceRequest {
  readonly key: ResourceKey | ReviewKey;
  /** The version of the resource that was asked for, which need not be the one that is stored under the key. */
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: Subresource | undefined;
  /** As authorization and metrics call it. */
  readonly verb: Verb | undefined;
  /** What the path says below the subresource `proxy`, as it came: empty, or from a slash on. */
  readonly below?: string;
}

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

const served: { readonly [key in ResourceKey | ReviewKey]: Resource } = { ...resources, ...reviews };
const byPath = new Map<string, Pick<ResourceRequest, 'key' | 'resource'>>(
  [
    ...(Object.keys(served) as (ResourceKey | ReviewKey)[]).map((key) => ({ key, resource: served[key] })),
    ...otherVersions.map(({ stored, resource }) => ({ key: stored, resource })),
  ].map((one) => [`${apiVersionOf(one.resource)}/${one.resource.plural}`, one]),
);

export function isReview(key: ResourceKey | ReviewKey): key is ReviewKey {
  return key in reviews;
}

/** Reads the path of a request below `/api` or `/apis`; nothing when no served resource is there. */
export function readResourceRequest(method: string, path: string, query: URLSearchParams): ResourceRequest | undefined {
  const [, proxied, below = ''] = proxiedPath.exec(path) ?? [];
  // Everything else that it says is for the one behind the proxy.
  if (proxied !== undefined) return withBelow(readParts(method, proxied, new URLSearchParams()), below);
  const info = readParts(method, path, query);
  // Where an escape hides the word, nobody could say what is below it.
  return info?.subresource === 'proxy' ? undefined : info;
}

/** A path as far as the proxy of an object in a namespace, and what comes below. */
export const proxiedPath = /^(\/api\/[^/]+\/namespaces\/[^/]+\/[^/]+\/[^/]+\/proxy)(\/.*)?$/;

function withBelow(info: ResourceRequest | undefined, below: string): ResourceRequest | undefined {
  return info === undefined ? undefined : { ...info, below };
}

function readParts(method: string, path: string, query: URLSearchParams): ResourceRequest | undefined {
  const parts = decodeParts(path);
  if (parts === undefined) return undefined;
  const isCore = parts[0] === 'api';
  const [group = '', version = ''] = isCore ? ['', parts[1]] : [parts[1], parts[2]];
  const groupVersion = isCore ? version : `${group}/${version}`;
  const below = parts.slice(isCore ? 2 : 3);
  // The way to watch before there was a parameter for it.
  const isWatch = below[0] === 'watch' && below.length > 1 && method === 'GET';
  const rest = isWatch ? below.slice(1) : below;
  // /namespaces/x/services is in x; /namespaces/x and /namespaces/x/status are the namespace itself.
  const inNamespace = rest[0] === 'namespaces' && rest.length > 2 && byPath.has(`${groupVersion}/${rest[2]}`);
  const namespace = inNamespace ? rest[1] : undefined;
  const [plural = '', name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
  const found = byPath.get(`${groupVersion}/${plural}`);
  if (found === undefined || more.length > 0) return undefined;
  const { key, resource } = found;
  if (!resource.namespaced && inNamespace) return undefined;
  if (resource.namespaced && name !== undefined && namespace === undefined) return undefined;
  const known = resource.subresources.find((one) => one === subresource);
  if (subresource !== undefined && (known === undefined || isWatch)) return undefined;
  return { key, resource, namespace, name, subresource: known, verb: isWatch ? 'watch' : verbOf(method, name, query) };
}

function decodeParts(path: string): string[] | undefined {
  try {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    if (parts.at(-1) === '') parts.pop();
    return parts.includes('') ? undefined : parts;
  } catch {
    return undefined;
  }
}

function verbOf(method: string, name: string | undefined, query: URLSearchParams): Verb | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isTrue(query.get('watch'))) return 'watch';
      return name === undefined ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return name === undefined ? undefined : 'update';
    case 'PATCH':
      return name === undefined ? undefined : 'patch';
    case 'DELETE':
      return name === undefined ? 'deletecollection' : 'delete';
    default:
      return undefined;
  }
}

const healthPaths = ['/livez', '/readyz', '/healthz'];

/** Whether a path tells how the server is: open to everybody, always. */
export function isHealthPath(path: string): boolean {
  return healthPaths.includes(path);
}

/** A boolean parameter as Kubernetes reads it: present and neither `false` nor `0`. */
export function isTrue(parameter: string | null): boolean {
  return parameter !== null && parameter.toLowerCase() !== 'false' && parameter !== '0';
}
