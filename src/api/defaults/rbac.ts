import type { ClusterRoleBinding, RoleBinding } from '../generated/types.ts';
import { rbacGroup } from '../validation/rbac.ts';

/** Sets in place what rbac/v1 sets: the API groups of the role and of the subjects. */
export function defaultRoleBinding({ roleRef, subjects = [] }: RoleBinding | ClusterRoleBinding): void {
  if (roleRef !== undefined) roleRef.apiGroup ||= rbacGroup;
  for (const subject of subjects) {
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= rbacGroup;
  }
}
