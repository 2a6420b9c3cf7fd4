import { isDeepStrictEqual } from 'node:util';
import type { ClusterRole, ClusterRoleBinding, ObjectMeta } from '../../api/generated/types.ts';
import type { ResourceKey } from '../../api/resources.ts';
import type { Registry } from '../registry.ts';
import { StatusError } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';
import { defaultClusterRoleBindings } from './default-bindings.ts';
import { defaultClusterRoles } from './default-roles.ts';
import { missingRules } from './policy-rule.ts';

type RbacRegistries = { readonly [K in Extract<ResourceKey, 'clusterRoles' | 'clusterRoleBindings'>]: Registry };

const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';
const marks = {
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' },
  annotations: { [autoUpdate]: 'true' },
};

/**
 * Makes the default cluster roles and bindings, and gives back to those that are there what they lost: rules, subjects,
 * labels. What somebody added stays. Objects whose annotation `autoupdate` is not `true` are left alone.
 */
export async function reconcileDefaults({ clusterRoles, clusterRoleBindings }: RbacRegistries): Promise<void> {
  await Promise.all([
    ...defaultClusterRoles.map((wanted) => reconcile(clusterRoles, withMarks(wanted), restoreRole)),
    ...defaultClusterRoleBindings.map((wanted) => reconcile(clusterRoleBindings, withMarks(wanted), restoreBinding)),
  ]);
}

function withMarks<T extends { metadata?: ObjectMeta }>(object: T): T {
  const { labels } = object.metadata ?? {};
  return { ...object, metadata: { ...object.metadata, ...marks, labels: { ...marks.labels, ...labels } } };
}

async function reconcile<T extends ClusterRole | ClusterRoleBinding>(
  registry: Registry,
  wanted: T,
  restore: (found: T, wanted: T) => T,
): Promise<void> {
  const name = wanted.metadata?.name ?? '';
  const found = registry.cache.get(name)?.object as T | undefined;
  try {
    if (found === undefined) {
      await registry.create(structuredClone(wanted) as unknown as ApiObject, undefined, { dryRun: false });
      return;
    }
    if (found.metadata?.annotations?.[autoUpdate] !== 'true') return;
    const next = restore(structuredClone(found), wanted);
    if (isDeepStrictEqual(next, found)) return;
    if (!isSameRole(next, found)) {
      // What is granted cannot be changed, only granted anew.
      await registry.delete({ namespace: undefined, name }, {});
      await registry.create(structuredClone(wanted) as unknown as ApiObject, undefined, { dryRun: false });
      return;
    }
    const options = { dryRun: false, part: 'main' } as const;
    await registry.update({ namespace: undefined, name }, () => structuredClone(next) as unknown as ApiObject, options);
  } catch (error) {
    // Another API server of the same store does the same at the same time.
    if (!(error instanceof StatusError) || error.status.code !== 409) throw error;
  }
}

function isSameRole(next: ClusterRole | ClusterRoleBinding, found: ClusterRole | ClusterRoleBinding): boolean {
  return !('roleRef' in next && 'roleRef' in found) || isDeepStrictEqual(next.roleRef, found.roleRef);
}

function restoreRole(found: ClusterRole, wanted: ClusterRole): ClusterRole {
  const { rules = [] } = found;
  const next = restoreMarks(found, wanted);
  if (wanted.aggregationRule !== undefined) return { ...next, aggregationRule: wanted.aggregationRule };
  return { ...next, rules: [...rules, ...missingRules(rules, wanted.rules ?? [])] };
}

function restoreBinding(found: ClusterRoleBinding, wanted: ClusterRoleBinding): ClusterRoleBinding {
  const { subjects = [] } = found;
  const missing = (wanted.subjects ?? []).filter(
    (subject) => !subjects.some((one) => isDeepStrictEqual({ ...one }, subject)),
  );
  const next = { ...restoreMarks(found, wanted), roleRef: wanted.roleRef };
  return missing.length === 0 ? next : { ...next, subjects: [...subjects, ...missing] };
}

function restoreMarks<T extends { metadata?: ObjectMeta }>(found: T, wanted: T): T {
  const labels = { ...found.metadata?.labels, ...wanted.metadata?.labels };
  return { ...found, metadata: { ...found.metadata, labels } };
}
