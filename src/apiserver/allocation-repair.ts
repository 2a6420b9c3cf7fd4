import { randomBytes } from 'node:crypto';
import type { CoreEvent, Service } from '../api/generated/types.ts';
import { kubernetesTime } from './object-meta.ts';
import type { Registry } from './registry.ts';
import type { DoubledAllocation } from './service-allocator.ts';
import type { ApiObject } from './stored-object.ts';

const reporter = 'service-allocator';

/**
 * Says of every Service that has an address or port which another had first, by an event of the name that Kubernetes
 * has for it. The Service keeps what it has, because its clients use it: it is for its owner to make it anew.
 */
export async function reportDoubled(
  { services, events }: { readonly services: Registry; readonly events: Registry },
  { doubled, onError }: { readonly doubled: readonly DoubledAllocation[]; readonly onError: (error: unknown) => void },
): Promise<void> {
  for (const { key, item, owner } of doubled) {
    const service = services.cache.get(key)?.object as (ApiObject & Service) | undefined;
    if (service === undefined) continue;
    const isPort = typeof item === 'number';
    const message = isPort
      ? `Node port ${item} was assigned to multiple services, of which ${owner} has it; please recreate service`
      : `Cluster IP ${item} was assigned to multiple services, of which ${owner} has it; please recreate service`;
    const { name = '', namespace = 'default', uid = '', resourceVersion = '' } = service.metadata;
    const now = kubernetesTime();
    const event: CoreEvent & ApiObject = {
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Service', name, namespace, uid, resourceVersion },
      reason: isPort ? 'PortAlreadyAllocated' : 'ClusterIPAlreadyAllocated',
      message,
      type: 'Warning',
      source: { component: reporter },
      reportingComponent: reporter,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
    // A namespace on its way out takes no events; its Services go with it.
    await events.create(event, namespace, { dryRun: false }).catch(onError);
  }
}
