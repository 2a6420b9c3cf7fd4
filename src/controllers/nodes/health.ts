import type { Node, NodeCondition, Taint } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import type { Write } from '../write.ts';

export const notReadyTaint = 'node.kubernetes.io/not-ready';
export const unreachableTaint = 'node.kubernetes.io/unreachable';

/** Conditions a node agent reports; nobody knows them once it is silent. */
const reported = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'];

/** What is known of a node's agent. */
export interface NodeHealthInput {
  readonly node: Stored<Node>;
  /** Whether its lease or status was renewed within the grace period. */
  readonly alive: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * Ready becomes Unknown on a node whose agent is silent, and a node that is not ready is tainted: one step at a time,
 * each from what is stored.
 */
export function planNodeHealth(input: NodeHealthInput): Write[] {
  const conditions = input.alive ? undefined : unknownConditions(input);
  return conditions === undefined ? taintWrites(input) : [statusWrite(input.node, conditions)];
}

/** The conditions of a silent node; undefined when they say already that nothing is known. */
function unknownConditions({ node, now }: NodeHealthInput): NodeCondition[] | undefined {
  const before = node.status?.conditions ?? [];
  const missing = before.some(({ type }) => type === 'Ready') ? [] : ['Ready'];
  const stale = before.filter(({ type, status }) => reported.includes(type) && status !== 'Unknown');
  if (stale.length === 0 && missing.length === 0) return undefined;
  const time = formatTime(now);
  const unknown = (condition: Pick<NodeCondition, 'type'>): NodeCondition => ({
    ...condition,
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
    lastTransitionTime: time,
  });
  return [
    ...before.map((condition) => (stale.includes(condition) ? unknown(condition) : condition)),
    ...missing.map((type) => unknown({ type })),
  ];
}

function statusWrite({ metadata }: Stored<Node>, conditions: readonly NodeCondition[]): Write {
  const { name, resourceVersion } = metadata;
  return {
    verb: 'patch',
    resource: 'nodes',
    place: { name, subresource: 'status' },
    patch: { type: 'merge', body: { metadata: { resourceVersion }, status: { conditions } } },
  };
}

/**
 * Unreachable when Ready is unknown, not-ready when it is false: no new Pods, and those there are evicted. A node that
 * has not told yet gets no Pods in any case, and needs no taint for that.
 */
function taintWrites({ node, now }: NodeHealthInput): Write[] {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  const wanted = ready === 'Unknown' ? [unreachableTaint] : ready === 'False' ? [notReadyTaint] : [];
  const before = node.spec?.taints ?? [];
  const isOurs = ({ key }: Taint) => key === notReadyTaint || key === unreachableTaint;
  const taints = wanted.flatMap((key) =>
    ['NoSchedule', 'NoExecute'].map(
      (effect): Taint =>
        before.find((t) => t.key === key && t.effect === effect) ?? { key, effect, timeAdded: formatTime(now) },
    ),
  );
  const ours = before.filter(isOurs);
  if (ours.length === taints.length && taints.every((taint) => ours.includes(taint))) return [];
  const next = [...before.filter((taint) => !isOurs(taint)), ...taints];
  const { uid, resourceVersion } = node.metadata;
  const body = { metadata: { uid, resourceVersion }, spec: { taints: next } };
  return [{ verb: 'patch', resource: 'nodes', place: { name: node.metadata.name }, patch: { type: 'merge', body } }];
}
