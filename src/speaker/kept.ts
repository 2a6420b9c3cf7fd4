import type { EndpointSlice } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { headlessLabel, serviceKeyOf, serviceNameLabel } from '../api/well-known.ts';
import { createIndex, type Index } from '../client/index-of.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';

/** Slices of which only that is kept by which `endpointNodes` knows where a Service has endpoints. */
export interface FollowedSlices {
  readonly slices: Informer<'endpointSlices'>;
  /** By `namespace/name` of the Service. */
  readonly slicesOf: Index<Stored<EndpointSlice>>;
}

/** Follows the slices of Services that have an address. */
export function followSlices(client: ApiClient, log: Logger): FollowedSlices {
  const slices = createInformer(client, 'endpointSlices', {
    log,
    labelSelector: `!${headlessLabel}`,
    keep: keepOfSlice,
  });
  return { slices, slicesOf: createIndex(slices, (slice) => [serviceKeyOf(slice)].filter((key) => key !== undefined)) };
}

function keepOfSlice({ metadata, addressType, endpoints = [] }: Stored<EndpointSlice>): Stored<EndpointSlice> {
  return {
    addressType,
    metadata: { ...identityOf(metadata), labels: { [serviceNameLabel]: metadata.labels?.[serviceNameLabel] ?? '' } },
    endpoints: endpoints.map(({ nodeName, conditions }) => ({
      addresses: [],
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(conditions === undefined ? {} : { conditions }),
    })),
  };
}

type StoredMetadata = Stored<object>['metadata'];

/** What an informer goes by of an object, and whether it is about to go. */
export function identityOf({
  name,
  namespace,
  uid,
  resourceVersion,
  deletionTimestamp,
}: StoredMetadata): StoredMetadata {
  return {
    name,
    uid,
    resourceVersion,
    ...(namespace === undefined ? {} : { namespace }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
}
