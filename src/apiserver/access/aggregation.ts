import { isDeepStrictEqual } from 'node:util';
import type { ClusterRole, PolicyRule } from '../../api/generated/types.ts';
import { matchLabelSelector } from '../../api/label-selector.ts';
import type { Registry } from '../registry.ts';
import { StatusError } from '../status.ts';

/**
 * Fills the rules of cluster roles that are made of others (`aggregationRule`), once. Whoever has the right to label a
 * role has the right to what it has, so nobody's rights are asked.
 */
export async function aggregateRoles(clusterRoles: Registry): Promise<void> {
  // A sum may be a part of another one: admin has what edit has. Each round goes one step further up.
  for (let changed = true; changed; ) {
    const stored = clusterRoles.cache.list().map(({ object }): ClusterRole => object as ClusterRole);
    const results = await Promise.all(stored.map((role) => aggregate(clusterRoles, role, stored)));
    changed = results.includes(true);
  }
}

/** Does so whenever cluster roles change; the result ends it. */
export function keepAggregated(clusterRoles: Registry, onError: (error: unknown) => void): () => void {
  let isRunning = false;
  let isWanted = false;
  const run = async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await aggregateRoles(clusterRoles).catch(onError);
    }
    isRunning = false;
  };
  const stop = clusterRoles.cache.listen(() => void run());
  return () => {
    isWanted = false;
    stop();
  };
}

async function aggregate(registry: Registry, role: ClusterRole, all: readonly ClusterRole[]): Promise<boolean> {
  if (role.aggregationRule === undefined) return false;
  const rules = aggregatedRules(role, all);
  if (isDeepStrictEqual(rules, role.rules ?? [])) return false;
  const place = { namespace: undefined, name: role.metadata?.name ?? '' };
  try {
    await registry.update(place, ({ object }) => ({ ...structuredClone(object), rules: structuredClone(rules) }), {
      dryRun: false,
      part: 'main',
    });
    return true;
  } catch (error) {
    // Deleted meanwhile, or changed: that is an event of its own.
    if (error instanceof StatusError && [404, 409].includes(error.status.code)) return false;
    throw error;
  }
}

/** The rules of all roles that one is made of, by their names, none twice. */
function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const matchers = (role.aggregationRule?.clusterRoleSelectors ?? []).map(matchLabelSelector);
  const parts = all.filter(
    (one) => one.metadata?.name !== role.metadata?.name && matchers.some((matches) => matches(one.metadata?.labels)),
  );
  const rules: PolicyRule[] = [];
  for (const rule of parts.flatMap((part) => part.rules ?? [])) {
    if (!rules.some((known) => isDeepStrictEqual(known, rule))) rules.push(rule);
  }
  return rules;
}
