import type { DaemonSet, Deployment, LabelSelector, ReplicaSet, StatefulSet } from '../api/generated/types.ts';
import { type LabelMatcher, matchLabelSelector } from '../api/label-selector.ts';
import { type KubernetesObject, objectKey, type Stored } from '../api/object.ts';
import { type ResourceTypes, resources } from '../api/resources.ts';
import type { ApiClient } from '../client/types.ts';

/** Something that keeps Pods, and how many of them are as they are to be. */
export interface Workload {
  readonly namespace: string | undefined;
  readonly isSelected: LabelMatcher;
  /** Whether its controller has seen it as it is now; the numbers mean little before. */
  readonly isObserved: boolean;
  readonly wanted: number;
  readonly ready: number;
  /** Those made from its template as it is now; as many as are wanted where nobody replaces them by themselves. */
  readonly updated: number;
}

type Counts = Pick<Workload, 'wanted' | 'ready' | 'updated'>;
type WorkloadKey = 'deployments' | 'replicaSets' | 'statefulSets' | 'daemonSets';

const countsOf: { readonly [K in WorkloadKey]: (object: ResourceTypes[K]) => Counts } = {
  deployments: ({ spec, status }: Deployment) => {
    const wanted = spec?.replicas ?? 1;
    const updated = spec?.paused === true ? wanted : (status?.updatedReplicas ?? 0);
    return { wanted, ready: status?.readyReplicas ?? 0, updated };
  },
  replicaSets: ({ spec, status }: ReplicaSet) => {
    const wanted = spec?.replicas ?? 1;
    return { wanted, ready: status?.readyReplicas ?? 0, updated: wanted };
  },
  statefulSets: ({ spec, status }: StatefulSet) => {
    const wanted = spec?.replicas ?? 1;
    const { type, rollingUpdate } = spec?.updateStrategy ?? {};
    const partition = type === 'OnDelete' ? wanted : (rollingUpdate?.partition ?? 0);
    // Those below the partition stay as they are.
    const updated = Math.min(wanted, partition) + (status?.updatedReplicas ?? 0);
    return { wanted, ready: status?.readyReplicas ?? 0, updated };
  },
  daemonSets: ({ spec, status }: DaemonSet) => {
    const wanted = status?.desiredNumberScheduled ?? 0;
    const updated = spec?.updateStrategy?.type === 'OnDelete' ? wanted : (status?.updatedNumberScheduled ?? 0);
    return { wanted, ready: status?.numberReady ?? 0, updated };
  },
};

const workloadKeys = Object.keys(countsOf) as readonly WorkloadKey[];
const workloadKinds: ReadonlySet<string> = new Set(workloadKeys.map((key) => resources[key].kind));

/** Whether objects of a kind keep Pods. */
export function isWorkload(kind: string): boolean {
  return workloadKinds.has(kind);
}

/** All workloads of these kinds, by `deployment/NAMESPACE/NAME`. */
export async function listWorkloads(
  client: ApiClient,
  kinds: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Workload>> {
  const asked = workloadKeys.filter((key) => kinds.has(resources[key].kind));
  return new Map((await Promise.all(asked.map((key) => listOne(client, key)))).flat());
}

async function listOne<K extends WorkloadKey>(client: ApiClient, key: K): Promise<(readonly [string, Workload])[]> {
  const { items } = await client.list(key);
  return items.map((object) => [
    `${resources[key].singular}/${objectKey(object)}`,
    workload(object, countsOf[key](object)),
  ]);
}

/** What all kinds have in common. */
type Observed = Stored<KubernetesObject> & {
  readonly spec?: { readonly selector?: LabelSelector };
  readonly status?: { readonly observedGeneration?: number };
};

function workload({ metadata, spec, status }: Observed, counts: Counts): Workload {
  return {
    namespace: metadata.namespace,
    isSelected: matchLabelSelector(spec?.selector),
    isObserved: (status?.observedGeneration ?? 0) >= (metadata.generation ?? 1),
    ...counts,
  };
}
