import type { Pod, Service } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { serviceKeyOf } from '../api/well-known.ts';
import { createIndex, type Index } from '../client/index-of.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import { controllerOf } from './ownership.ts';

/** The local copy of the cluster that all controllers share: each resource is listed and watched once, when first used. */
export interface Caches {
  informer<K extends ResourceKey>(resource: K): Informer<K>;
  index<N extends IndexName>(name: N): Index<Stored<ResourceTypes[(typeof indexes)[N]['resource']]>>;
  /** Those informers that were asked for so far. */
  readonly informers: ReadonlyMap<ResourceKey, Informer<ResourceKey>>;
}

type IndexName = keyof typeof indexes;

const byNamespace = (object: { metadata: { namespace?: string } }) => [object.metadata.namespace ?? ''];
const byController = (object: Stored<{ metadata?: Pod['metadata'] & object }>) => {
  const owner = controllerOf(object);
  return owner === undefined ? [] : [owner.uid];
};

/** As Services and Pods are found by label. */
export function labelValue(namespace: string | undefined, key: string, value: string): string {
  return `${namespace}/${key}=${value}`;
}

/** The ways objects are looked up, besides by their key. */
const indexes = {
  /** Pods by `namespace/label=value`, once for each label. */
  podsByLabel: {
    resource: 'pods',
    valuesOf: ({ metadata }: Stored<Pod>) =>
      Object.entries(metadata.labels ?? {}).map(([key, value]) => labelValue(metadata.namespace, key, value)),
  },
  /** Pods without a controller, by namespace. */
  orphansByNamespace: {
    resource: 'pods',
    valuesOf: (pod: Stored<Pod>) => (controllerOf(pod) === undefined ? byNamespace(pod) : []),
  },
  /** Pods by the uid of their controller. */
  podsByController: { resource: 'pods', valuesOf: byController },
  /** Pods by the name of their node. */
  podsByNode: {
    resource: 'pods',
    valuesOf: ({ spec }: Stored<Pod>) => (spec?.nodeName === undefined || spec.nodeName === '' ? [] : [spec.nodeName]),
  },
  /** Services with a selector, by `namespace/label=value` of one of the labels they select: a Pod they select has it. */
  servicesByLabel: {
    resource: 'services',
    valuesOf: ({ metadata, spec }: Stored<Service>) => {
      const [first] = Object.entries(spec?.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
      return first === undefined ? [] : [labelValue(metadata.namespace, ...first)];
    },
  },
  /** Services by each address that their balancer has. */
  servicesByBalancerAddress: {
    resource: 'services',
    valuesOf: ({ status }: Stored<Service>) => (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []),
  },
  replicaSetsByNamespace: { resource: 'replicaSets', valuesOf: byNamespace },
  /** ReplicaSets without a controller, by namespace. */
  orphanReplicaSetsByNamespace: {
    resource: 'replicaSets',
    valuesOf: (replicaSet: Stored<ResourceTypes['replicaSets']>) =>
      controllerOf(replicaSet) === undefined ? byNamespace(replicaSet) : [],
  },
  /** ReplicaSets by the uid of their controller. */
  replicaSetsByController: { resource: 'replicaSets', valuesOf: byController },
  statefulSetsByNamespace: { resource: 'statefulSets', valuesOf: byNamespace },
  daemonSetsByNamespace: { resource: 'daemonSets', valuesOf: byNamespace },
  /** Revisions without a controller, by namespace. */
  orphanRevisionsByNamespace: {
    resource: 'controllerRevisions',
    valuesOf: (revision: Stored<ResourceTypes['controllerRevisions']>) =>
      controllerOf(revision) === undefined ? byNamespace(revision) : [],
  },
  /** Revisions by the uid of their controller. */
  revisionsByController: { resource: 'controllerRevisions', valuesOf: byController },
  /** EndpointSlices by `namespace/service`. */
  slicesByService: {
    resource: 'endpointSlices',
    valuesOf: (slice: Stored<ResourceTypes['endpointSlices']>) => {
      const service = serviceKeyOf(slice);
      return service === undefined ? [] : [service];
    },
  },
} as const satisfies { [name: string]: { resource: ResourceKey; valuesOf: (object: never) => readonly string[] } };

/** The ConfigMap with the cluster's certificate authority, in each namespace. */
export const rootCertificateMap = 'kube-root-ca.crt';

/** Of what is large and not read here only the metadata is kept, for owner references. */
const keep: { readonly [K in ResourceKey]?: (object: Stored<ResourceTypes[K]>) => Stored<ResourceTypes[K]> } = {
  secrets: ({ apiVersion = 'v1', kind = 'Secret', metadata }) => ({ apiVersion, kind, metadata }),
  configMaps: (map) =>
    map.metadata.name === rootCertificateMap ? map : { apiVersion: 'v1', kind: 'ConfigMap', metadata: map.metadata },
};

/** Caches of what `client` reaches. Informers stop with the signal. */
export function createCaches(
  client: ApiClient,
  options: { readonly signal: AbortSignal; readonly log?: Logger },
): Caches {
  const informers = new Map<ResourceKey, Informer<ResourceKey>>();
  const made = new Map<IndexName, Index<unknown>>();
  const informer = <K extends ResourceKey>(resource: K): Informer<K> => {
    const known = informers.get(resource) as Informer<K> | undefined;
    if (known !== undefined) return known;
    const trim = keep[resource] as ((object: Stored<ResourceTypes[K]>) => Stored<ResourceTypes[K]>) | undefined;
    const created = createInformer(client, resource, { ...options, ...(trim === undefined ? {} : { keep: trim }) });
    informers.set(resource, created as unknown as Informer<ResourceKey>);
    return created;
  };
  return {
    informers,
    informer,
    index: (name) => {
      type Wanted = ReturnType<Caches['index']>;
      const known = made.get(name);
      if (known !== undefined) return known as Wanted as never;
      const { resource, valuesOf } = indexes[name];
      const created = createIndex(
        informer(resource),
        valuesOf as (object: Stored<ResourceTypes[ResourceKey]>) => string[],
      );
      made.set(name, created);
      return created as Wanted as never;
    },
  };
}
