import type { EndpointSlice, Endpoints } from '../generated/types.ts';

/** Sets in place what Kubernetes sets when Endpoints leave it open. */
export function defaultEndpoints(object: Endpoints): void {
  for (const subset of object.subsets ?? []) for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
}

/** Sets in place what Kubernetes sets when an EndpointSlice leaves it open. */
export function defaultEndpointSlice(object: EndpointSlice): void {
  object.endpoints ??= [];
  for (const port of object.ports ?? []) {
    port.name ??= '';
    port.protocol ??= 'TCP';
  }
}

/** Takes out, in place, what clients of discovery/v1 cannot say: the field is only read, from slices of former versions. */
export function dropDeprecatedTopology(object: EndpointSlice): void {
  for (const endpoint of object.endpoints ?? []) delete endpoint.deprecatedTopology;
}
