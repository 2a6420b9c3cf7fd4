import type { Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { ApiError } from '../../client/types.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { isFinished, isTerminating } from '../pod-state.ts';
import { formatTime } from '../time.ts';
import { deletion, type Write } from '../write.ts';

/**
 * Deletes Pods that no node agent will ever end: those of nodes that are gone, and those that were deleted before they
 * had a node. Keys are `namespace/name` of the Pod.
 */
export function podGarbageController({ client, caches, now }: ControllerContext, quarantineMs: number): Controller {
  const pods = caches.informer('pods');
  const nodes = caches.informer('nodes');
  const podsByNode = caches.index('podsByNode');
  /** When a node was first missed. It may be there again in a moment, and its Pods still run. */
  const missedSince = new Map<string, number>();

  async function isGone(name: string): Promise<boolean> {
    return client.get('nodes', { name }).then(
      () => false,
      (error: unknown) => {
        if (error instanceof ApiError && error.code === 404) return true;
        throw error;
      },
    );
  }

  return {
    name: 'podgc',
    concurrency: 4,
    watch(enqueue) {
      pods.onChange(({ key, current }) => {
        const node = current?.spec?.nodeName;
        if (current !== undefined && (node ? !nodes.store.has(node) : isTerminating(current))) enqueue(key);
      });
      nodes.onChange(({ key, current }) => {
        if (current !== undefined) missedSince.delete(key);
        else for (const pod of podsByNode.get(key)) enqueue(`${pod.metadata.namespace}/${pod.metadata.name}`);
      });
    },
    async reconcile(key, round) {
      const pod = pods.store.get(key);
      const node = pod?.spec?.nodeName;
      if (pod === undefined) return;
      if (!node) return round.apply(isTerminating(pod) ? [deletion('pods', pod, { gracePeriodSeconds: 0 })] : []);
      if (nodes.store.has(node)) return;
      const since = missedSince.get(node) ?? now();
      missedSince.set(node, since);
      const left = since + quarantineMs - round.now;
      if (left > 0) return round.requeueAfter(left);
      if (!(await isGone(node))) return;
      await round.apply(failedWrites(pod, round.now));
      await round.apply([deletion('pods', pod, { gracePeriodSeconds: 0 })]);
      if (podsByNode.count(node) <= 1) missedSince.delete(node);
    },
  };
}

/** Says what became of the Pod, for those who watch it. */
function failedWrites(pod: Stored<Pod>, now: number): Write[] {
  if (isFinished(pod)) return [];
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'DeletionByPodGC',
    message: 'PodGC: node no longer exists',
    lastTransitionTime: formatTime(now),
  };
  const others = (pod.status?.conditions ?? []).filter(({ type }) => type !== condition.type);
  const status = { ...pod.status, phase: 'Failed', conditions: [...others, condition] };
  return [{ verb: 'update', resource: 'pods', object: { ...pod, status }, subresource: 'status' }];
}
