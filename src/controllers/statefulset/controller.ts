import { isDeepStrictEqual } from 'node:util';
import type { Controller, ControllerContext } from '../controller.ts';
import { applyPodWrites, workloadsOf } from '../workload-owners.ts';
import { planStatefulSet } from './plan.ts';
import { statefulSetType } from './pods.ts';

/** Keeps the numbered Pods of each StatefulSet. Keys are `namespace/name`. */
export function statefulSetController({ caches }: ControllerContext): Controller {
  const sets = caches.informer('statefulSets');
  const inNamespace = caches.index('statefulSetsByNamespace');
  const podsByController = caches.index('podsByController');
  const orphanPods = caches.index('orphansByNamespace');
  const revisionsByController = caches.index('revisionsByController');
  const orphanRevisions = caches.index('orphanRevisionsByNamespace');
  return {
    name: 'statefulset',
    concurrency: 8,
    watch(enqueue) {
      sets.onChange(({ key }) => enqueue(key));
      for (const resource of ['pods', 'controllerRevisions'] as const) {
        caches.informer(resource).onChange(({ previous, current }) => {
          for (const object of [previous, current]) {
            if (object === undefined) continue;
            for (const key of workloadsOf(object, statefulSetType, (ns) => inNamespace.get(ns))) enqueue(key);
          }
        });
      }
    },
    async reconcile(key, round) {
      const set = sets.store.get(key);
      if (set === undefined) return;
      const { namespace = '', name, uid } = set.metadata;
      const { writes, status, requeueAfterMs, refusal } = planStatefulSet({
        set,
        pods: [...podsByController.get(uid), ...orphanPods.get(namespace)],
        revisions: [...revisionsByController.get(uid), ...orphanRevisions.get(namespace)],
        now: round.now,
      });
      if (requeueAfterMs !== undefined) round.requeueAfter(requeueAfterMs);
      if (refusal !== undefined) round.record(set, { type: 'Warning', reason: 'FailedCreate', message: refusal });
      const describe = (verb: string, pod: string) => `${verb} Pod ${pod} in StatefulSet ${name} successful`;
      await applyPodWrites(round, set, { writes, describe });
      if (isDeepStrictEqual(status, set.status)) return;
      const object = { ...set, status };
      await round.apply([{ verb: 'update', resource: 'statefulSets', object, subresource: 'status' }]);
    },
  };
}
