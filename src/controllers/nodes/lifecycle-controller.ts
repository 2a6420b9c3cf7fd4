import type { Node } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { ApiError } from '../../client/types.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { planEviction } from './eviction.ts';
import { planNodeHealth } from './health.ts';

/** Namespace of the leases by which node agents say that they live; each has its node's name (KEP-0009). */
const leaseNamespace = 'kube-node-lease';

/** An API server that takes longer for one small answer has been away, or overloaded, milliseconds. */
const promptMs = 2_000;

/**
 * Notices nodes whose agent is silent or says it is not ready, and frees their Pods. Keys are node names. Time is measured here,
 * from when a renewal was seen: the clocks of other machines do not matter. A silence of the API server is nobody else's.
 */
export function nodeLifecycleController({ client, caches, now }: ControllerContext, gracePeriodMs: number): Controller {
  const nodes = caches.informer('nodes');
  const leases = caches.informer('leases');
  const podsByNode = caches.index('podsByNode');
  const lastSeen = new Map<string, number>();
  /** Whether the API server answers as it should: else nobody could be heard, and every node gets its whole time again. */
  const couldBeHeard = async (name: string) => {
    const asked = now();
    try {
      await client.get('nodes', { name });
      if (now() - asked < promptMs) return true;
    } catch (error) {
      if (error instanceof ApiError && error.code < 500) return true;
    }
    for (const node of lastSeen.keys()) lastSeen.set(node, now());
    return false;
  };

  return {
    name: 'nodelifecycle',
    reporter: 'node-controller',
    concurrency: 4,
    watch(enqueue) {
      nodes.onChange(({ key, previous, current }) => {
        const beat = (node: typeof current) =>
          node?.status?.conditions?.map(({ lastHeartbeatTime }) => lastHeartbeatTime).join();
        if (current === undefined) lastSeen.delete(key);
        else if (previous === undefined || beat(previous) !== beat(current)) lastSeen.set(key, now());
        enqueue(key);
      });
      leases.onChange(({ previous, current }) => {
        if (current?.metadata.namespace !== leaseNamespace) return;
        const { name } = current.metadata;
        if (previous?.spec?.renewTime === current.spec?.renewTime) return;
        lastSeen.set(name, now());
        // A renewal matters only to a node that was given up.
        if (nodes.store.get(name)?.status?.conditions?.some(({ status }) => status === 'Unknown')) enqueue(name);
      });
      caches.informer('pods').onChange(({ current }) => {
        const name = current?.spec?.nodeName;
        if (name !== undefined && (nodes.store.get(name)?.spec?.taints ?? []).length > 0) enqueue(name);
      });
    },
    async reconcile(key, round) {
      const node = nodes.store.get(key);
      if (node === undefined) return;
      const silentMs = round.now - (lastSeen.get(key) ?? round.now);
      const seemsAlive = silentMs < gracePeriodMs;
      const alive = seemsAlive || isGivenUp(node) ? seemsAlive : !(await couldBeHeard(key));
      if (alive) round.requeueAfter(seemsAlive ? gracePeriodMs - silentMs : gracePeriodMs);
      await round.apply(planNodeHealth({ node, alive, now: round.now }), (write) => {
        if (write.verb === 'patch' && write.place.subresource === 'status')
          round.record(node, {
            type: 'Normal',
            reason: 'NodeNotReady',
            message: `Node ${key} status is now: NodeNotReady`,
          });
      });
      const eviction = planEviction({ node, pods: podsByNode.get(key), now: round.now });
      if (eviction.requeueAfterMs !== undefined) round.requeueAfter(eviction.requeueAfterMs);
      await round.apply(eviction.writes);
      for (const pod of eviction.evicted)
        round.record(pod, {
          type: 'Normal',
          reason: 'TaintManagerEviction',
          message: `Marking for deletion Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
        });
    },
  };
}

function isGivenUp({ status }: Stored<Node>): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'Unknown';
}
