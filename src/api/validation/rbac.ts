import { isDeepStrictEqual } from 'node:util';
import type { FieldErrors } from '../field-error.ts';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '../generated/types.ts';
import { dns1123Subdomain, pathSegment } from '../names.ts';

/** API group of roles and their bindings. */
export const rbacGroup = 'rbac.authorization.k8s.io';

/** Checks a Role: its rules are about resources. */
export function validateRole({ rules = [] }: Role, errors: FieldErrors): void {
  for (const [i, rule] of rules.entries()) {
    const at = `rules[${i}]`;
    validateRule(rule, at, errors);
    if ((rule.nonResourceURLs ?? []).length > 0)
      errors.invalid(
        `${at}.nonResourceURLs`,
        rule.nonResourceURLs,
        'namespaced rules cannot apply to non-resource URLs',
      );
  }
}

/** Checks a ClusterRole: rules, and the selectors it takes others' rules by. */
export function validateClusterRole({ rules = [], aggregationRule }: ClusterRole, errors: FieldErrors): void {
  for (const [i, rule] of rules.entries()) validateRule(rule, `rules[${i}]`, errors);
  if (aggregationRule === undefined) return;
  const at = 'aggregationRule.clusterRoleSelectors';
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0)
    errors.required(at, 'at least one clusterRoleSelector required if aggregationRule is non-nil');
  for (const [i, selector] of selectors.entries()) {
    for (const [j, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
      const here = `${at}[${i}].matchExpressions[${j}]`;
      if (!key) errors.required(`${here}.key`);
      if (!['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(operator))
        errors.invalid(`${here}.operator`, operator, 'not a valid selector operator');
      else if (['In', 'NotIn'].includes(operator) === (values.length === 0))
        errors.invalid(`${here}.values`, values, 'must be given for the operators In and NotIn, and only for these');
    }
  }
}

function validateRule(rule: PolicyRule, field: string, errors: FieldErrors): void {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  if (verbs.length === 0) errors.required(`${field}.verbs`, 'verbs must contain at least one value');
  if (nonResourceURLs.length > 0) {
    if (apiGroups.length > 0 || resources.length > 0 || resourceNames.length > 0)
      errors.invalid(
        `${field}.nonResourceURLs`,
        nonResourceURLs,
        'rules cannot apply to both regular resources and non-resource URLs',
      );
    return;
  }
  if (apiGroups.length === 0)
    errors.required(`${field}.apiGroups`, 'resource rules must supply at least one api group');
  if (resources.length === 0) errors.required(`${field}.resources`, 'resource rules must supply at least one resource');
}

/** Checks a RoleBinding with defaults set. */
export function validateRoleBinding(binding: RoleBinding, errors: FieldErrors): void {
  validateRoleRef(binding, ['Role', 'ClusterRole'], errors);
  validateSubjects(binding.subjects, errors);
}

/** Checks a ClusterRoleBinding with defaults set. */
export function validateClusterRoleBinding(binding: ClusterRoleBinding, errors: FieldErrors): void {
  validateRoleRef(binding, ['ClusterRole'], errors);
  validateSubjects(binding.subjects, errors);
}

/** What is granted stays; to whom may change. */
export function validateRoleBindingUpdate(
  next: RoleBinding | ClusterRoleBinding,
  old: RoleBinding | ClusterRoleBinding,
  errors: FieldErrors,
): void {
  if (!isDeepStrictEqual({ ...next.roleRef }, { ...old.roleRef }))
    errors.invalid('roleRef', next.roleRef, 'cannot change roleRef');
}

function validateRoleRef(
  { roleRef }: RoleBinding | ClusterRoleBinding,
  kinds: readonly string[],
  errors: FieldErrors,
): void {
  const { apiGroup = '', kind = '', name = '' }: Partial<RoleRef> = roleRef ?? {};
  if (apiGroup !== rbacGroup) errors.notSupported('roleRef.apiGroup', apiGroup, [rbacGroup]);
  if (!kinds.includes(kind)) errors.notSupported('roleRef.kind', kind, kinds);
  if (name === '') errors.required('roleRef.name');
  else errors.invalidEach('roleRef.name', name, pathSegment(name));
}

function validateSubjects(subjects: readonly Subject[] = [], errors: FieldErrors): void {
  for (const [i, subject] of subjects.entries()) validateSubject(subject, `subjects[${i}]`, errors);
}

function validateSubject({ kind, name, namespace, apiGroup = '' }: Subject, field: string, errors: FieldErrors): void {
  if (!name) errors.required(`${field}.name`);
  const groups: { readonly [kind: string]: string } = { ServiceAccount: '', User: rbacGroup, Group: rbacGroup };
  const wanted = groups[kind];
  if (wanted === undefined) {
    errors.notSupported(`${field}.kind`, kind ?? '', Object.keys(groups));
    return;
  }
  if (apiGroup !== wanted) errors.notSupported(`${field}.apiGroup`, apiGroup, [wanted]);
  if (kind !== 'ServiceAccount') return;
  if (name) errors.invalidEach(`${field}.name`, name, dns1123Subdomain(name));
  if (!namespace) errors.required(`${field}.namespace`);
}
