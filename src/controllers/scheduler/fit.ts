import type { Node, NodeSelectorTerm, Pod } from '../../api/generated/types.ts';
import { fulfils, matchLabelSelector } from '../../api/label-selector.ts';
import type { Stored } from '../../api/object.ts';
import { isFinished } from '../pod-state.ts';
import { untolerated } from '../taints.ts';

/** Why a Pod does not go to a node, in the words of Kubernetes' scheduler; undefined when it does. */
export function misfit(pod: Pod, node: Stored<Node>, podsThere: readonly Pod[]): string | undefined {
  const { taints = [], unschedulable } = node.spec ?? {};
  if (
    unschedulable === true &&
    untolerated([unschedulableTaint], pod.spec?.tolerations ?? [], ['NoSchedule']) !== undefined
  )
    return 'node(s) were unschedulable';
  if (node.status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'True') return 'node(s) were not ready';
  const taint = untolerated(taints, pod.spec?.tolerations ?? [], ['NoSchedule', 'NoExecute']);
  if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  if (!isSelected(pod, node)) return "node(s) didn't match Pod's node affinity/selector";
  const running = podsThere.filter((other) => !isFinished(other));
  if (running.length >= podCapacity(node)) return 'Too many pods';
  const taken = new Set(running.flatMap(hostPorts));
  if (hostPorts(pod).some((port) => taken.has(port)))
    return "node(s) didn't have free ports for the requested pod ports";
  return undefined;
}

const unschedulableTaint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

function podCapacity({ status }: Node): number {
  const count = Number(status?.allocatable?.pods ?? 'none');
  return Number.isNaN(count) ? Number.POSITIVE_INFINITY : count;
}

/** `protocol:port` of the node's own ports that a Pod takes. */
function hostPorts({ spec }: Pod): string[] {
  return (spec?.containers ?? []).flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, containerPort, protocol = 'TCP' }) => {
      const port = hostPort || (spec?.hostNetwork === true ? containerPort : 0);
      return port === 0 ? [] : [`${protocol}:${port}`];
    }),
  );
}

/** `nodeSelector` and the required node affinity; of the terms of an affinity one has to fit. */
export function isSelected({ spec }: Pod, node: Stored<Node>): boolean {
  if (!matchLabelSelector({ matchLabels: spec?.nodeSelector ?? {} })(node.metadata.labels)) return false;
  const required = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => fitsTerm(term, node));
}

function fitsTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, { metadata }: Stored<Node>): boolean {
  // A term without conditions fits nothing.
  if (matchExpressions.length + matchFields.length === 0) return false;
  const fields = { 'metadata.name': metadata.name };
  return (
    matchExpressions.every((requirement) => fulfils(requirement, metadata.labels ?? {})) &&
    matchFields.every((requirement) => fulfils(requirement, fields))
  );
}
