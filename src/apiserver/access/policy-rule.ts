import type { PolicyRule } from '../../api/generated/types.ts';
import { type Attributes, combinedResource, type PathAttributes, type ResourceAttributes } from './attributes.ts';

/** Whether a rule allows what is asked for; its namespace was looked at before (rbac/v1 `PolicyRule`). */
export function ruleAllows(rule: PolicyRule, attributes: Attributes): boolean {
  if (!names(rule.verbs, attributes.verb)) return false;
  return 'path' in attributes ? allowsPath(rule, attributes) : allowsResource(rule, attributes);
}

function allowsResource(rule: PolicyRule, attributes: ResourceAttributes): boolean {
  const { resourceNames = [] } = rule;
  return (
    names(rule.apiGroups, attributes.group) &&
    matchesResource(rule.resources ?? [], attributes) &&
    (resourceNames.length === 0 || resourceNames.includes(attributes.name))
  );
}

function matchesResource(resources: readonly string[], attributes: ResourceAttributes): boolean {
  if (names(resources, combinedResource(attributes))) return true;
  return attributes.subresource !== '' && resources.includes(`*/${attributes.subresource}`);
}

function allowsPath({ nonResourceURLs = [] }: PolicyRule, { path }: PathAttributes): boolean {
  return nonResourceURLs.some((url) => coversPath(url, path));
}

/** `/apis/*` covers all that begins with `/apis/`. */
function coversPath(url: string, path: string): boolean {
  return url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1)));
}

function names(list: readonly string[] | undefined, value: string): boolean {
  return list !== undefined && (list.includes(value) || list.includes('*'));
}

/**
 * What of the rules `wanted` is not in the rules `held`, one right a rule; empty when all of it is. A right is held when
 * one rule alone gives it, as in Kubernetes.
 */
export function missingRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(singleRights).filter((right) => !held.some((rule) => coversRight(rule, right)));
}

/** A rule with one verb, one group and one resource with at most one name; or with one verb and one path. */
function singleRights({
  verbs,
  apiGroups = [],
  resources = [],
  resourceNames = [],
  nonResourceURLs = [],
}: PolicyRule): PolicyRule[] {
  return verbs.flatMap((verb) => [
    ...apiGroups.flatMap((group) =>
      resources.flatMap((resource) => {
        const right: PolicyRule = { verbs: [verb], apiGroups: [group], resources: [resource] };
        return resourceNames.length === 0
          ? [right]
          : resourceNames.map((name) => ({ ...right, resourceNames: [name] }));
      }),
    ),
    ...nonResourceURLs.map((url): PolicyRule => ({ verbs: [verb], nonResourceURLs: [url] })),
  ]);
}

function coversRight(rule: PolicyRule, right: PolicyRule): boolean {
  const [verb = ''] = right.verbs;
  if (!names(rule.verbs, verb)) return false;
  const [url] = right.nonResourceURLs ?? [];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((own) => coversPath(own, url));
  const [group = ''] = right.apiGroups ?? [];
  const [resource = ''] = right.resources ?? [];
  const [name] = right.resourceNames ?? [];
  const { resourceNames = [] } = rule;
  return (
    names(rule.apiGroups, group) &&
    coversResource(rule.resources ?? [], resource) &&
    (resourceNames.length === 0 || (name !== undefined && resourceNames.includes(name)))
  );
}

function coversResource(resources: readonly string[], wanted: string): boolean {
  if (names(resources, wanted)) return true;
  const slash = wanted.indexOf('/');
  return slash >= 0 && resources.includes(`*${wanted.slice(slash)}`);
}

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`: as Kubernetes shows a right that is missing. */
export function formatRule(rule: PolicyRule): string {
  const lists = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['ResourceNames', rule.resourceNames],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['Verbs', rule.verbs],
  ] as const;
  const shown = lists.flatMap(([name, list]) =>
    list === undefined || list.length === 0 ? [] : `${name}:[${list.map((item) => JSON.stringify(item)).join(' ')}]`,
  );
  return `{${shown.join(', ')}}`;
}
