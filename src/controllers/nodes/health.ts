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

/** Ready is Unknown on a node whose agent is silent, and a node that is not ready is tainted. */
export function planNodeHealth(input: NodeHealthInput): Write[] {
  const conditions = input.alive ? (input.node.status?.conditions ?? []) : unknownConditions(input);
  const status = conditions === input.node.status?.conditions ? [] : [statusWrite(input.node, conditions)];
  return [...status, ...taintWrites(input, conditions.find(({ type }) => type === 'Ready')?.status)];
}

function unknownConditions({ node, now }: NodeHealthInput): NodeCondition[] {
  const before = node.status?.conditions ?? [];
  const missing = before.some(({ type }) => type === 'Ready') ? [] : ['Ready'];
  const stale = before.filter(({ type, status }) => reported.includes(type) && status !== 'Unknown');
  if (stale.length === 0 && missing.length === 0) return before;
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
function taintWrites({ node, now }: NodeHealthInput, ready: string | undefined): Write[] {
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
  const body = { metadata: { uid: node.metadata.uid }, spec: { taints: next } };
  return [{ verb: 'patch', resource: 'nodes', place: { name: node.metadata.name }, patch: { type: 'merge', body } }];
}
