import { otherVersions } from '../api/other-versions.ts';
import { apiVersionOf, type Resource, resources, reviews, type Subresource } from '../api/resources.ts';

const questions: readonly Resource[] = Object.values(reviews);

/** Groups in Kubernetes' own order: of two that share a kind's or a short name, clients take the first. */
const groupOrder = [
  '',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
];

/** Every resource that has a path, in the order in which clients are told of them: other versions and reviews too. */
export const servedResources: readonly Resource[] = [
  ...Object.values(resources),
  ...otherVersions.map(({ resource }) => resource),
  ...questions,
].sort((a: Resource, b: Resource) => groupOrder.indexOf(a.group) - groupOrder.indexOf(b.group));

/** The names of the versions of the API, in that order. */
export const servedVersions: readonly string[] = [...new Set(servedResources.map(apiVersionOf))];

const objectVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
/** All namespaces at once are all there is: they are deleted one by one, in Kubernetes too. */
const namespaceVerbs = objectVerbs.filter((verb) => verb !== 'deletecollection');

/** What can be done with the objects of a resource; a review is only ever created. */
export function verbsOf(resource: Resource): readonly string[] {
  if (resource === resources.namespaces) return namespaceVerbs;
  return questions.includes(resource) ? ['create'] : objectVerbs;
}

/** The kind and the verbs of a subresource; where they are not named, they are the resource's own. */
export interface SubresourceFacts {
  readonly apiVersion?: string;
  readonly kind?: string;
  /** Name of the kind's type in the schema, where it has one. */
  readonly schema?: string;
  readonly verbs: readonly string[];
}

const facts: { readonly [S in Subresource]: SubresourceFacts } = {
  status: { verbs: ['get', 'patch', 'update'] },
  scale: { apiVersion: 'autoscaling/v1', kind: 'Scale', schema: 'Scale', verbs: ['get', 'patch', 'update'] },
  binding: { apiVersion: 'v1', kind: 'Binding', schema: 'Binding', verbs: ['create'] },
  eviction: { apiVersion: 'policy/v1', kind: 'Eviction', schema: 'Eviction', verbs: ['create'] },
  finalize: { verbs: ['update'] },
  token: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', schema: 'TokenRequest', verbs: ['create'] },
  log: { verbs: ['get'] },
  exec: { kind: 'PodExecOptions', verbs: ['create', 'get'] },
  attach: { kind: 'PodAttachOptions', verbs: ['create', 'get'] },
  portforward: { kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
  proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'] },
};

/** What clients are told of a subresource of a resource. */
export function subresourceFacts(resource: Resource, subresource: Subresource): SubresourceFacts {
  // The one of which every resource that has it has a kind of its own.
  if (subresource === 'proxy') return { ...facts.proxy, kind: `${resource.kind}ProxyOptions` };
  return facts[subresource];
}
