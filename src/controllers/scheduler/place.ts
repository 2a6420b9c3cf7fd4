import type { Node, Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { isActive } from '../pod-state.ts';
import { misfit } from './fit.ts';

/** What the choice of a node rests on. */
export interface PlaceInput {
  readonly pod: Stored<Pod>;
  readonly nodes: readonly Stored<Node>[];
  /** Pods on a node by its name, those whose binding is under way included. */
  readonly podsOn: (node: string) => readonly Pod[];
  /** Pods that do the same work as this one. */
  readonly siblings: readonly Pod[];
}

/** Where a Pod goes, or why it goes nowhere. */
export type Placement = { readonly node: string } | { readonly unschedulable: string };

/**
 * Chooses a node for a Pod: of those it fits on the one with the fewest of its siblings, then with the fewest Pods, then
 * the first by name.
 */
export function placePod({ pod, nodes, podsOn, siblings }: PlaceInput): Placement {
  const reasons = new Map<string, number>();
  const fitting: { readonly name: string; readonly siblings: number; readonly pods: number }[] = [];
  for (const node of nodes) {
    const { name } = node.metadata;
    const there = podsOn(name);
    const reason = misfit(pod, node, there);
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    else
      fitting.push({
        name,
        siblings: siblings.filter((sibling) => sibling.spec?.nodeName === name && isActive(sibling)).length,
        pods: there.length,
      });
  }
  fitting.sort((a, b) => a.siblings - b.siblings || a.pods - b.pods || (a.name < b.name ? -1 : 1));
  return fitting[0] === undefined ? { unschedulable: explain(nodes.length, reasons) } : { node: fitting[0].name };
}

function explain(nodes: number, reasons: ReadonlyMap<string, number>): string {
  if (nodes === 0) return 'no nodes available to schedule pods';
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${nodes} nodes are available: ${parts.join(', ')}.`;
}
