import type { Controller, ControllerContext } from '../controller.ts';
import { hasSelectedEndpoints } from '../endpointslice/controller.ts';
import { TriggerTimes } from '../endpointslice/trigger-times.ts';
import { concernedServices, createSelection } from '../selection.ts';
import { deletion } from '../write.ts';
import { managedBy, managedByLabel, planEndpoints } from './plan.ts';

/** Keeps the Endpoints of each Service with a selector, under its name. Keys are `namespace/name` of the Service. */
export function endpointsController({ caches }: ControllerContext): Controller {
  const services = caches.informer('services');
  const endpoints = caches.informer('endpoints');
  const selection = createSelection(caches);
  const triggerTimes = new TriggerTimes();

  return {
    name: 'endpoints',
    concurrency: 16,
    coalesce: { initial: 2, max: 50 },
    watch(enqueue) {
      services.onChange(({ key }) => enqueue(key));
      caches.informer('pods').onChange((change) => {
        for (const key of concernedServices(selection, change)) enqueue(key);
      });
      endpoints.onChange(({ key, previous, current }) => {
        // Endpoints made by hand may be there before their Service.
        const ours = (current ?? previous)?.metadata.labels?.[managedByLabel] === managedBy;
        if (ours || services.store.has(key)) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const service = services.store.get(key);
      const existing = endpoints.store.get(key);
      if (service === undefined) {
        triggerTimes.forget(key);
        if (existing !== undefined) await round.apply([deletion('endpoints', existing)]);
        return;
      }
      if (!hasSelectedEndpoints(service) || service.metadata.deletionTimestamp !== undefined) return;
      const pods = selection.podsOf(service);
      const annotations = triggerTimes.next(key, service, pods);
      await round.apply(planEndpoints({ service, pods, existing, annotations }));
    },
  };
}
