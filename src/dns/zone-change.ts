import type { EndpointSlice, Namespace, Pod, Service } from '../api/generated/types.ts';
import type { ClusterZone } from './zone.ts';

/** One of the objects a zone is made from, as it is now; `undefined` when it is gone. `key` is its `objectKey`. */
export type ZoneChange =
  | { readonly kind: 'namespace'; readonly key: string; readonly object: Namespace | undefined }
  | { readonly kind: 'service'; readonly key: string; readonly object: Service | undefined }
  | { readonly kind: 'endpointSlice'; readonly key: string; readonly object: EndpointSlice | undefined }
  | { readonly kind: 'pod'; readonly key: string; readonly object: Pod | undefined };

/** Brings a zone to where the change leads. Once or several times is the same. */
export function applyChange(zone: ClusterZone, change: ZoneChange): void {
  if (change.kind === 'namespace') zone.setNamespace(change.key, change.object !== undefined);
  else if (change.kind === 'service') zone.setService(change.key, change.object);
  else if (change.kind === 'endpointSlice') zone.setEndpointSlice(change.key, change.object);
  else zone.setPod(change.key, change.object);
}
