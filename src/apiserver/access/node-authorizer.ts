import type { Pod } from '../../api/generated/types.ts';
import type { User } from '../user.ts';
import { type Attributes, combinedResource, type ResourceAttributes } from './attributes.ts';
import { nodeRules } from './node-rules.ts';
import { configMapNames, secretNames } from './pod-references.ts';
import type { PodsOfNodes } from './pods-of-nodes.ts';
import { ruleAllows } from './policy-rule.ts';

const userPrefix = 'system:node:';
const nodesGroup = 'system:nodes';
const writes: readonly string[] = ['create', 'delete'];

/** The node that a user is the agent of, if it is one. */
export function nodeOf(user: User): string | undefined {
  if (!user.name.startsWith(userPrefix) || !user.groups.includes(nodesGroup)) return undefined;
  return user.name.slice(userPrefix.length);
}

/** What a request to Pods or nodes is confined to. */
export interface NodeRequest {
  /** Values that its field selector asks for. */
  readonly fields: ReadonlyMap<string, string>;
}

/**
 * What an agent may ask for: the rules of `system:node`, and of objects that belong to Pods only those of Pods on its
 * own node (Kubernetes' node authorization, with selectors as of KEP 4601).
 */
export class NodeAuthorizer {
  readonly #pods: PodsOfNodes;

  constructor(pods: PodsOfNodes) {
    this.#pods = pods;
  }

  allows(node: string, attributes: Attributes, { fields }: NodeRequest): boolean {
    if (!nodeRules.some((rule) => ruleAllows(rule, attributes))) return false;
    if ('path' in attributes) return true;
    switch (combinedResource(attributes)) {
      case 'secrets':
      case 'configmaps':
        return attributes.verb === 'get' && this.#isReferredTo(node, attributes);
      case 'serviceaccounts/token':
        return this.#hasPodOf(node, attributes);
      case 'pods':
        // Of a write admission looks at the Pod itself, and says so when it is gone.
        return writes.includes(attributes.verb) || this.#isOwnPod(node, attributes, fields);
      case 'pods/eviction':
        return this.#isOwnPod(node, attributes, fields);
      case 'leases':
        return attributes.namespace === 'kube-node-lease' && (attributes.name === node || attributes.verb === 'create');
      default:
        return true;
    }
  }

  #isOwnPod(node: string, attributes: ResourceAttributes, fields: ReadonlyMap<string, string>): boolean {
    if (attributes.verb === 'list' || attributes.verb === 'watch') return fields.get('spec.nodeName') === node;
    return this.#some(node, attributes.namespace, (pod) => pod.metadata?.name === attributes.name);
  }

  #hasPodOf(node: string, { namespace, name }: ResourceAttributes): boolean {
    return this.#some(node, namespace, (pod) => (pod.spec?.serviceAccountName ?? 'default') === name);
  }

  #isReferredTo(node: string, { resource, namespace, name }: ResourceAttributes): boolean {
    const names = resource === 'secrets' ? secretNames : configMapNames;
    return this.#some(node, namespace, (pod) => names(pod).includes(name));
  }

  #some(node: string, namespace: string, matches: (pod: Pod) => boolean): boolean {
    for (const pod of this.#pods.of(node)) if (pod.metadata?.namespace === namespace && matches(pod)) return true;
    return false;
  }
}
