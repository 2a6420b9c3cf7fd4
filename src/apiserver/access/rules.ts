import type { PolicyRule } from '../../api/generated/types.ts';

/** API groups by what code calls them. */
export const groups = {
  core: '',
  apps: 'apps',
  authentication: 'authentication.k8s.io',
  authorization: 'authorization.k8s.io',
  autoscaling: 'autoscaling',
  batch: 'batch',
  coordination: 'coordination.k8s.io',
  discovery: 'discovery.k8s.io',
  events: 'events.k8s.io',
  networking: 'networking.k8s.io',
  policy: 'policy',
  rbac: 'rbac.authorization.k8s.io',
} as const;

export const readVerbs = 'get list watch';
export const writeVerbs = 'create delete deletecollection patch update';

/** A rule from lists with blanks between: verbs, and resources of API groups with commas between. */
export function rule(verbs: string, group: string, resources: string): PolicyRule {
  return { verbs: verbs.split(' '), apiGroups: group.split(','), resources: resources.split(' ') };
}

/** A rule about paths. */
export function pathRule(verbs: string, ...paths: readonly string[]): PolicyRule {
  return { verbs: verbs.split(' '), nonResourceURLs: [...paths] };
}

/** To say what happens, in events of either API. */
export const eventsRule: PolicyRule = rule('create patch update', `${groups.core},${groups.events}`, 'events');
