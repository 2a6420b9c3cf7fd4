import type { ContainerStatus, Deployment, Node, Pod, ReplicaSet } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import type { ApiClient } from '../client/types.ts';
import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import type { ManifestDocument } from './manifests.ts';

/** Something waited for that is not there yet: what, and why as far as it is known. */
export interface NotReady {
  readonly what: string;
  readonly why: string;
}

/** What `up` waits for: nodes by name, cluster DNS, and the Pods of manifests. */
export interface Expected {
  readonly nodes: readonly string[];
  readonly documents: readonly ManifestDocument[];
}

const pollMs = 20;

/**
 * Waits until every node, cluster DNS and the manifests' Pods are Ready.
 * @throws SignalboxError `CLUSTER_NOT_READY`, naming what is not and why
 */
export async function waitUntilReady(
  client: ApiClient,
  expected: Expected,
  timing: { readonly timeoutMs: number; readonly onProgress: (missing: readonly NotReady[]) => void },
): Promise<void> {
  const until = Date.now() + timing.timeoutMs;
  for (;;) {
    const missing = await notReady(client, expected);
    if (missing.length === 0) return;
    timing.onProgress(missing);
    if (Date.now() >= until) throw tooLate(missing, timing.timeoutMs);
    await sleep(pollMs);
  }
}

function tooLate(missing: readonly NotReady[], timeoutMs: number): SignalboxError {
  return new SignalboxError('CLUSTER_NOT_READY', {
    object: missing.map(({ what, why }) => `${what} (${why})`).join(', '),
    problem: `${missing.length === 1 ? 'is' : 'are'} not Ready after ${timeoutMs / 1000} s`,
    remedy: 'the cluster runs on: see `kubectl describe` and `kubectl get events -A`, or wait longer with --wait',
  });
}

/** All that is not Ready at this moment. */
async function notReady(client: ApiClient, expected: Expected): Promise<NotReady[]> {
  const [nodes, pods, deployments, replicaSets] = await Promise.all([
    client.list('nodes'),
    client.list('pods'),
    client.list('deployments'),
    client.list('replicaSets'),
  ]);
  const world: World = {
    pods: pods.items,
    workloads: new Map<string, Deployment | ReplicaSet>([
      ...deployments.items.map((d) => [`deployment/${objectKey(d)}`, d] as const),
      ...replicaSets.items.map((r) => [`replicaset/${objectKey(r)}`, r] as const),
    ]),
  };
  return [
    ...expected.nodes.flatMap((name) => nodeFault(name, nodes.items)),
    ...workloadFault('deployment/kube-system/cluster-dns', world),
    ...expected.documents.flatMap((document) => documentFault(document, world)),
  ];
}

interface World {
  readonly pods: readonly Pod[];
  readonly workloads: ReadonlyMap<string, Deployment | ReplicaSet>;
}

function nodeFault(name: string, nodes: readonly Node[]): NotReady[] {
  const node = nodes.find((n) => n.metadata?.name === name);
  const ready = node?.status?.conditions?.find((c) => c.type === 'Ready');
  if (ready?.status === 'True') return [];
  return [{ what: `node/${name}`, why: ready?.message ?? 'has not registered' }];
}

function documentFault({ resource, object }: ManifestDocument, world: World): NotReady[] {
  if (resource.kind === 'Pod') return podFault(world.pods.find((pod) => objectKey(pod) === objectKey(object)));
  if (resource.kind !== 'Deployment' && resource.kind !== 'ReplicaSet') return [];
  return workloadFault(`${resource.singular}/${objectKey(object)}`, world);
}

function workloadFault(key: string, world: World): NotReady[] {
  const workload = world.workloads.get(key);
  const wanted = workload?.spec?.replicas ?? 1;
  const ready = workload?.status?.readyReplicas ?? 0;
  const seen = (workload?.status?.observedGeneration ?? 0) >= (workload?.metadata?.generation ?? 1);
  if (workload !== undefined && seen && ready >= wanted) return [];
  const labels = Object.entries(workload?.spec?.selector?.matchLabels ?? {});
  const pods = world.pods.filter(
    (pod) =>
      pod.metadata?.namespace === workload?.metadata?.namespace &&
      labels.length > 0 &&
      labels.every(([name, value]) => pod.metadata?.labels?.[name] === value),
  );
  const reasons = pods.flatMap((pod) => podFault(pod)).map(({ what, why }) => `${what}: ${why}`);
  return [{ what: key, why: [`${ready} of ${wanted} Pods Ready`, ...new Set(reasons)].join('; ') }];
}

function podFault(pod: Pod | undefined): NotReady[] {
  if (pod === undefined) return [{ what: 'pod', why: 'is not there' }];
  const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
  if (ready?.status === 'True' || pod.status?.phase === 'Succeeded') return [];
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const [why = ready?.message ?? pod.status?.phase ?? 'Pending'] = statuses.flatMap(containerReason);
  return [{ what: `pod/${pod.metadata?.name}`, why }];
}

function containerReason({ state }: ContainerStatus): string[] {
  const { reason, message } = state?.waiting ?? state?.terminated ?? {};
  if (reason === undefined) return [];
  return [message === undefined ? reason : `${reason}: ${message}`];
}
