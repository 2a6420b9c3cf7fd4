import type * as types from './generated/types.ts';

/** One resource the API has: how it is named in paths, in manifests and on the command line. */
export interface Resource {
  /** API group; the core group is the empty string. */
  readonly group: string;
  readonly version: string;
  /** Plural name in paths. */
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly Subresource[];
  /** Name of the object's type in the generated schema: the kind, but where two groups share a kind's name. */
  readonly schema: string;
}

/** Paths below an object. */
export type Subresource =
  | 'status'
  | 'scale'
  | 'binding'
  | 'eviction'
  | 'finalize'
  | 'token'
  | 'log'
  | 'exec'
  | 'attach'
  | 'portforward'
  | 'proxy';

/** A resource by its names; namespaced, without short names, categories and subresources, unless told otherwise. */
export function resource(
  apiVersion: string,
  kind: string,
  plural: string,
  rest: Partial<Omit<Resource, 'group' | 'version' | 'kind' | 'plural'>> = {},
): Resource {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  return {
    group,
    version,
    kind,
    plural,
    singular: kind.toLowerCase(),
    namespaced: true,
    shortNames: [],
    categories: [],
    subresources: [],
    schema: kind,
    ...rest,
  };
}

/** Every resource served, by its key in code. */
export const resources = {
  namespaces: resource('v1', 'Namespace', 'namespaces', {
    namespaced: false,
    shortNames: ['ns'],
    subresources: ['status', 'finalize'],
  }),
  nodes: resource('v1', 'Node', 'nodes', { namespaced: false, shortNames: ['no'], subresources: ['status'] }),
  pods: resource('v1', 'Pod', 'pods', {
    shortNames: ['po'],
    categories: ['all'],
    subresources: ['status', 'binding', 'eviction', 'log', 'exec', 'attach', 'portforward', 'proxy'],
  }),
  services: resource('v1', 'Service', 'services', {
    shortNames: ['svc'],
    categories: ['all'],
    subresources: ['status', 'proxy'],
  }),
  endpoints: resource('v1', 'Endpoints', 'endpoints', { singular: 'endpoints', shortNames: ['ep'] }),
  configMaps: resource('v1', 'ConfigMap', 'configmaps', { shortNames: ['cm'] }),
  secrets: resource('v1', 'Secret', 'secrets'),
  serviceAccounts: resource('v1', 'ServiceAccount', 'serviceaccounts', { shortNames: ['sa'], subresources: ['token'] }),
  events: resource('v1', 'Event', 'events', { shortNames: ['ev'], schema: 'CoreEvent' }),
  endpointSlices: resource('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices'),
  serviceCidrs: resource('networking.k8s.io/v1', 'ServiceCIDR', 'servicecidrs', {
    namespaced: false,
    subresources: ['status'],
  }),
  ipAddresses: resource('networking.k8s.io/v1', 'IPAddress', 'ipaddresses', { namespaced: false, shortNames: ['ip'] }),
  leases: resource('coordination.k8s.io/v1', 'Lease', 'leases'),
  replicaSets: resource('apps/v1', 'ReplicaSet', 'replicasets', {
    shortNames: ['rs'],
    categories: ['all'],
    subresources: ['status', 'scale'],
  }),
  deployments: resource('apps/v1', 'Deployment', 'deployments', {
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: ['status', 'scale'],
  }),
  roles: resource('rbac.authorization.k8s.io/v1', 'Role', 'roles'),
  roleBindings: resource('rbac.authorization.k8s.io/v1', 'RoleBinding', 'rolebindings'),
  clusterRoles: resource('rbac.authorization.k8s.io/v1', 'ClusterRole', 'clusterroles', { namespaced: false }),
  clusterRoleBindings: resource('rbac.authorization.k8s.io/v1', 'ClusterRoleBinding', 'clusterrolebindings', {
    namespaced: false,
  }),
  statefulSets: resource('apps/v1', 'StatefulSet', 'statefulsets', {
    shortNames: ['sts'],
    categories: ['all'],
    subresources: ['status', 'scale'],
  }),
  daemonSets: resource('apps/v1', 'DaemonSet', 'daemonsets', {
    shortNames: ['ds'],
    categories: ['all'],
    subresources: ['status'],
  }),
  controllerRevisions: resource('apps/v1', 'ControllerRevision', 'controllerrevisions'),
} as const satisfies { readonly [key: string]: Resource };

/** Questions asked by creating an object: the answer is its status, and nothing is stored. */
export const reviews = {
  tokenReviews: resource('authentication.k8s.io/v1', 'TokenReview', 'tokenreviews', { namespaced: false }),
  selfSubjectReviews: resource('authentication.k8s.io/v1', 'SelfSubjectReview', 'selfsubjectreviews', {
    namespaced: false,
  }),
  subjectAccessReviews: resource('authorization.k8s.io/v1', 'SubjectAccessReview', 'subjectaccessreviews', {
    namespaced: false,
  }),
  selfSubjectAccessReviews: resource('authorization.k8s.io/v1', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', {
    namespaced: false,
  }),
  selfSubjectRulesReviews: resource('authorization.k8s.io/v1', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', {
    namespaced: false,
  }),
  localSubjectAccessReviews: resource(
    'authorization.k8s.io/v1',
    'LocalSubjectAccessReview',
    'localsubjectaccessreviews',
  ),
} as const satisfies { readonly [key: string]: Resource };
export type ReviewKey = keyof typeof reviews;

/** The type of the objects of each resource. */
export interface ResourceTypes {
  namespaces: types.Namespace;
  nodes: types.Node;
  pods: types.Pod;
  services: types.Service;
  endpoints: types.Endpoints;
  configMaps: types.ConfigMap;
  secrets: types.Secret;
  serviceAccounts: types.ServiceAccount;
  events: types.CoreEvent;
  endpointSlices: types.EndpointSlice;
  serviceCidrs: types.ServiceCIDR;
  ipAddresses: types.IPAddress;
  leases: types.Lease;
  replicaSets: types.ReplicaSet;
  deployments: types.Deployment;
  roles: types.Role;
  roleBindings: types.RoleBinding;
  clusterRoles: types.ClusterRole;
  clusterRoleBindings: types.ClusterRoleBinding;
  statefulSets: types.StatefulSet;
  daemonSets: types.DaemonSet;
  controllerRevisions: types.ControllerRevision;
}
export type ResourceKey = keyof typeof resources;

/** `v1`, or `group/version`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The URL path of a collection (no name) or an object, with a subresource if one is named. Parts are URL-encoded. */
export function resourcePath(
  resource: Resource,
  at: { namespace?: string | undefined; name?: string | undefined; subresource?: string | undefined } = {},
): string {
  const parts = resource.group === '' ? ['api', resource.version] : ['apis', resource.group, resource.version];
  if (resource.namespaced && at.namespace !== undefined) parts.push('namespaces', at.namespace);
  parts.push(resource.plural);
  if (at.name !== undefined) parts.push(at.name);
  if (at.subresource !== undefined) parts.push(at.subresource);
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
