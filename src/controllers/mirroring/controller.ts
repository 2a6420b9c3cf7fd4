import type { Endpoints, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { serviceNameLabel, triggerTimeAnnotation } from '../../api/well-known.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { managedByLabel, managedSlices } from '../endpointslice/managed-slices.ts';
import { packSlices } from '../endpointslice/pack.ts';
import { controllerReference } from '../ownership.ts';
import { deletion } from '../write.ts';
import { countSkipped, maxMirroredPerSubset, mirroredGroups } from './mirrored-groups.ts';

const managedBy = 'endpointslicemirroring-controller.k8s.io';
const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';
const endpointsType = { apiVersion: 'v1', kind: 'Endpoints' } as const;

/**
 * Copies Endpoints that were made by hand, for a Service without selector, into EndpointSlices, which are what proxies
 * and DNS read. Keys are `namespace/name` of the Endpoints.
 */
export function mirroringController({ caches }: ControllerContext): Controller {
  const services = caches.informer('services');
  const endpoints = caches.informer('endpoints');
  const slices = managedSlices(caches, managedBy);
  return {
    name: 'endpointslicemirroring',
    reporter: 'endpoint-slice-mirroring-controller',
    concurrency: 8,
    coalesce: { initial: 2, max: 50 },
    watch(enqueue) {
      services.onChange(({ key }) => enqueue(key));
      endpoints.onChange(({ key }) => enqueue(key));
      slices.onChange(enqueue);
    },
    async reconcile(key, round) {
      const existing = slices.of(key);
      const source = endpoints.store.get(key);
      const service = services.store.get(key);
      if (source === undefined || service === undefined || !isMirrored(source, service))
        return round.apply(existing.map((slice) => deletion('endpointSlices', slice)));
      const skipped = countSkipped(source);
      if (skipped > 0) round.record({ ...source, ...endpointsType }, tooMany(skipped));
      await round.apply(
        packSlices({
          existing,
          groups: mirroredGroups(source),
          metadata: sliceMetadata(source),
          annotations: mirroredAnnotations(source),
        }),
      );
    },
  };
}

function tooMany(skipped: number) {
  const message = `${skipped} addresses are in no EndpointSlice: of each subset the first ${maxMirroredPerSubset} are mirrored`;
  return { type: 'Warning', reason: 'TooManyAddressesToMirror', message } as const;
}

/** Whether the Endpoints are somebody's own, for a Service that does not find its endpoints itself. */
export function isMirrored({ metadata }: Stored<Endpoints>, { spec }: Service): boolean {
  if (metadata.deletionTimestamp !== undefined || Object.keys(spec?.selector ?? {}).length > 0) return false;
  return metadata.labels?.[skipLabel] !== 'true' && metadata.annotations?.[leaderAnnotation] === undefined;
}

function sliceMetadata(source: Stored<Endpoints>) {
  const { name, namespace = '', labels } = source.metadata;
  return {
    generateName: `${name}-`,
    namespace,
    labels: { ...labels, [serviceNameLabel]: name, [managedByLabel]: managedBy },
    ownerReferences: [controllerReference(source, endpointsType)],
  };
}

function mirroredAnnotations({ metadata }: Stored<Endpoints>): { readonly [key: string]: string } {
  const { [triggerTimeAnnotation]: _trigger, [lastAppliedAnnotation]: _applied, ...rest } = metadata.annotations ?? {};
  return rest;
}
