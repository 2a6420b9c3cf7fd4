import type { NamespaceCondition } from '../../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../../api/object.ts';
import { type ResourceKey, resources } from '../../api/resources.ts';
import { formatTime } from '../time.ts';

/** An object that is in the way of its namespace's end. */
export interface Remaining {
  readonly resource: ResourceKey;
  readonly object: Stored<KubernetesObject>;
}

/**
 * What holds a namespace up, in the conditions by which `kubectl describe namespace` tells of it: how many objects of
 * which resources are left, and whose finalizers they wait for. One that says what it said `before` keeps its time.
 */
export function contentConditions(
  left: readonly Remaining[],
  before: readonly NamespaceCondition[],
  now: number,
): NamespaceCondition[] {
  const kinds = counted(left.map(({ resource }) => `${resources[resource].plural}.${resources[resource].group}`));
  const finalizers = counted(left.flatMap(({ object }) => object.metadata.finalizers ?? []));
  const content = kinds.map(([kind, count]) => `${kind} has ${count} resource instances`).join(', ');
  const waits = finalizers.map(([finalizer, count]) => `${finalizer} in ${count} resource instances`).join(', ');
  const next: NamespaceCondition[] = [
    {
      type: 'NamespaceContentRemaining',
      ...(content === ''
        ? { status: 'False', reason: 'ContentRemoved', message: 'All content successfully removed' }
        : { status: 'True', reason: 'SomeResourcesRemain', message: `Some resources are remaining: ${content}` }),
    },
    {
      type: 'NamespaceFinalizersRemaining',
      ...(waits === ''
        ? {
            status: 'False',
            reason: 'ContentHasNoFinalizers',
            message: 'All content-preserving finalizers finished',
          }
        : {
            status: 'True',
            reason: 'SomeFinalizersRemain',
            message: `Some content in the namespace has finalizers remaining: ${waits}`,
          }),
    },
  ];
  return next.map((condition) => {
    const old = before.find(({ type }) => type === condition.type);
    const isSame = old?.status === condition.status && old.message === condition.message;
    return isSame ? old : { ...condition, lastTransitionTime: formatTime(now) };
  });
}

function counted(names: readonly string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
}
