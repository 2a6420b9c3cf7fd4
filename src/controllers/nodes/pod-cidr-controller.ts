import type { Controller, ControllerContext } from '../controller.ts';
import { allocatePodCidrs, type PodNetwork, podCidrWrite, takenPodCidrs } from './pod-cidr.ts';

/** Gives each node its part of the Pod network. Keys are node names. */
export function podCidrController({ caches }: ControllerContext, networks: readonly PodNetwork[]): Controller {
  const nodes = caches.informer('nodes');
  /** Parts given away in writes that the cache does not show yet, by node. */
  const promised = new Map<string, readonly string[]>();
  return {
    name: 'nodeipam',
    concurrency: 1,
    watch(enqueue) {
      nodes.onChange(({ key, current }) => {
        if (current === undefined || current.spec?.podCIDR) promised.delete(key);
        if (current !== undefined && !current.spec?.podCIDR) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const node = nodes.store.get(key);
      if (node === undefined || node.spec?.podCIDR || node.metadata.deletionTimestamp !== undefined) return;
      const taken = takenPodCidrs(nodes.store.values());
      for (const each of [...promised.values()].flat()) taken.add(each);
      const cidrs = allocatePodCidrs(key, networks, taken);
      promised.set(key, cidrs);
      try {
        await round.apply([podCidrWrite(node, cidrs)]);
      } catch (error) {
        promised.delete(key);
        throw error;
      }
    },
  };
}
