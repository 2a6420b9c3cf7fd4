import { createHash } from 'node:crypto';
import type { APIGroup, APIResource } from '../api/generated/types.ts';
import { otherVersionOf } from '../api/other-versions.ts';
import { apiVersionOf, type Resource, resources } from '../api/resources.ts';
import { type ApiAnswer, type ApiRequest, jsonAnswer } from './requests.ts';
import { servedResources, servedVersions, subresourceFacts, verbsOf } from './served.ts';

/** Group and version of each group but the core one. */
const groups = [...new Map(servedResources.filter((r) => r.group !== '').map((r) => [apiVersionOf(r), r])).values()];

function groupOf({ group, version }: Resource): APIGroup {
  const shown = { groupVersion: `${group}/${version}`, version };
  return { name: group, versions: [shown], preferredVersion: shown };
}

/** Answers the paths by which clients learn what is served; nothing for any other path. */
export function discover(request: ApiRequest, serverAddress: string): ApiAnswer | undefined {
  const path = request.path.replace(/\/$/, '');
  if (path === '') return jsonAnswer(200, { paths: rootPaths });
  if (path === '/api' || path === '/apis') {
    const version = aggregatedVersion(request.headers.accept);
    if (version !== undefined) return aggregated(path === '/api', version, request.headers['if-none-match']);
    return jsonAnswer(200, path === '/api' ? coreVersions(serverAddress) : groupList());
  }
  const [, root, first = '', second] = path.split('/');
  if (root === 'api' && path === `/api/${first}`) return resourceList(first);
  if (root !== 'apis') return undefined;
  if (path === `/apis/${first}`) {
    const found = groups.find((r) => r.group === first);
    return found === undefined ? undefined : jsonAnswer(200, { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(found) });
  }
  return path === `/apis/${first}/${second}` ? resourceList(`${first}/${second}`) : undefined;
}

/** What there is to read beside the objects themselves; `kubectl get --raw /` shows it. */
const rootPaths = [
  '/.well-known/openid-configuration',
  '/api',
  '/api/v1',
  '/apis',
  ...groups.flatMap(({ group, version }) => [`/apis/${group}`, `/apis/${group}/${version}`]),
  ...['/healthz', '/livez', '/readyz'],
  '/metrics',
  ...[
    '/openapi/v2',
    '/openapi/v3',
    ...servedVersions.map((one) => `/openapi/v3/${one === 'v1' ? 'api' : 'apis'}/${one}`),
  ],
  '/openid/v1/jwks',
  '/version',
].sort();

function coreVersions(serverAddress: string): object {
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress }];
  return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
}

function groupList(): object {
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupOf) };
}

function resourceList(groupVersion: string): ApiAnswer | undefined {
  const served = servedResources.filter((resource) => apiVersionOf(resource) === groupVersion);
  if (served.length === 0) return undefined;
  const list = served.flatMap((resource): APIResource[] => [
    { ...describe(resource), kind: resource.kind, verbs: [...verbsOf(resource)], ...storageVersion(resource) },
    ...resource.subresources.map((subresource) => {
      const { apiVersion, kind, verbs } = subresourceFacts(resource, subresource);
      const [version, group = ''] = (apiVersion ?? '').split('/').reverse();
      return {
        name: `${resource.plural}/${subresource}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(apiVersion === undefined || apiVersion === groupVersion ? {} : { group, version }),
        kind: kind ?? resource.kind,
        verbs: [...verbs],
      };
    }),
  ]);
  return jsonAnswer(200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: list });
}

/** By its hash clients see that the version changed in which a resource is stored; reviews are not. */
function storageVersion(resource: Resource): { readonly storageVersionHash?: string } {
  const stored = otherVersionOf(resource)?.stored;
  if (!verbsOf(resource).includes('list')) return {};
  const { group, version, kind }: Resource = stored === undefined ? resource : resources[stored];
  const hash = createHash('sha256').update(`${group}/${version}/${kind}`).digest();
  return { storageVersionHash: hash.subarray(0, 8).toString('base64') };
}

function describe(resource: Resource) {
  return {
    name: resource.plural,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    ...(resource.shortNames.length > 0 ? { shortNames: [...resource.shortNames] } : {}),
    ...(resource.categories.length > 0 ? { categories: [...resource.categories] } : {}),
  };
}

/** The versions of aggregated discovery that clients know; they say the same. */
const aggregatedVersions = ['v2', 'v2beta1'];

/** The version in which the client would take discovery in one answer, if it would. */
function aggregatedVersion(accept: string | undefined): string | undefined {
  for (const part of (accept ?? '').split(',')) {
    const parameters = part.split(';').map((piece) => piece.trim());
    const isWanted = ['g=apidiscovery.k8s.io', 'as=APIGroupDiscoveryList'].every((one) => parameters.includes(one));
    const version = aggregatedVersions.find((one) => parameters.includes(`v=${one}`));
    if (isWanted && version !== undefined) return version;
  }
  return undefined;
}

/** Everything about one root in one answer (KEP 3352). */
function aggregated(core: boolean, asVersion: string, known: string | undefined): ApiAnswer {
  const versions = new Map<string, Resource[]>();
  for (const resource of servedResources) {
    if ((resource.group === '') !== core) continue;
    versions.set(apiVersionOf(resource), [...(versions.get(apiVersionOf(resource)) ?? []), resource]);
  }
  const items = [...versions.values()].map((list) => ({
    metadata: list[0]?.group ? { name: list[0].group, creationTimestamp: null } : { creationTimestamp: null },
    versions: [{ version: list[0]?.version, freshness: 'Current', resources: list.map(aggregatedResource) }],
  }));
  const type = `application/json;g=apidiscovery.k8s.io;v=${asVersion};as=APIGroupDiscoveryList`;
  const apiVersion = `apidiscovery.k8s.io/${asVersion}`;
  const body = JSON.stringify({ kind: 'APIGroupDiscoveryList', apiVersion, metadata: {}, items });
  const etag = `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"`;
  const headers = { etag, vary: 'Accept' };
  return known === etag ? { code: 304, type, body: '', headers } : { code: 200, type, body, headers };
}

function aggregatedResource(resource: Resource): object {
  const { group, version, kind, plural, singular, namespaced, shortNames, categories } = resource;
  const subresources = resource.subresources.map((subresource) => {
    const facts = subresourceFacts(resource, subresource);
    const [itsVersion = version, itsGroup = ''] = (facts.apiVersion ?? apiVersionOf(resource)).split('/').reverse();
    return {
      subresource,
      responseKind: { group: itsGroup, version: itsVersion, kind: facts.kind ?? kind },
      verbs: facts.verbs,
    };
  });
  return {
    resource: plural,
    responseKind: { group, version, kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs: verbsOf(resource),
    ...(shortNames.length > 0 ? { shortNames } : {}),
    ...(categories.length > 0 ? { categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  };
}
