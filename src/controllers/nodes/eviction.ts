import type { Node, Pod, Taint } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { isFinished, isTerminating, podCondition } from '../pod-state.ts';
import { tolerates } from '../taints.ts';
import { formatTime, parseTime } from '../time.ts';
import { deletion, type Write } from '../write.ts';
import { notReadyTaint, unreachableTaint } from './health.ts';

/** What Kubernetes gives Pods that say nothing of nodes in trouble. */
const defaultTolerationSeconds = 300;

/** A node and the Pods on it. */
export interface EvictionInput {
  readonly node: Stored<Node>;
  readonly pods: readonly Stored<Pod>[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Pods that are told not to be ready, or to go; and when the next one's time is up. */
export interface EvictionPlan {
  readonly writes: readonly Write[];
  readonly evicted: readonly Stored<Pod>[];
  readonly requeueAfterMs: number | undefined;
}

/**
 * What becomes of the Pods on a node that is not ready: they are not ready at once, so that no Service sends to them, and
 * are deleted when they have tolerated the node's NoExecute taints for long enough.
 */
export function planEviction({ node, pods, now }: EvictionInput): EvictionPlan {
  const taints = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const due = pods
    .filter((pod) => !isFinished(pod) && !isTerminating(pod))
    .map((pod) => ({ pod, ms: untilEviction(pod, taints, now) }));
  const evicted = due.filter(({ ms }) => ms <= 0).map(({ pod }) => pod);
  const waits = due.map(({ ms }) => ms).filter((ms) => ms > 0 && Number.isFinite(ms));
  const silenced = ready === 'False' || ready === 'Unknown' ? pods.flatMap((pod) => notReadyWrite(pod, now)) : [];
  return {
    writes: [...silenced, ...evicted.map((pod) => deletion('pods', pod))],
    evicted,
    requeueAfterMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
}

/** How long the Pod may stay; endlessly where it tolerates all taints without limit. */
function untilEviction({ spec }: Pod, taints: readonly Taint[], now: number): number {
  const tolerations = spec?.tolerations ?? [];
  const limits = taints.map((taint) => {
    const since = parseTime(taint.timeAdded) || now;
    const fitting = tolerations.filter((toleration) => tolerates(toleration, taint));
    if (fitting.length === 0) {
      const isTrouble = taint.key === notReadyTaint || taint.key === unreachableTaint;
      return isTrouble ? since + defaultTolerationSeconds * 1000 - now : 0;
    }
    const seconds = fitting.map(({ tolerationSeconds }) => Math.max(0, tolerationSeconds ?? Number.POSITIVE_INFINITY));
    return since + Math.min(...seconds) * 1000 - now;
  });
  return Math.min(Number.POSITIVE_INFINITY, ...limits);
}

function notReadyWrite(pod: Stored<Pod>, now: number): Write[] {
  const ready = podCondition(pod, 'Ready');
  if (ready?.status !== 'True') return [];
  const conditions = (pod.status?.conditions ?? []).map((condition) =>
    condition === ready ? { ...condition, status: 'False', lastTransitionTime: formatTime(now) } : condition,
  );
  return [
    {
      verb: 'update',
      resource: 'pods',
      object: { ...pod, status: { ...pod.status, conditions } },
      subresource: 'status',
    },
  ];
}
