import type { Pod } from '../../api/generated/types.ts';
import { matchLabelSelector } from '../../api/label-selector.ts';
import { objectKey, type Stored } from '../../api/object.ts';
import type { Controller, ControllerContext, Round } from '../controller.ts';
import { controllerOf } from '../ownership.ts';
import { planReplicaSet, replicaSetStatusWrites, replicaSetType } from './plan.ts';

/** Keeps as many Pods of each ReplicaSet as it asks for. Keys are `namespace/name`. */
export function replicaSetController({ caches }: ControllerContext): Controller {
  const replicaSets = caches.informer('replicaSets');
  const podsByController = caches.index('podsByController');
  const orphansByNamespace = caches.index('orphansByNamespace');
  const ofNamespace = caches.index('replicaSetsByNamespace');
  const ofController = caches.index('replicaSetsByController');

  function ownersOf(pod: Stored<Pod>): string[] {
    const { namespace = '', labels } = pod.metadata;
    const controller = controllerOf(pod);
    if (controller !== undefined)
      return controller.kind === replicaSetType.kind ? [`${namespace}/${controller.name}`] : [];
    // An orphan: whoever selects it may want to adopt it.
    return ofNamespace
      .get(namespace)
      .filter(({ spec }) => matchLabelSelector(spec?.selector)(labels))
      .map(objectKey);
  }

  return {
    name: 'replicaset',
    concurrency: 8,
    watch(enqueue) {
      replicaSets.onChange(({ key }) => enqueue(key));
      caches.informer('pods').onChange(({ previous, current }) => {
        for (const pod of [previous, current]) if (pod !== undefined) for (const key of ownersOf(pod)) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const replicaSet = replicaSets.store.get(key);
      if (replicaSet === undefined) return;
      const { namespace = '', uid } = replicaSet.metadata;
      const parent = controllerOf(replicaSet);
      const siblings = parent === undefined ? [replicaSet] : ofController.get(parent.uid);
      const plan = planReplicaSet({
        replicaSet,
        pods: [...podsByController.get(uid), ...orphansByNamespace.get(namespace)],
        relatedPods: siblings.flatMap((sibling) => podsByController.get(sibling.metadata.uid)),
        now: round.now,
      });
      if (plan.requeueAfterMs !== undefined) round.requeueAfter(plan.requeueAfterMs);
      const error = await applyAndTell(round, replicaSet, plan.writes);
      const failure =
        error === undefined
          ? undefined
          : ({
              reason: plan.writes.some((w) => w.verb === 'create') ? 'FailedCreate' : 'FailedDelete',
              message: error.message,
            } as const);
      await round.apply(replicaSetStatusWrites({ replicaSet, owned: plan.owned, failure, now: round.now }));
      if (error !== undefined) throw error;
    },
  };
}

type Plan = ReturnType<typeof planReplicaSet>;

/** Applies the writes with the events Kubernetes has for them; a failure is returned, since the status is to tell it. */
async function applyAndTell(
  round: Round,
  replicaSet: Parameters<typeof replicaSetStatusWrites>[0]['replicaSet'],
  writes: Plan['writes'],
): Promise<Error | undefined> {
  const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
    round.record(replicaSet, { type, reason, message });
  try {
    await round.apply(writes, (write, stored) => {
      if (write.verb === 'create') tell('Normal', 'SuccessfulCreate', `Created pod: ${stored?.metadata.name}`);
      if (write.verb === 'delete') tell('Normal', 'SuccessfulDelete', `Deleted pod: ${write.place.name}`);
    });
    return undefined;
  } catch (cause) {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    if (writes.some(({ verb }) => verb === 'create'))
      tell('Warning', 'FailedCreate', `Error creating: ${error.message}`);
    return error;
  }
}
