import type { ClusterRole, PolicyRule, Role, RoleBinding, RoleRef, Subject } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import type { ResourceCache } from '../resource-cache.ts';
import type { StoredObject } from '../stored-object.ts';
import type { User } from '../user.ts';
import type { WatchCache } from '../watch-cache.ts';
import type { Attributes } from './attributes.ts';
import { ruleAllows } from './policy-rule.ts';
import { serviceAccountUser } from './service-account-name.ts';

/** A binding's role, as it is given to one of its subjects. */
export interface Grant {
  /** `ClusterRoleBinding "x"`, `RoleBinding "x/namespace"` */
  readonly binding: string;
  readonly role: RoleRef;
  /** Empty when it counts in the whole cluster. */
  readonly namespace: string;
  /** `User "x"` */
  readonly subject: string;
}

type GrantsBySubject = Map<string, Map<string, Grant>>;

/**
 * Roles and bindings, looked up by who asks: the work of a decision grows with the rules of the one who asks, not with
 * what there is in the cluster. Follows the caches.
 */
export class RbacIndex {
  readonly #roles: ResourceCache;
  readonly #clusterRoles: ResourceCache;
  /** By namespace, `''` for the whole cluster; then by subject; then by binding. */
  readonly #grants = new Map<string, GrantsBySubject>();
  readonly #stops: (() => void)[];

  /** Follows the cache, which has to be filled. */
  constructor(cache: Pick<WatchCache, 'of'>) {
    this.#roles = cache.of(resources.roles);
    this.#clusterRoles = cache.of(resources.clusterRoles);
    this.#stops = [resources.roleBindings, resources.clusterRoleBindings].map((resource) => {
      const bindings = cache.of(resource);
      for (const object of bindings.list()) this.#add(object);
      return bindings.listen(({ previous, current }) => {
        if (previous !== undefined) this.#remove(previous);
        if (current !== undefined) this.#add(current);
      });
    });
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  /** The first grant that allows what is asked for, if there is one. */
  findGrant(user: User, attributes: Attributes): Grant | undefined {
    for (const grant of this.grantsOf(user, 'path' in attributes ? '' : attributes.namespace)) {
      if (this.rulesOf(grant)?.some((rule) => ruleAllows(rule, attributes)) === true) return grant;
    }
    return undefined;
  }

  /** What a user was given for the whole cluster and for a namespace. */
  *grantsOf(user: User, namespace: string): Generator<Grant> {
    const subjects = [userKey(user.name), ...user.groups.map(groupKey)];
    for (const scope of namespace === '' ? [''] : ['', namespace]) {
      const grants = this.#grants.get(scope);
      if (grants === undefined) continue;
      for (const subject of subjects) yield* grants.get(subject)?.values() ?? [];
    }
  }

  /** All rules that count for a user in a namespace. */
  rulesFor(user: User, namespace: string): PolicyRule[] {
    return [...this.grantsOf(user, namespace)].flatMap((grant) => this.rulesOf(grant) ?? []);
  }

  /** The rules of a role; nothing when there is no such role. */
  rulesOf({ role, namespace }: Pick<Grant, 'role' | 'namespace'>): readonly PolicyRule[] | undefined {
    const found =
      role.kind === 'ClusterRole' ? this.#clusterRoles.get(role.name) : this.#roles.get(`${namespace}/${role.name}`);
    if (found === undefined) return undefined;
    return (found.object as Role | ClusterRole).rules ?? [];
  }

  #add({ key, object }: StoredObject): void {
    const { roleRef: role, subjects = [], metadata } = object as unknown as RoleBinding;
    const namespace = metadata?.namespace ?? '';
    const binding = namespace === '' ? `ClusterRoleBinding "${key}"` : `RoleBinding "${metadata?.name}/${namespace}"`;
    for (const subject of subjects) {
      const bySubject = getOrMake(this.#grants, namespace);
      const grants = getOrMake(bySubject, keyOfSubject(subject, namespace));
      grants.set(key, { binding, role, namespace, subject: showSubject(subject, namespace) });
    }
  }

  #remove({ key, object }: StoredObject): void {
    const { subjects = [], metadata } = object as unknown as RoleBinding;
    const namespace = metadata?.namespace ?? '';
    const bySubject = this.#grants.get(namespace);
    for (const subject of subjects) {
      const subjectKey = keyOfSubject(subject, namespace);
      const grants = bySubject?.get(subjectKey);
      grants?.delete(key);
      if (grants?.size === 0) bySubject?.delete(subjectKey);
    }
    if (bySubject?.size === 0) this.#grants.delete(namespace);
  }
}

const userKey = (name: string) => `user ${name}`;
const groupKey = (name: string) => `group ${name}`;

function keyOfSubject(subject: Subject, namespace: string): string {
  if (subject.kind === 'Group') return groupKey(subject.name);
  return userKey(
    subject.kind === 'User' ? subject.name : serviceAccountUser(subject.namespace ?? namespace, subject.name),
  );
}

function showSubject({ kind, name, namespace }: Subject, at: string): string {
  return `${kind} "${kind === 'ServiceAccount' ? `${name}/${namespace ?? at}` : name}"`;
}

function getOrMake<K, A, B>(map: Map<K, Map<A, B>>, key: K): Map<A, B> {
  let found = map.get(key);
  if (found === undefined) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}
