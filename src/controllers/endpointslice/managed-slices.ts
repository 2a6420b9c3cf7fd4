import type { EndpointSlice } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { serviceKeyOf } from '../../api/well-known.ts';
import type { Caches } from '../caches.ts';

/** Which controller has made an EndpointSlice and may change it. */
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';

/** The EndpointSlices of one controller, by `namespace/name` of their Service. */
export interface ManagedSlices {
  /** Those of a Service, without what is being deleted. */
  of(key: string): Stored<EndpointSlice>[];
  /** Tells the Service of each slice that is made, changed or gone. */
  onChange(enqueue: (key: string) => void): void;
}

/** @param managedBy the controller's value of the label */
export function managedSlices(caches: Caches, managedBy: string): ManagedSlices {
  const slicesByService = caches.index('slicesByService');
  return {
    of: (key) =>
      slicesByService
        .get(key)
        .filter(
          ({ metadata }) => metadata.labels?.[managedByLabel] === managedBy && metadata.deletionTimestamp === undefined,
        ),
    onChange: (enqueue) => {
      caches.informer('endpointSlices').onChange(({ previous, current }) => {
        const slice = current ?? previous;
        const key = slice?.metadata.labels?.[managedByLabel] === managedBy ? serviceKeyOf(slice) : undefined;
        if (key !== undefined) enqueue(key);
      });
    },
  };
}
