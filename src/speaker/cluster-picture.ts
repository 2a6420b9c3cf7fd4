import type { EndpointSlice, Node, Service } from '../api/generated/types.ts';
import { objectKey, type Stored } from '../api/object.ts';
import type { ResourceKey } from '../api/resources.ts';
import { headlessLabel, serviceKeyOf, serviceNameLabel } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { Ip } from '../net/ip.ts';
import { announcedAddresses, endpointNodes, isLocal, nodeFacts } from './announced.ts';
import type { Claim } from './election.ts';
import type { Picture } from './speaker.ts';

/** A picture of the cluster that follows the API. */
export interface ClusterPicture {
  /** As it is now. */
  current(): Picture;
  /** The Services that have an address, as they are now. */
  servicesWith(address: Ip): readonly Stored<Service>[];
  readonly synced: Promise<void>;
  readonly hasSynced: () => boolean;
  stop(): void;
}

/** A break of the API shorter than this is nothing; the view is as good as it was. */
const staleAfterMs = 10_000;

/** Follows Services, Nodes and slices; `onChange` is called when the picture may be another one. */
export function followCluster(client: ApiClient, log: Logger, onChange: () => void): ClusterPicture {
  const services = createInformer(client, 'services', { log, keep: keepOfService });
  const nodes = createInformer(client, 'nodes', { log, keep: keepOfNode });
  const slices = createInformer(client, 'endpointSlices', {
    log,
    labelSelector: `!${headlessLabel}`,
    keep: keepOfSlice,
  });
  const slicesOf = new Map<string, Set<string>>();
  slices.onChange(({ key, previous, current }) => {
    if (previous !== undefined) slicesOf.get(serviceKeyOf(previous) ?? '')?.delete(key);
    const service = current === undefined ? undefined : serviceKeyOf(current);
    if (service !== undefined) slicesOf.set(service, (slicesOf.get(service) ?? new Set()).add(key));
    onChange();
  });
  services.onChange(onChange);
  nodes.onChange(onChange);
  const informers: readonly Pick<Informer<ResourceKey>, 'behindSince' | 'stop' | 'synced' | 'hasSynced'>[] = [
    services,
    nodes,
    slices,
  ];
  const claimOf = (service: Stored<Service>): Claim => {
    const key = objectKey(service);
    if (!isLocal(service)) return { service: key };
    const own = [...(slicesOf.get(key) ?? [])].flatMap((slice) => slices.store.get(slice) ?? []);
    return { service: key, onlyOn: endpointNodes(own) };
  };
  return {
    current: () => {
      const claims = new Map<Ip, Claim[]>();
      for (const service of services.store.values()) {
        for (const address of announcedAddresses(service))
          claims.set(address, [...(claims.get(address) ?? []), claimOf(service)]);
      }
      const behindSince = Math.min(...informers.map(({ behindSince: since }) => since ?? Number.POSITIVE_INFINITY));
      return {
        claims,
        nodes: [...nodes.store.values()].map(nodeFacts),
        isCurrent: Date.now() - behindSince < staleAfterMs,
      };
    },
    servicesWith: (address) =>
      [...services.store.values()].filter((service) => announcedAddresses(service).includes(address)),
    synced: Promise.all(informers.map(({ synced }) => synced)).then(() => {}),
    hasSynced: () => informers.every(({ hasSynced }) => hasSynced),
    stop: () => {
      for (const informer of informers) informer.stop();
    },
  };
}

function identity({ name, namespace, uid, resourceVersion, deletionTimestamp }: Stored<Service>['metadata']) {
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    uid,
    resourceVersion,
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  } as Stored<Service>['metadata'];
}

/** Of the many Services without an address of a pool only the name stays. */
function keepOfService(service: Stored<Service>): Stored<Service> {
  const { metadata, spec, status } = service;
  if (announcedAddresses(service).length === 0) return { metadata: identity(metadata) };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...identity(metadata), annotations: metadata.annotations ?? {} },
    spec: { type: 'LoadBalancer', externalTrafficPolicy: spec?.externalTrafficPolicy ?? 'Cluster' },
    status: status ?? {},
  };
}

function keepOfNode({ metadata, spec, status }: Stored<Node>): Stored<Node> {
  return {
    metadata: { ...identity(metadata), labels: metadata.labels ?? {} },
    spec: { taints: spec?.taints ?? [] },
    status: { addresses: status?.addresses ?? [], conditions: status?.conditions ?? [] },
  };
}

function keepOfSlice({ metadata, addressType, endpoints = [] }: Stored<EndpointSlice>): Stored<EndpointSlice> {
  return {
    addressType,
    metadata: { ...identity(metadata), labels: { [serviceNameLabel]: metadata.labels?.[serviceNameLabel] ?? '' } },
    endpoints: endpoints.map(({ nodeName, conditions }) => ({
      addresses: [],
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(conditions === undefined ? {} : { conditions }),
    })),
  };
}
