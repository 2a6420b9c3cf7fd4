import type { DaemonSet, Node, Pod, PodSpec, Toleration } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { isSelected } from '../scheduler/fit.ts';
import { untolerated } from '../taints.ts';

/** What every daemon puts up with: a node in trouble needs its daemons. */
const daemonTolerations: readonly Toleration[] = [
  ...['not-ready', 'unreachable'].map((name) => ({
    key: `node.kubernetes.io/${name}`,
    operator: 'Exists',
    effect: 'NoExecute',
  })),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((name) => ({
    key: `node.kubernetes.io/${name}`,
    operator: 'Exists',
    effect: 'NoSchedule',
  })),
];
const hostNetworkToleration: Toleration = {
  key: 'node.kubernetes.io/network-unavailable',
  operator: 'Exists',
  effect: 'NoSchedule',
};

/** The template's Pod with the tolerations of daemons. */
export function daemonPodSpec({ spec }: DaemonSet): PodSpec {
  const base = spec?.template.spec ?? { containers: [] };
  const added = base.hostNetwork === true ? [...daemonTolerations, hostNetworkToleration] : daemonTolerations;
  return { ...base, tolerations: [...(base.tolerations ?? []), ...added] };
}

/** What a DaemonSet has to do with a node: put a Pod there, leave the Pod that is there, or neither. */
export function placeOf(set: DaemonSet, node: Stored<Node>): 'run' | 'leave' | 'none' {
  const spec = daemonPodSpec(set);
  if (!isSelected({ spec }, node)) return 'none';
  const { taints = [] } = node.spec ?? {};
  const tolerations = spec.tolerations ?? [];
  if (untolerated(taints, tolerations, ['NoExecute']) !== undefined) return 'none';
  return untolerated(taints, tolerations, ['NoSchedule']) === undefined ? 'run' : 'leave';
}

/** The Pod's node, or the only node that it can go to. */
export function nodeOf({ spec }: Pod): string | undefined {
  if (spec?.nodeName) return spec.nodeName;
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return terms.flatMap(({ matchFields = [] }) => matchFields).find(({ key }) => key === 'metadata.name')?.values?.[0];
}

/** Binds a Pod to one node, whatever affinity it has beside: the node was chosen by that already. */
export function onlyOn(node: string, spec: PodSpec): PodSpec {
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [node] }];
  const nodeAffinity = {
    ...spec.affinity?.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields }] },
  };
  return { ...spec, affinity: { ...spec.affinity, nodeAffinity } };
}
