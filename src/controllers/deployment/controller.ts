import { isDeepStrictEqual } from 'node:util';
import type { Deployment, ReplicaSet } from '../../api/generated/types.ts';
import { matchLabelSelector } from '../../api/label-selector.ts';
import type { Stored } from '../../api/object.ts';
import { ApiError } from '../../client/types.ts';
import type { Controller, ControllerContext, Round } from '../controller.ts';
import { controllerOf } from '../ownership.ts';
import type { Write } from '../write.ts';
import { planDeployment } from './plan.ts';
import { deploymentType, replicaSetName, revisionAnnotation, revisionOf } from './replica-sets.ts';

/** Rolls each Deployment's template out over its ReplicaSets. Keys are `namespace/name`. */
export function deploymentController({ caches }: ControllerContext): Controller {
  const deployments = caches.informer('deployments');
  const replicaSets = caches.informer('replicaSets');
  const replicaSetsByController = caches.index('replicaSetsByController');
  const orphansByNamespace = caches.index('orphanReplicaSetsByNamespace');
  const podsByController = caches.index('podsByController');

  function ownersOf(replicaSet: Stored<ReplicaSet>): string[] {
    const { namespace = '', labels } = replicaSet.metadata;
    const controller = controllerOf(replicaSet);
    if (controller !== undefined)
      return controller.kind === deploymentType.kind ? [`${namespace}/${controller.name}`] : [];
    return [...deployments.store]
      .filter(
        ([, { metadata, spec }]) => metadata.namespace === namespace && matchLabelSelector(spec?.selector)(labels),
      )
      .map(([key]) => key);
  }

  return {
    name: 'deployment',
    concurrency: 8,
    watch(enqueue) {
      deployments.onChange(({ key }) => enqueue(key));
      replicaSets.onChange(({ previous, current }) => {
        for (const each of [previous, current]) if (each !== undefined) for (const key of ownersOf(each)) enqueue(key);
      });
      // Recreate waits for the last Pod of the old template to go.
      caches.informer('pods').onChange(({ previous, current }) => {
        if (previous === undefined || current !== undefined) return;
        const owner = controllerOf(previous);
        const replicaSet = replicaSets.store.get(`${previous.metadata.namespace}/${owner?.name}`);
        if (replicaSet !== undefined) for (const key of ownersOf(replicaSet)) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const deployment = deployments.store.get(key);
      if (deployment === undefined) return;
      const { namespace = '', uid } = deployment.metadata;
      const plan = planDeployment({
        deployment,
        replicaSets: [...replicaSetsByController.get(uid), ...orphansByNamespace.get(namespace)],
        podsOf: (replicaSet) => podsByController.get(replicaSet.metadata.uid),
        now: round.now,
      });
      if (plan.requeueAfterMs !== undefined) round.requeueAfter(plan.requeueAfterMs);
      if (await collides(round, deployment, plan.writes)) return;
      for (const message of plan.messages)
        round.record(deployment, { type: 'Normal', reason: 'ScalingReplicaSet', message });
      await round.apply(statusWrites(deployment, plan.status, plan.revision));
    },
  };
}

/**
 * Applies the writes. When the new ReplicaSet's name is taken by another, another name is to be tried: the next round
 * takes it from the collision count, which is stored for that.
 */
async function collides(round: Round, deployment: Stored<Deployment>, writes: readonly Write[]): Promise<boolean> {
  try {
    await round.apply(writes);
    return false;
  } catch (error) {
    const creates = writes.some(({ verb }) => verb === 'create');
    if (!creates || !(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
    const collisionCount = (deployment.status?.collisionCount ?? 0) + 1;
    const message = `The name ${replicaSetName(deployment)} is taken by another ReplicaSet`;
    round.record(deployment, { type: 'Warning', reason: 'HashCollision', message });
    await round.apply(statusWrites(deployment, { ...deployment.status, collisionCount }));
    return true;
  }
}

/** The rollout's number goes along with the status: so it makes no new generation of the Deployment. */
function statusWrites(
  deployment: Stored<Deployment>,
  status: Deployment['status'],
  revision = revisionOf(deployment),
): Write[] {
  const isNumbered = revision === revisionOf(deployment);
  if (isNumbered && (status === undefined || isDeepStrictEqual(status, deployment.status))) return [];
  const annotations = { ...deployment.metadata.annotations, [revisionAnnotation]: String(revision) };
  const metadata = isNumbered ? deployment.metadata : { ...deployment.metadata, annotations };
  const object = { ...deployment, metadata, ...(status === undefined ? {} : { status }) };
  return [{ verb: 'update', resource: 'deployments', object, subresource: 'status' }];
}
