import { isDeepStrictEqual } from 'node:util';
import type { Node } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { applyPodWrites, workloadsOf } from '../workload-owners.ts';
import { daemonSetType, planDaemonSet } from './plan.ts';

/** Keeps one Pod of each DaemonSet on every node that it is for. Keys are `namespace/name`. */
export function daemonSetController({ caches }: ControllerContext): Controller {
  const sets = caches.informer('daemonSets');
  const nodes = caches.informer('nodes');
  const inNamespace = caches.index('daemonSetsByNamespace');
  const podsByController = caches.index('podsByController');
  const orphanPods = caches.index('orphansByNamespace');
  const revisionsByController = caches.index('revisionsByController');
  const orphanRevisions = caches.index('orphanRevisionsByNamespace');
  return {
    name: 'daemonset',
    concurrency: 8,
    watch(enqueue) {
      sets.onChange(({ key }) => enqueue(key));
      nodes.onChange(({ previous, current }) => {
        if (!isDeepStrictEqual(facts(previous), facts(current))) for (const key of sets.store.keys()) enqueue(key);
      });
      for (const resource of ['pods', 'controllerRevisions'] as const) {
        caches.informer(resource).onChange(({ previous, current }) => {
          for (const object of [previous, current]) {
            if (object === undefined) continue;
            for (const key of workloadsOf(object, daemonSetType, (ns) => inNamespace.get(ns))) enqueue(key);
          }
        });
      }
    },
    async reconcile(key, round) {
      const set = sets.store.get(key);
      if (set === undefined) return;
      const { namespace = '', uid } = set.metadata;
      const { writes, status, requeueAfterMs } = planDaemonSet({
        set,
        nodes: [...nodes.store.values()],
        pods: [...podsByController.get(uid), ...orphanPods.get(namespace)],
        revisions: [...revisionsByController.get(uid), ...orphanRevisions.get(namespace)],
        now: round.now,
      });
      if (requeueAfterMs !== undefined) round.requeueAfter(requeueAfterMs);
      const describe = (verb: string, pod: string) => `${verb === 'create' ? 'Created' : 'Deleted'} pod: ${pod}`;
      await applyPodWrites(round, set, { writes, describe });
      if (isDeepStrictEqual(status, set.status)) return;
      const object = { ...set, status };
      await round.apply([{ verb: 'update', resource: 'daemonSets', object, subresource: 'status' }]);
    },
  };
}

/** What of a node decides whether daemons go there. */
function facts(node: Stored<Node> | undefined): unknown {
  return node === undefined ? undefined : [node.metadata.name, node.metadata.labels, node.spec?.taints];
}
