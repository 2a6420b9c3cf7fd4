import type { Endpoint, EndpointSlice, Service } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { serviceKeyOf, triggerTimeAnnotation } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Change, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { DnsMetrics } from './metrics.ts';
import type { ClusterZone } from './zone.ts';
import { isHeadless } from './zone-records.ts';

/** What feeds a zone, and with what. */
export interface FeedParts {
  readonly zone: ClusterZone;
  readonly client: ApiClient;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
}

/** A zone that follows the API. */
export interface Feed {
  /** Whether the zone has been whole once. It stays so while the API is away. */
  readonly isReady: () => boolean;
  /** Resolves when it is; rejects when closed before. */
  readonly synced: Promise<void>;
  close(): void;
}

/** Follows the objects a zone is made from: each change is in the zone when its watch event has been read. */
export function feedZone({ zone, client, log, metrics }: FeedParts): Feed {
  const namespaces = createInformer(client, 'namespaces', { log });
  const services = createInformer(client, 'services', { log, keep: keepOfService });
  const slices = createInformer(client, 'endpointSlices', { log, keep: keepOfSlice });
  const informers = [namespaces, services, slices];
  namespaces.onChange(({ key, current }) => zone.setNamespace(key, current !== undefined));
  services.onChange(({ key, current }) => zone.setService(key, current));
  slices.onChange((change) => {
    zone.setEndpointSlice(change.key, change.current);
    noteProgramming(change, services, metrics);
  });
  const synced = Promise.all(informers.map((informer) => informer.synced)).then(() => log.info('the zone is whole'));
  // Whoever closes before knows that it never was.
  synced.catch(() => undefined);
  return {
    isReady: () => informers.every(({ hasSynced }) => hasSynced),
    synced,
    close: () => {
      for (const informer of informers) informer.stop();
    },
  };
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

function keepOfService(service: Stored<Service>): Stored<Service> {
  const spec = pick(service.spec ?? {}, ['type', 'clusterIP', 'clusterIPs', 'externalName', 'ports']);
  return { metadata: service.metadata, spec };
}

function keepOfSlice(slice: Stored<EndpointSlice>): Stored<EndpointSlice> {
  const endpoints = (slice.endpoints ?? []).map(
    (endpoint): Endpoint => pick(endpoint, ['addresses', 'conditions', 'hostname']),
  );
  return { ...pick(slice, ['metadata', 'addressType', 'ports']), endpoints };
}

/** The object with these fields only, those it has. */
function pick<T extends object, K extends keyof T>(from: T, fields: readonly K[]): Pick<T, K> {
  return Object.fromEntries(fields.filter((field) => field in from).map((field) => [field, from[field]])) as Pick<T, K>;
}
