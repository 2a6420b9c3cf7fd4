import type { Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { headlessLabel, serviceNameLabel, zoneLabel } from '../../api/well-known.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { controllerReference } from '../ownership.ts';
import { concernedServices, createSelection } from '../selection.ts';
import { deletion } from '../write.ts';
import { desiredGroups } from './desired.ts';
import { managedByLabel, managedSlices } from './managed-slices.ts';
import { packSlices } from './pack.ts';
import { TriggerTimes } from './trigger-times.ts';

const managedBy = 'endpointslice-controller.k8s.io';
const reserved: ReadonlySet<string> = new Set([serviceNameLabel, managedByLabel, headlessLabel]);
const serviceType = { apiVersion: 'v1', kind: 'Service' } as const;

/** Keeps the EndpointSlices of each Service with a selector (KEP-0752). Keys are `namespace/name` of the Service. */
export function endpointSliceController({ caches }: ControllerContext): Controller {
  const services = caches.informer('services');
  const nodes = caches.informer('nodes');
  const slices = managedSlices(caches, managedBy);
  const selection = createSelection(caches);
  const triggerTimes = new TriggerTimes();
  const zoneOf = (node: string) => nodes.store.get(node)?.metadata.labels?.[zoneLabel];

  return {
    name: 'endpointslice',
    concurrency: 16,
    coalesce: { initial: 2, max: 50 },
    watch(enqueue) {
      services.onChange(({ key }) => enqueue(key));
      caches.informer('pods').onChange((change) => {
        for (const key of concernedServices(selection, change)) enqueue(key);
      });
      nodes.onChange(({ previous, current }) => {
        if (previous?.metadata.labels?.[zoneLabel] === current?.metadata.labels?.[zoneLabel]) return;
        for (const key of services.store.keys()) enqueue(key);
      });
      slices.onChange(enqueue);
    },
    async reconcile(key, round) {
      const service = services.store.get(key);
      const existing = slices.of(key);
      if (service === undefined) {
        triggerTimes.forget(key);
        return round.apply(existing.map((slice) => deletion('endpointSlices', slice)));
      }
      // Who takes the selector away wants to keep the endpoints by hand: what is there is left as it is.
      if (!hasSelectedEndpoints(service) || service.metadata.deletionTimestamp !== undefined) return;
      const pods = selection.podsOf(service);
      await round.apply(
        packSlices({
          existing,
          groups: desiredGroups({ service, pods, zoneOf }),
          metadata: sliceMetadata(service),
          annotations: triggerTimes.next(key, service, pods),
        }),
      );
    },
  };
}

/** Whether a Service's endpoints are found by its selector. */
export function hasSelectedEndpoints({ spec }: Service): boolean {
  return spec?.type !== 'ExternalName' && Object.keys(spec?.selector ?? {}).length > 0;
}

/** Whether a Service has no virtual address of its own. */
export function isHeadless({ spec }: Service): boolean {
  return spec?.clusterIP === 'None' || (spec?.clusterIP ?? '') === '';
}

function sliceMetadata(service: Stored<Service>) {
  const { name, namespace = '', labels = {} } = service.metadata;
  return {
    generateName: `${name}-`,
    namespace,
    labels: {
      ...Object.fromEntries(Object.entries(labels).filter(([key]) => !reserved.has(key))),
      [serviceNameLabel]: name,
      [managedByLabel]: managedBy,
      ...(isHeadless(service) ? { [headlessLabel]: '' } : {}),
    },
    ownerReferences: [controllerReference(service, serviceType)],
  };
}
