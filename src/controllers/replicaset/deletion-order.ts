import type { Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { readySince } from '../pod-state.ts';
import { parseTime } from '../time.ts';

const costAnnotation = 'controller.kubernetes.io/pod-deletion-cost';
const phaseRank: { readonly [phase: string]: number } = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * The Pods in the order in which Kubernetes takes them away when there are too many: first those that serve least and
 * are missed least. `related` are all Pods that do the same work, to leave nodes with several of them first.
 * Criteria in order: no node; phase; not ready; deletion cost; company on the node; ready for less long; more restarts; younger.
 */
export function deletionOrder(pods: readonly Stored<Pod>[], related: readonly Pod[], now: number): Stored<Pod>[] {
  const onNode = new Map<string, number>();
  for (const { spec } of related) if (spec?.nodeName) onNode.set(spec.nodeName, (onNode.get(spec.nodeName) ?? 0) + 1);
  const ranked = pods.map((pod) => ({ pod, rank: ranks(pod, onNode.get(pod.spec?.nodeName ?? '') ?? 0, now) }));
  ranked.sort((a, b) => {
    const at = a.rank.findIndex((value, i) => value !== b.rank[i]);
    if (at !== -1) return (a.rank[at] ?? 0) - (b.rank[at] ?? 0);
    return a.pod.metadata.uid < b.pod.metadata.uid ? -1 : 1;
  });
  return ranked.map(({ pod }) => pod);
}

/** Lower goes first. */
function ranks(pod: Stored<Pod>, companions: number, now: number): number[] {
  const since = readySince(pod);
  const restarts = (pod.status?.containerStatuses ?? []).map((status) => status.restartCount);
  return [
    pod.spec?.nodeName ? 1 : 0,
    phaseRank[pod.status?.phase ?? ''] ?? 0,
    since === undefined ? 0 : 1,
    deletionCost(pod),
    -companions,
    since === undefined ? 0 : logarithmic(now - since),
    -Math.max(0, ...restarts),
    logarithmic(now - parseTime(pod.metadata.creationTimestamp)),
  ];
}

/** A 32-bit integer; anything else counts as none. */
function deletionCost(pod: Stored<Pod>): number {
  const text = pod.metadata.annotations?.[costAnnotation] ?? '0';
  const cost = /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : 0;
  return Math.abs(cost) <= 2 ** 31 - 1 ? cost : 0;
}

/** Ages compare by order of magnitude only: else a scale-down would always take the youngest, whose spread may be the best (KEP-2185). */
function logarithmic(ageMs: number): number {
  return ageMs <= 0 ? -1 : Math.floor(Math.log2(ageMs * 1e6));
}
