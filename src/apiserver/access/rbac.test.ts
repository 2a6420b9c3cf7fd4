import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PolicyRule, RoleRef, Subject } from '../../api/generated/types.ts';
import { type Resource, resources } from '../../api/resources.ts';
import { ResourceCache } from '../resource-cache.ts';
import { type ApiObject, keyOf, StoredObject, storageText } from '../stored-object.ts';
import type { User } from '../user.ts';
import type { Attributes } from './attributes.ts';
import { RbacIndex } from './rbac.ts';

const stored = [resources.roles, resources.clusterRoles, resources.roleBindings, resources.clusterRoleBindings];

/** Caches that a test fills by hand. */
class Caches {
  readonly #caches = new Map<Resource, ResourceCache>(
    stored.map((resource) => [resource, new ResourceCache(resource)]),
  );
  #revision = 0;

  of(resource: Resource): ResourceCache {
    const cache = this.#caches.get(resource);
    if (cache === undefined) throw new Error(resource.plural);
    return cache;
  }

  put(resource: Resource, object: ApiObject): void {
    const { namespace, name = '' } = object.metadata;
    const key = keyOf(resource, namespace, name);
    const content = { text: storageText(resource, object), parsed: structuredClone(object) };
    const revision = ++this.#revision;
    this.of(resource).apply(key, new StoredObject(key, revision, content), revision);
  }

  remove(resource: Resource, key: string): void {
    this.of(resource).apply(key, undefined, ++this.#revision);
  }
}

interface Question {
  readonly user: string;
  readonly groups: readonly string[];
  readonly attributes: Exclude<Attributes, { path: string }>;
}

/** The decision as the text of the documentation has it: look at every binding there is. */
function plainDecision(caches: Caches, { user, groups, attributes }: Question): boolean {
  const { namespace, verb, group, resource, name } = attributes;
  const bindings = [
    ...caches.of(resources.clusterRoleBindings).list(),
    ...caches
      .of(resources.roleBindings)
      .list()
      .filter(({ object }) => object.metadata.namespace === namespace),
  ];
  return bindings.some(({ object }) => {
    const { roleRef, subjects, metadata } = object as unknown as {
      roleRef: RoleRef;
      subjects: Subject[];
      metadata: { namespace?: string };
    };
    const isMeant = subjects.some((subject) => {
      if (subject.kind === 'User') return subject.name === user;
      if (subject.kind === 'Group') return groups.includes(subject.name);
      return user === `system:serviceaccount:${subject.namespace}:${subject.name}`;
    });
    if (!isMeant) return false;
    const roles = roleRef.kind === 'Role' ? resources.roles : resources.clusterRoles;
    const role = caches.of(roles).get(roleRef.kind === 'Role' ? `${metadata.namespace}/${roleRef.name}` : roleRef.name);
    const rules = (role?.object.rules ?? []) as PolicyRule[];
    return rules.some(
      (rule) =>
        [verb, '*'].some((v) => rule.verbs.includes(v)) &&
        [group, '*'].some((g) => rule.apiGroups?.includes(g)) &&
        [resource, '*'].some((r) => rule.resources?.includes(r)) &&
        (!rule.resourceNames?.length || rule.resourceNames.includes(name)),
    );
  });
}

const oneOf = (...of: string[]) => fc.constantFrom(...of);
const some = (...of: string[]) => fc.subarray(of, { minLength: 1 });
const names = ['x', 'y'] as const;
const namespaces = ['n1', 'n2'] as const;

const rules = fc.array(
  fc.record({
    verbs: some('get', 'list', '*'),
    apiGroups: some('', 'apps'),
    resources: some('pods', 'services', '*'),
    resourceNames: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray(['a', 'b'])),
  }),
  { minLength: 1, maxLength: 3 },
);
const subjects = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('User'), name: oneOf('ann', 'bob', 'system:serviceaccount:n1:sa') }),
    fc.record({ kind: fc.constant('Group'), name: oneOf('dev', 'ops') }),
    fc.record({ kind: fc.constant('ServiceAccount'), name: fc.constant('sa'), namespace: oneOf(...namespaces) }),
  ),
  { minLength: 1, maxLength: 3 },
);
const inNamespace = fc.record({ name: oneOf(...names), namespace: oneOf(...namespaces) });
const inCluster = fc.record({ name: oneOf(...names) });
const roleRef = fc.record({ kind: oneOf('Role', 'ClusterRole'), name: oneOf(...names) });
const clusterRoleRef = fc.record({ kind: fc.constant('ClusterRole'), name: oneOf(...names) });
const writes = fc.oneof(
  fc.record({ resource: fc.constant(resources.roles), object: fc.record({ metadata: inNamespace, rules }) }),
  fc.record({ resource: fc.constant(resources.clusterRoles), object: fc.record({ metadata: inCluster, rules }) }),
  fc.record({
    resource: fc.constant(resources.roleBindings),
    object: fc.record({ metadata: inNamespace, subjects, roleRef }),
  }),
  fc.record({
    resource: fc.constant(resources.clusterRoleBindings),
    object: fc.record({ metadata: inCluster, subjects, roleRef: clusterRoleRef }),
  }),
);
const steps = fc.array(fc.record({ write: writes, removes: fc.nat(4).map((n) => n === 0) }), {
  minLength: 10,
  maxLength: 30,
});
const questions: fc.Arbitrary<Question[]> = fc.array(
  fc.record({
    user: oneOf('ann', 'bob', 'system:serviceaccount:n1:sa', 'system:serviceaccount:n2:sa'),
    groups: fc.subarray(['dev', 'ops']),
    attributes: fc.record({
      verb: oneOf('get', 'list'),
      group: oneOf('', 'apps'),
      resource: oneOf('pods', 'services'),
      subresource: fc.constant(''),
      namespace: oneOf('', ...namespaces),
      name: oneOf('', 'a', 'c'),
    }),
  }),
  { minLength: 20, maxLength: 20 },
);

test('RbacIndex decides as a look at every binding does, whatever comes and goes', () => {
  let allowed = 0;
  fc.assert(
    fc.property(steps, questions, (made, asked) => {
      const caches = new Caches();
      const index = new RbacIndex(caches);
      for (const { write, removes } of made) {
        const { namespace, name } = write.object.metadata as { namespace?: string; name: string };
        if (removes) caches.remove(write.resource, keyOf(write.resource, namespace, name));
        else caches.put(write.resource, write.object);
      }
      for (const question of asked) {
        const user: User = { name: question.user, groups: question.groups };
        const expected = plainDecision(caches, question);
        if (expected) allowed++;
        expect(index.findGrant(user, question.attributes) !== undefined).toBe(expected);
        // One that begins with what is there knows as much as one that has followed.
        expect(new RbacIndex(caches).findGrant(user, question.attributes) !== undefined).toBe(expected);
      }
    }),
    { numRuns: 200 },
  );
  // A generator that never allows anything would test nothing.
  expect(allowed).toBeGreaterThan(100);
});
