import type { DeleteOptions } from '../api/generated/types.ts';
import type { Resource } from '../api/resources.ts';
import { kubernetesTime } from './object-meta.ts';
import { conflict } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import type { Strategy } from './strategy.ts';

/**
 * What a delete request means for an object as it stands: remove it, mark it (the object to store), or nothing because
 * it is on its way already.
 * @throws StatusError 409 when a precondition does not hold
 */
export function planDeletion(
  { resource, strategy }: { readonly resource: Resource; readonly strategy: Strategy<ApiObject> },
  current: StoredObject,
  options: DeleteOptions,
): ApiObject | 'remove' | 'nothing' {
  checkPreconditions(resource, current, options);
  const { object } = current;
  const finalizers = finalizersFor(object.metadata.finalizers ?? [], options);
  const spec = object.spec as { finalizers?: readonly string[] } | undefined;
  const isAwaited = finalizers.length > 0 || (resource.kind === 'Namespace' && (spec?.finalizers ?? []).length > 0);
  const grace = strategy.gracePeriod?.(object, options.gracePeriodSeconds) ?? 0;
  if (grace === 0 && !isAwaited) return 'remove';
  const { deletionTimestamp, deletionGracePeriodSeconds = 0 } = object.metadata;
  const isFirst = deletionTimestamp === undefined;
  // A time once granted is only ever shortened.
  if (!isFirst && grace >= deletionGracePeriodSeconds) return 'nothing';
  return mark(object, strategy, { finalizers, grace, isFirst });
}

function mark(
  object: ApiObject,
  strategy: Strategy<ApiObject>,
  how: { readonly finalizers: readonly string[]; readonly grace: number; readonly isFirst: boolean },
): ApiObject {
  const { resourceVersion: _, finalizers: __, ...metadata } = object.metadata;
  const counted = strategy.generationOf !== undefined && how.isFirst;
  const marked: ApiObject = {
    ...object,
    metadata: {
      ...metadata,
      ...(how.finalizers.length === 0 ? {} : { finalizers: [...how.finalizers] }),
      ...(counted ? { generation: (metadata.generation ?? 0) + 1 } : {}),
      deletionTimestamp: kubernetesTime(new Date(Date.now() + how.grace * 1000)),
      deletionGracePeriodSeconds: how.grace,
    },
  };
  if (object.kind === 'Namespace') marked.status = { ...(object.status as object | undefined), phase: 'Terminating' };
  return marked;
}

function checkPreconditions(resource: Resource, current: StoredObject, { preconditions }: DeleteOptions): void {
  const { name, uid } = current.object.metadata;
  const check = (what: 'UID' | 'ResourceVersion', asked: string | undefined, actual: string) => {
    if (asked !== undefined && asked !== actual) {
      const happened = what === 'UID' ? 'deleted and then recreated' : 'modified';
      const problem = `the ${what} in the precondition (${asked}) does not match the ${what} in record (${actual}). The object might have been ${happened}`;
      throw conflict(resource, name, problem);
    }
  };
  check('UID', preconditions?.uid, uid);
  check('ResourceVersion', preconditions?.resourceVersion, String(current.revision));
}

/** The finalizers by which the garbage collector learns what is to become of dependents. */
function finalizersFor(present: readonly string[], options: DeleteOptions): readonly string[] {
  const policy = options.propagationPolicy ?? (options.orphanDependents === true ? 'Orphan' : undefined);
  if (policy === undefined && options.orphanDependents === undefined) return present;
  const others = present.filter((finalizer) => finalizer !== 'orphan' && finalizer !== 'foregroundDeletion');
  if (policy === 'Orphan') return [...others, 'orphan'];
  return policy === 'Foreground' ? [...others, 'foregroundDeletion'] : others;
}
