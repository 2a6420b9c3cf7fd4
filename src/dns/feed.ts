import type { Endpoint, EndpointSlice, Namespace, Pod, Service } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import type { ResourceKey } from '../api/resources.ts';
import { serviceKeyOf, serviceNameLabel, triggerTimeAnnotation } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { KnownVersions } from '../client/resource-version.ts';
import type { ApiClient, Change, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { KubernetesSettings } from './config/types.ts';
import type { DnsMetrics } from './metrics.ts';
import type { ClusterZone } from './zone.ts';
import { applyChange, type ZoneChange } from './zone-change.ts';
import { isHeadless } from './zone-records.ts';

/** What feeds a zone, and with what. */
export interface FeedParts {
  readonly zone: ClusterZone;
  readonly settings: Pick<KubernetesSettings, 'labels' | 'namespaceLabels' | 'noEndpoints' | 'pods'>;
  readonly client: ApiClient;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
}

/** A zone that follows the API. */
export interface Feed {
  /** Whether the zone has been whole once. It stays so while the API is away. */
  readonly isReady: () => boolean;
  /** How long the API may have had changes that the zone has not, in seconds; 0 while all is followed. */
  readonly age: () => number;
  /** Up to which versions the zone has all changes; none where the zone itself follows another one. */
  readonly versions: () => KnownVersions;
  /** Resolves when it is; rejects when closed before. */
  readonly synced: Promise<void>;
  /**
   * Tells of each change from now on, when the zone has it. What the zone was made from before is `all`, to be read when
   * it is convenient: each object as it is then. Absent where the zone itself follows another one.
   */
  readonly follow?: (tell: (change: ZoneChange) => void) => {
    readonly all: Iterable<ZoneChange>;
    readonly stop: () => void;
  };
  close(): void;
}

/** What a feed is opened with by whoever serves the zone, wherever it comes from. */
export type OpenFeed = (parts: Omit<FeedParts, 'client'>) => Feed;

type ZoneResource = 'namespaces' | 'services' | 'endpointSlices' | 'pods';

type Followed = Pick<Informer<ResourceKey>, 'hasSynced' | 'synced' | 'behindSince' | 'resourceVersion' | 'stop'>;

/** Pods that have ended have no address any more. */
const livePods = 'status.phase!=Succeeded,status.phase!=Failed';

/**
 * Follows the objects a zone is made from, those the settings choose: each change is in the zone when its watch event has
 * been read.
 */
export function feedZone({ zone, settings, client, log, metrics }: FeedParts): Feed {
  const { labels, namespaceLabels, noEndpoints, pods } = settings;
  const namespaces = createInformer(client, 'namespaces', {
    log,
    keep: keepOfNamespace,
    ...selecting(namespaceLabels),
  });
  const services = createInformer(client, 'services', { log, keep: keepOfService, ...selecting(labels) });
  const informers = new Map<string, Followed>([
    ['namespaces', namespaces],
    ['services', services],
  ]);
  const followers = new Set<(change: ZoneChange) => void>();
  const change = (made: ZoneChange) => {
    applyChange(zone, made);
    for (const tell of followers) tell(made);
  };
  const sources: (() => Iterable<ZoneChange>)[] = [];
  const take = <K extends ZoneResource>(kind: ZoneChange['kind'], informer: Informer<K>) => {
    informer.onChange(({ key, current }) => change({ kind, key, object: current } as ZoneChange));
    sources.push(function* () {
      for (const [key, object] of informer.store) yield { kind, key, object } as ZoneChange;
    });
  };
  take('namespace', namespaces);
  take('service', services);
  if (!noEndpoints) {
    const slices = createInformer(client, 'endpointSlices', { log, keep: keepOfSlice, ...selecting(labels) });
    informers.set('endpointslices', slices);
    take('endpointSlice', slices);
    slices.onChange((change) => noteProgramming(change, services, metrics));
  }
  if (pods === 'verified') {
    const options = { log, keep: keepOfPod, fieldSelector: livePods, ...selecting(labels) };
    const live = createInformer(client, 'pods', options);
    informers.set('pods', live);
    take('pod', live);
  }
  const synced = Promise.all([...informers.values()].map((informer) => informer.synced)).then(() =>
    log.info('the zone is whole'),
  );
  // Whoever closes before knows that it never was.
  synced.catch(() => undefined);
  return {
    isReady: () => [...informers.values()].every(({ hasSynced }) => hasSynced),
    age: () =>
      Math.max(0, ...[...informers.values()].map(({ behindSince = Date.now() }) => Date.now() - behindSince)) / 1000,
    versions: () => new Map([...informers].map(([resource, { resourceVersion }]) => [resource, resourceVersion])),
    synced,
    follow: (tell) => {
      followers.add(tell);
      const all = function* () {
        for (const source of sources) yield* source();
      };
      return { all: all(), stop: () => void followers.delete(tell) };
    },
    close: () => {
      for (const informer of informers.values()) informer.stop();
    },
  };
}

function selecting(labelSelector: string | undefined): { labelSelector?: string } {
  return labelSelector === undefined ? {} : { labelSelector };
}

/** Measures from the change that the slice's writer noted to now. A first list is no change. */
function noteProgramming(
  { previous, current }: Change<Stored<EndpointSlice>>,
  services: Informer<'services'>,
  metrics: DnsMetrics,
): void {
  const noted = current?.metadata.annotations?.[triggerTimeAnnotation];
  if (current === undefined || noted === undefined || previous === undefined) return;
  const service = services.store.get(serviceKeyOf(current) ?? '');
  if (service !== undefined && isHeadless(service))
    metrics.observeProgramming(Math.max(0, Date.now() - Date.parse(noted)) / 1000);
}

function keepOfNamespace({ metadata }: Stored<Namespace>): Stored<Namespace> {
  return { metadata: keepOfMetadata(metadata) };
}

function keepOfService({ metadata, spec = {} }: Stored<Service>): Stored<Service> {
  return {
    metadata: keepOfMetadata(metadata),
    spec: {
      ...pick(spec, ['type', 'clusterIP', 'clusterIPs', 'externalName']),
      ports: (spec.ports ?? []).map((port) => pick(port, ['name', 'port', 'protocol'])),
    },
  };
}

function keepOfSlice(slice: Stored<EndpointSlice>): Stored<EndpointSlice> {
  const { metadata, endpoints = [] } = slice;
  const { labels = {}, annotations = {} } = metadata;
  return {
    ...pick(slice, ['addressType', 'ports']),
    metadata: {
      ...keepOfMetadata(metadata),
      labels: pick(labels, [serviceNameLabel]),
      annotations: pick(annotations, [triggerTimeAnnotation]),
    },
    endpoints: endpoints.map(
      (endpoint): Endpoint => ({
        ...pick(endpoint, ['addresses', 'hostname']),
        ...(endpoint.conditions?.ready === false && { conditions: { ready: false } }),
        ...(endpoint.targetRef?.name !== undefined && { targetRef: { name: endpoint.targetRef.name } }),
      }),
    ),
  };
}

function keepOfPod({ metadata, status = {} }: Stored<Pod>): Stored<Pod> {
  return {
    metadata: { ...keepOfMetadata(metadata), ...pick(metadata, ['deletionTimestamp']) },
    status: pick(status, ['phase', 'podIP', 'podIPs']),
  };
}

/** What an informer goes by. Labels and annotations may be many times as large as all the rest. */
function keepOfMetadata<T extends Stored<object>['metadata']>(metadata: T): T {
  return pick(metadata, ['name', 'namespace', 'uid', 'resourceVersion']) as T;
}

/** The object with these fields only, those it has. */
function pick<T extends object, K extends keyof T>(from: T, fields: readonly K[]): Pick<T, K> {
  return Object.fromEntries(fields.filter((field) => field in from).map((field) => [field, from[field]])) as Pick<T, K>;
}
