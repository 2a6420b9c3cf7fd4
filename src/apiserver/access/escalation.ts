import type { ClusterRole, PolicyRule, Role, RoleBinding } from '../../api/generated/types.ts';
import type { Resource } from '../../api/resources.ts';
import { forbidden, notFound } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';
import type { User } from '../user.ts';
import { type Authorizer, mastersGroup } from './authorizer.ts';
import { formatRule } from './policy-rule.ts';
import { groups } from './rules.ts';

/** A role or binding about to be written. */
export interface RoleWrite {
  readonly user: User;
  readonly resource: Resource;
  readonly object: ApiObject;
}

/**
 * Nobody gives rights that it does not have itself, unless it has the verb `escalate` on the role, or `bind` on the role
 * that is bound.
 * @throws StatusError 403, 404
 */
export function refuseEscalation(write: RoleWrite, authorizer: Authorizer): void {
  if (write.user.groups.includes(mastersGroup)) return;
  if (write.resource.kind.endsWith('Binding')) checkBinding(write, authorizer);
  else checkRole(write, authorizer);
}

function checkRole({ user, resource, object }: RoleWrite, authorizer: Authorizer): void {
  const { namespace = '', name = '' } = object.metadata;
  const { rules = [], aggregationRule } = object as unknown as Role & ClusterRole;
  const { allowed } = authorizer.decide({
    user,
    attributes: { verb: 'escalate', group: groups.rbac, resource: resource.plural, subresource: '', namespace, name },
    fields: new Map(),
  });
  if (allowed) return;
  const missing = authorizer.missing(user, namespace, rules);
  if (missing.length > 0) throw forbidden(resource, name, attempt(user, missing));
  // Which rules it will have nobody can know.
  const everything: PolicyRule[] = [
    { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
    { verbs: ['*'], nonResourceURLs: ['*'] },
  ];
  if (aggregationRule !== undefined && authorizer.missing(user, '', everything).length > 0) {
    throw forbidden(resource, name, 'must have cluster-admin privileges to use an aggregationRule');
  }
}

function checkBinding({ user, resource, object }: RoleWrite, authorizer: Authorizer): void {
  const { namespace = '', name = '' } = object.metadata;
  const { roleRef } = object as unknown as RoleBinding;
  const plural = roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles';
  const { allowed } = authorizer.decide({
    user,
    attributes: {
      verb: 'bind',
      group: groups.rbac,
      resource: plural,
      subresource: '',
      namespace,
      name: roleRef.name,
    },
    fields: new Map(),
  });
  if (allowed) return;
  const rules = authorizer.rbac.rulesOf({ role: roleRef, namespace });
  if (rules === undefined) throw notFound({ group: groups.rbac, plural }, roleRef.name);
  const missing = authorizer.missing(user, namespace, rules);
  if (missing.length > 0) throw forbidden(resource, name, attempt(user, missing));
}

function attempt({ name, groups: memberships }: User, missing: readonly PolicyRule[]): string {
  const who = `user ${JSON.stringify(name)} (groups=[${memberships.map((group) => JSON.stringify(group)).join(' ')}])`;
  return `${who} is attempting to grant RBAC permissions not currently held:\n${missing.map(formatRule).join('\n')}`;
}
