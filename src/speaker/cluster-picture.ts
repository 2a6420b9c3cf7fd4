import type { Node, Service } from '../api/generated/types.ts';
import { objectKey, type Stored } from '../api/object.ts';
import type { ResourceKey } from '../api/resources.ts';
import { createIndex } from '../client/index-of.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { Ip } from '../net/ip.ts';
import { announcedAddresses, endpointNodes, isLocal, nodeFacts } from './announced.ts';
import type { Claim } from './election.ts';
import { followSlices, identityOf } from './kept.ts';
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

/** Where all Services are found that have an address: few of a cluster's do, and every change asks for them. */
const anyAddress = '';

/** Follows Services, Nodes and slices; `onChange` is called when the picture may be another one. */
export function followCluster(client: ApiClient, log: Logger, onChange: () => void): ClusterPicture {
  const services = createInformer(client, 'services', { log, keep: keepOfService });
  const nodes = createInformer(client, 'nodes', { log, keep: keepOfNode });
  const { slices, slicesOf } = followSlices(client, log);
  const byAddress = createIndex(services, announcedAddresses);
  const announced = createIndex(services, (service) => (announcedAddresses(service).length > 0 ? [anyAddress] : []));
  slices.onChange(onChange);
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
    return { service: key, onlyOn: endpointNodes(slicesOf.get(key)) };
  };
  return {
    current: () => {
      const claims = new Map<Ip, Claim[]>();
      for (const service of announced.get(anyAddress)) {
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
    servicesWith: (address) => byAddress.get(address),
    synced: Promise.all(informers.map(({ synced }) => synced)).then(() => {}),
    hasSynced: () => informers.every(({ hasSynced }) => hasSynced),
    stop: () => {
      for (const informer of informers) informer.stop();
    },
  };
}

/** Of the many Services without an address of a pool only the name stays. */
function keepOfService(service: Stored<Service>): Stored<Service> {
  const { metadata, spec, status } = service;
  if (announcedAddresses(service).length === 0) return { metadata: identityOf(metadata) };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...identityOf(metadata), annotations: metadata.annotations ?? {} },
    spec: { type: 'LoadBalancer', externalTrafficPolicy: spec?.externalTrafficPolicy ?? 'Cluster' },
    status: status ?? {},
  };
}

function keepOfNode({ metadata, spec, status }: Stored<Node>): Stored<Node> {
  return {
    metadata: { ...identityOf(metadata), labels: metadata.labels ?? {} },
    spec: { taints: spec?.taints ?? [] },
    status: { addresses: status?.addresses ?? [], conditions: status?.conditions ?? [] },
  };
}
