import type { PolicyRule } from '../../api/generated/types.ts';
import { StatusError } from '../status.ts';
import type { User } from '../user.ts';
import type { WatchCache } from '../watch-cache.ts';
import type { AccessRequest } from './access-request.ts';
import { type Attributes, combinedResource } from './attributes.ts';
import { NodeAuthorizer, nodeOf } from './node-authorizer.ts';
import { PodsOfNodes } from './pods-of-nodes.ts';
import { missingRules } from './policy-rule.ts';
import { RbacIndex } from './rbac.ts';

/** Members may do everything, whatever roles say. */
export const mastersGroup = 'system:masters';

/** What was decided, and by which grant. */
export interface Decision {
  readonly allowed: boolean;
  readonly reason: string;
}

const allRules: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

/** Decides who may do what: masters everything, nodes what belongs to their Pods, everybody what roles grant. */
export class Authorizer {
  readonly rbac: RbacIndex;
  readonly #nodes: NodeAuthorizer;
  readonly #pods: PodsOfNodes;

  /** Follows the cache, which has to be filled. */
  constructor(cache: WatchCache) {
    this.rbac = new RbacIndex(cache);
    this.#pods = new PodsOfNodes(cache);
    this.#nodes = new NodeAuthorizer(this.#pods);
  }

  stop(): void {
    this.rbac.stop();
    this.#pods.stop();
  }

  decide({ user, attributes, fields }: AccessRequest): Decision {
    if (user.groups.includes(mastersGroup)) return { allowed: true, reason: '' };
    const node = nodeOf(user);
    if (node !== undefined && this.#nodes.allows(node, attributes, { fields })) return { allowed: true, reason: '' };
    const grant = this.rbac.findGrant(user, attributes);
    if (grant === undefined) return { allowed: false, reason: '' };
    const { binding, role, subject } = grant;
    return { allowed: true, reason: `RBAC: allowed by ${binding} of ${role.kind} "${role.name}" to ${subject}` };
  }

  /** @throws StatusError 403 */
  require(request: AccessRequest): void {
    if (!this.decide(request).allowed) throw refused(request.user, request.attributes);
  }

  /** All rules that count for a user in a namespace; those of a node hang on its Pods besides. */
  rulesFor(user: User, namespace: string): readonly PolicyRule[] {
    if (user.groups.includes(mastersGroup)) return [...allRules, ...this.rbac.rulesFor(user, namespace)];
    return this.rbac.rulesFor(user, namespace);
  }

  /** What of some rules a user does not have in a namespace, one right a rule. */
  missing(user: User, namespace: string, wanted: readonly PolicyRule[]): PolicyRule[] {
    return missingRules(this.rulesFor(user, namespace), wanted);
  }
}

/** A refusal in Kubernetes' words. */
function refused(user: User, attributes: Attributes): StatusError {
  const who = `User ${JSON.stringify(user.name)} cannot ${attributes.verb}`;
  if ('path' in attributes) {
    return new StatusError('Forbidden', `forbidden: ${who} path ${JSON.stringify(attributes.path)}`, {});
  }
  const { group, resource, namespace, name } = attributes;
  const what = `resource ${JSON.stringify(combinedResource(attributes))} in API group ${JSON.stringify(group)}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  const subject = name === '' ? qualified : `${qualified} ${JSON.stringify(name)}`;
  return new StatusError('Forbidden', `${subject} is forbidden: ${who} ${what} ${where}`, {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    kind: resource,
  });
}
