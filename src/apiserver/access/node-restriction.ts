import { isDeepStrictEqual } from 'node:util';
import type { Node, Pod } from '../../api/generated/types.ts';
import { forbidden } from '../status.ts';
import type { Admission } from './admission-request.ts';

const quoted = (text: string | undefined) => JSON.stringify(text ?? '');

/** Labels under `kubernetes.io` and `k8s.io` that an agent may set on its own node. */
const ownLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
]);
const ownPrefixes = ['kubelet.kubernetes.io', 'node.kubernetes.io'];

/**
 * A node's agent writes its own Node and its lease, and what belongs to Pods bound to it: admission's part of what the
 * node authorizer decides.
 * @throws StatusError 403
 */
export function restrictNode(node: string, admission: Admission): void {
  const problem = problemOf(node, admission);
  if (problem !== undefined) throw forbidden(admission.resource, admission.object.metadata.name ?? '', problem);
}

function problemOf(node: string, { operation, resource, object, old }: Admission): string | undefined {
  const { name, namespace } = object.metadata;
  switch (resource.kind) {
    case 'Pod':
      return podProblem(node, operation, object as Pod);
    case 'Node':
      if (name !== node) return `node ${quoted(node)} is not allowed to modify node ${quoted(name)}`;
      return ownNodeProblem(node, object as Node, old as Node | undefined);
    case 'Lease':
      if (namespace !== 'kube-node-lease') return 'can only access leases in the "kube-node-lease" system namespace';
      return name === node ? undefined : 'can only access node lease with the same name as the requesting node';
    default:
      return undefined;
  }
}

function podProblem(node: string, operation: Admission['operation'], pod: Pod): string | undefined {
  // A Pod of its own making would open to a node whatever Secret or account the Pod names.
  if (operation === 'create') return `node ${quoted(node)} can only create mirror pods, which are not served here`;
  const which = operation === 'update' ? 'update pod status for' : operation;
  if (pod.spec?.nodeName === node) return undefined;
  return `node ${quoted(node)} can only ${which} pods with spec.nodeName set to itself`;
}

function ownNodeProblem(node: string, next: Node, old: Node | undefined): string | undefined {
  const before = old?.metadata?.labels ?? {};
  const after = next.metadata?.labels ?? {};
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const taken = keys.filter((key) => before[key] !== after[key] && !isOwnLabel(key)).sort();
  if (taken.length > 0) return `is not allowed to modify labels: ${taken.join(', ')}`;
  if (old === undefined || isDeepStrictEqual(next.spec?.taints ?? [], old.spec?.taints ?? [])) return undefined;
  return `node ${quoted(node)} is not allowed to modify taints`;
}

function isOwnLabel(key: string): boolean {
  const [prefix = '', name] = key.split('/');
  const domain = name === undefined ? '' : prefix;
  const under = (parent: string) => domain === parent || domain.endsWith(`.${parent}`);
  if (under('node-restriction.kubernetes.io')) return false;
  if (!under('kubernetes.io') && !under('k8s.io')) return true;
  return ownLabels.has(key) || ownPrefixes.some(under);
}
