import { isDeepStrictEqual } from 'node:util';
import type { Node, Pod } from '../../api/generated/types.ts';
import { objectKey, type Stored } from '../../api/object.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { controllerOf } from '../ownership.ts';
import { isActive, podCondition } from '../pod-state.ts';
import { formatTime } from '../time.ts';
import type { Write } from '../write.ts';
import { placePod } from './place.ts';

const schedulerName = 'default-scheduler';

/**
 * Gives each Pod without a node one. Resource requests are not weighed: on one machine all nodes share what there is.
 * Keys are `namespace/name` of the Pod.
 */
export function schedulerController({ caches }: ControllerContext): Controller {
  const pods = caches.informer('pods');
  const nodes = caches.informer('nodes');
  const podsByNode = caches.index('podsByNode');
  const podsByController = caches.index('podsByController');
  const orphansByNamespace = caches.index('orphansByNamespace');
  /** Pods whose binding the caches do not show yet, as if they did. */
  const assumed = new Map<string, Stored<Pod>>();
  const waiting = new Set<string>();

  const assumedWhere = (isOne: (pod: Stored<Pod>) => boolean) => [...assumed.values()].filter(isOne);
  const podsOn = (node: string) => [...podsByNode.get(node), ...assumedWhere(({ spec }) => spec?.nodeName === node)];

  function siblingsOf(pod: Stored<Pod>): Pod[] {
    const owner = controllerOf(pod)?.uid;
    if (owner !== undefined)
      return [...podsByController.get(owner), ...assumedWhere((other) => controllerOf(other)?.uid === owner)];
    const { namespace = '', labels = {} } = pod.metadata;
    const isAlike = (other: Stored<Pod>) =>
      other.metadata.namespace === namespace && isDeepStrictEqual(other.metadata.labels ?? {}, labels);
    return [...orphansByNamespace.get(namespace), ...assumed.values()].filter(isAlike);
  }

  return {
    name: 'scheduler',
    reporter: schedulerName,
    concurrency: 16,
    watch(enqueue) {
      pods.onChange(({ key, current }) => {
        if (current === undefined || current.spec?.nodeName) {
          assumed.delete(key);
          waiting.delete(key);
        } else if (isOurs(current)) {
          waiting.add(key);
          enqueue(key);
        }
      });
      nodes.onChange(({ previous, current }) => {
        if (!isDeepStrictEqual(schedulingFacts(previous), schedulingFacts(current)))
          for (const key of waiting) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const pod = pods.store.get(key);
      if (pod === undefined || pod.spec?.nodeName || !isOurs(pod) || assumed.has(key)) return;
      const placement = placePod({ pod, nodes: [...nodes.store.values()], podsOn, siblings: siblingsOf(pod) });
      if ('unschedulable' in placement) {
        const message = placement.unschedulable;
        const write = unschedulableWrite(pod, message, round.now);
        if (write !== undefined) round.record(pod, { type: 'Warning', reason: 'FailedScheduling', message });
        // A Pod that leaves a full node is not an event of the node.
        round.requeueAfter(5_000);
        return round.apply(write === undefined ? [] : [write]);
      }
      assumed.set(key, { ...pod, spec: { containers: [], ...pod.spec, nodeName: placement.node } });
      const { namespace, name, uid } = pod.metadata;
      try {
        await round.apply([{ verb: 'bind', place: { namespace, name }, uid, node: placement.node }]);
      } catch (error) {
        assumed.delete(key);
        throw error;
      }
      const message = `Successfully assigned ${objectKey(pod)} to ${placement.node}`;
      round.record(pod, { type: 'Normal', reason: 'Scheduled', message });
    },
  };
}

function isOurs(pod: Stored<Pod>): boolean {
  const { schedulerName: name = schedulerName, schedulingGates = [] } = pod.spec ?? {};
  return name === schedulerName && schedulingGates.length === 0 && isActive(pod);
}

/** What of a node decides whether Pods fit. */
function schedulingFacts(node: Stored<Node> | undefined): unknown {
  const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return node && [node.metadata.labels, node.spec?.taints, node.spec?.unschedulable, node.status?.allocatable, ready];
}

function unschedulableWrite(pod: Stored<Pod>, message: string, now: number): Write | undefined {
  const before = podCondition(pod, 'PodScheduled');
  if (before?.status === 'False' && before.message === message) return undefined;
  const since = before?.status === 'False' ? before.lastTransitionTime : undefined;
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    lastTransitionTime: since ?? formatTime(now),
  };
  const others = (pod.status?.conditions ?? []).filter((each) => each !== before);
  const status = { ...pod.status, conditions: [...others, condition] };
  return { verb: 'update', resource: 'pods', object: { ...pod, status }, subresource: 'status' };
}
