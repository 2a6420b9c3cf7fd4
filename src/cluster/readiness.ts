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
  /** ISO 8601: when the cluster started. What was reported before is of an earlier run, and says nothing of this one. */
  readonly since: string;
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

/**
 * Waits until all these nodes are Ready, or the time is over. Pods that come before go to the nodes there are: on a busy
 * machine, where one is up long before the others, all of them to that one.
 */
export async function untilNodesReady(
  client: ApiClient,
  { nodes, since }: Pick<Expected, 'nodes' | 'since'>,
  timeoutMs: number,
): Promise<void> {
  for (const until = Date.now() + timeoutMs; ; await sleep(pollMs)) {
    const { items } = await client.list('nodes');
    const missing = nodes.flatMap((name) => nodeFault(name, items, wholeSeconds(since)));
    if (missing.length === 0 || Date.now() >= until) return;
  }
}

/** Times of the API are whole seconds. */
function wholeSeconds(time: string): number {
  return Math.floor(Date.parse(time) / 1000) * 1000;
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
    since: wholeSeconds(expected.since),
    pods: pods.items,
    workloads: new Map<string, Deployment | ReplicaSet>([
      ...deployments.items.map((d) => [`deployment/${objectKey(d)}`, d] as const),
      ...replicaSets.items.map((r) => [`replicaset/${objectKey(r)}`, r] as const),
    ]),
  };
  return [
    ...expected.nodes.flatMap((name) => nodeFault(name, nodes.items, world.since)),
    ...workloadFault('deployment/kube-system/cluster-dns', world),
    ...expected.documents.flatMap((document) => documentFault(document, world)),
  ];
}

interface World {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly pods: readonly Pod[];
  readonly workloads: ReadonlyMap<string, Deployment | ReplicaSet>;
}

function nodeFault(name: string, nodes: readonly Node[], since: number): NotReady[] {
  const node = nodes.find((n) => n.metadata?.name === name);
  const ready = node?.status?.conditions?.find((c) => c.type === 'Ready');
  if (ready?.status === 'True') {
    const isFresh = Date.parse(ready.lastHeartbeatTime ?? '') >= since;
    return isFresh ? [] : [{ what: `node/${name}`, why: 'has not reported since the start' }];
  }
  return [{ what: `node/${name}`, why: ready?.message ?? 'has not registered' }];
}

function documentFault({ resource, object }: ManifestDocument, world: World): NotReady[] {
  if (resource.kind === 'Pod') {
    return podFault(
      world.pods.find((pod) => objectKey(pod) === objectKey(object)),
      world.since,
    );
  }
  if (resource.kind !== 'Deployment' && resource.kind !== 'ReplicaSet') return [];
  return workloadFault(`${resource.singular}/${objectKey(object)}`, world);
}

function workloadFault(key: string, world: World): NotReady[] {
  const workload = world.workloads.get(key);
  const wanted = workload?.spec?.replicas ?? 1;
  const faults = podsOf(workload, world.pods).map((pod) => podFault(pod, world.since));
  const ready = Math.min(workload?.status?.readyReplicas ?? 0, faults.filter((fault) => fault.length === 0).length);
  const seen = (workload?.status?.observedGeneration ?? 0) >= (workload?.metadata?.generation ?? 1);
  if (workload !== undefined && seen && ready >= wanted) return [];
  const reasons = faults.flat().map(({ what, why }) => `${what}: ${why}`);
  return [{ what: key, why: [`${ready} of ${wanted} Pods Ready`, ...new Set(reasons)].join('; ') }];
}

function podsOf(workload: Deployment | ReplicaSet | undefined, pods: readonly Pod[]): Pod[] {
  const labels = Object.entries(workload?.spec?.selector?.matchLabels ?? {});
  if (labels.length === 0) return [];
  return pods.filter(
    ({ metadata }) =>
      metadata?.namespace === workload?.metadata?.namespace &&
      metadata?.deletionTimestamp === undefined &&
      labels.every(([name, value]) => metadata?.labels?.[name] === value),
  );
}

function podFault(pod: Pod | undefined, since: number): NotReady[] {
  if (pod === undefined) return [{ what: 'pod', why: 'is not there' }];
  const ready = pod.status?.conditions?.find((c) => c.type === 'Ready');
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  if (pod.status?.phase === 'Succeeded') return [];
  const what = `pod/${pod.metadata?.name}`;
  if (ready?.status === 'True') {
    const isFresh = statuses.every(({ state }) => Date.parse(state?.running?.startedAt ?? '9999') >= since);
    return isFresh ? [] : [{ what, why: 'has not been started again' }];
  }
  const [why = ready?.message ?? pod.status?.phase ?? 'Pending'] = statuses.flatMap(containerReason);
  return [{ what, why }];
}

function containerReason({ state }: ContainerStatus): string[] {
  const { reason, message } = state?.waiting ?? state?.terminated ?? {};
  if (reason === undefined) return [];
  return [message === undefined ? reason : `${reason}: ${message}`];
}
