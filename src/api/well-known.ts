// Labels and annotations by which the parts of Kubernetes tell each other things, where more than one part here reads or
// writes them. Source: Kubernetes documentation "Well-known labels, annotations and taints".
import type { EndpointSlice } from './generated/types.ts';

/** Label that says which Service of its namespace an EndpointSlice belongs to. */
export const serviceNameLabel = 'kubernetes.io/service-name';

/** Label of Endpoints and EndpointSlices of a Service without virtual address; proxies need not read them. */
export const headlessLabel = 'service.kubernetes.io/headless';

/** Label of a Service, and of its EndpointSlices, that another proxy than the cluster's serves (KEP-2447). */
export const serviceProxyNameLabel = 'service.kubernetes.io/service-proxy-name';

/** Annotation that says when the change happened that an EndpointSlice was written for; RFC 3339. */
export const triggerTimeAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

/** Annotation of a Service that asks for endpoints nearby, and the older one for the same. */
export const topologyModeAnnotation = 'service.kubernetes.io/topology-mode';
export const topologyHintsAnnotation = 'service.kubernetes.io/topology-aware-hints';

/**
 * Annotation that counts the templates a DaemonSet has had, and the label with it on its Pods; what remains of
 * `spec.templateGeneration`, and is still set.
 */
export const templateGenerationAnnotation = 'deprecated.daemonset.template.generation';
export const templateGenerationLabel = 'pod-template-generation';

/** Label that says which zone a node is in. */
export const zoneLabel = 'topology.kubernetes.io/zone';

/** Annotation of a Service whose balancer's addresses are to be announced: the pool they are of. */
export const addressPoolAnnotation = 'signalbox.dev/address-pool';

/** Annotation that asks for other addresses than those it names, which somebody else on the link has. */
export const addressInUseAnnotation = 'signalbox.dev/address-in-use';

/** `namespace/name` of the Service that an EndpointSlice belongs to, if it belongs to one. */
export function serviceKeyOf({ metadata }: EndpointSlice): string | undefined {
  const name = metadata?.labels?.[serviceNameLabel];
  return name === undefined || name === '' ? undefined : `${metadata?.namespace ?? ''}/${name}`;
}
