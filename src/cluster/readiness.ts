import type { ContainerStatus, Node, Pod } from '../api/generated/types.ts';
import { objectKey, type Stored } from '../api/object.ts';
import type { ApiClient } from '../client/types.ts';
import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import type { ManifestDocument } from './manifests.ts';
import { type AskFollowers, type Missing, notServed } from './served.ts';
import { isWorkload, listWorkloads, type Workload } from './workloads.ts';

/** What `up` waits for: nodes by name, cluster DNS, the Pods of manifests, and that Services lead to all Ready Pods. */
export interface Expected {
  readonly nodes: readonly string[];
  readonly documents: readonly ManifestDocument[];
  /** ISO 8601: when the cluster started. What was reported before is of an earlier run, and says nothing of this one. */
  readonly since: string;
  readonly askFollowers: AskFollowers;
}

const pollMs = 20;
/** What of the time may go into asking: with very many objects the API server has other things to do, too. */
const pollShare = 0.2;

/**
 * Waits until every node, cluster DNS and the manifests' Pods are Ready, and every proxy and DNS server has the Services
 * that lead to them.
 * @throws SignalboxError `CLUSTER_NOT_READY`, naming what is not and why
 */
export async function waitUntilReady(
  client: ApiClient,
  expected: Expected,
  timing: { readonly timeoutMs: number; readonly onProgress: (missing: readonly Missing[]) => void },
): Promise<void> {
  const until = Date.now() + timing.timeoutMs;
  for (;;) {
    const began = performance.now();
    const notYetReady = await notReady(client, expected);
    const missing = notYetReady.length > 0 ? notYetReady : await notServed(client, expected.askFollowers);
    if (missing.length === 0) return;
    timing.onProgress(missing);
    if (Date.now() >= until) throw tooLate(missing, timing.timeoutMs);
    const took = performance.now() - began;
    await sleep(Math.max(pollMs, took / pollShare - took));
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

function tooLate(missing: readonly Missing[], timeoutMs: number): SignalboxError {
  return new SignalboxError('CLUSTER_NOT_READY', {
    object: missing.map(({ what, why }) => `${what} (${why})`).join(', '),
    problem: `${missing.length === 1 ? 'is' : 'are'} not Ready after ${timeoutMs / 1000} s`,
    remedy: 'the cluster runs on: see `kubectl describe` and `kubectl get events -A`, or wait longer with --wait',
  });
}

/** All that is not Ready at this moment. */
async function notReady(client: ApiClient, expected: Expected): Promise<Missing[]> {
  const kinds = new Set(['Deployment', ...expected.documents.map(({ resource }) => resource.kind)]);
  const [nodes, pods, workloads] = await Promise.all([
    client.list('nodes'),
    client.list('pods'),
    listWorkloads(client, kinds),
  ]);
  const world: World = { since: wholeSeconds(expected.since), pods: pods.items, workloads };
  return [
    ...expected.nodes.flatMap((name) => nodeFault(name, nodes.items, world.since)),
    ...workloadFault('deployment/kube-system/cluster-dns', world),
    ...expected.documents.flatMap((document) => documentFault(document, world)),
  ];
}

interface World {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly pods: readonly Stored<Pod>[];
  readonly workloads: ReadonlyMap<string, Workload>;
}

function nodeFault(name: string, nodes: readonly Node[], since: number): Missing[] {
  const node = nodes.find((n) => n.metadata?.name === name);
  const ready = node?.status?.conditions?.find((c) => c.type === 'Ready');
  if (ready?.status === 'True') {
    const isFresh = Date.parse(ready.lastHeartbeatTime ?? '') >= since;
    return isFresh ? [] : [{ what: `node/${name}`, why: 'has not reported since the start' }];
  }
  return [{ what: `node/${name}`, why: ready?.message ?? 'has not registered' }];
}

function documentFault({ resource, object }: ManifestDocument, world: World): Missing[] {
  if (resource.kind === 'Pod') {
    return podFault(
      world.pods.find((pod) => objectKey(pod) === objectKey(object)),
      world.since,
    );
  }
  return isWorkload(resource.kind) ? workloadFault(`${resource.singular}/${objectKey(object)}`, world) : [];
}

function workloadFault(key: string, { workloads, pods, since }: World): Missing[] {
  const workload = workloads.get(key);
  if (workload === undefined) return [{ what: key, why: 'is not there' }];
  const faults = podsOf(workload, pods).map((pod) => podFault(pod, since));
  const ready = Math.min(workload.ready, faults.filter((fault) => fault.length === 0).length);
  const { wanted, isObserved, updated } = workload;
  if (isObserved && ready >= wanted && updated >= wanted) return [];
  const reasons = [
    `${ready} of ${wanted} Pods Ready`,
    ...(ready >= wanted ? [`${updated} of ${wanted} Pods as they are to be now`] : []),
    ...faults.flat().map(({ what, why }) => `${what}: ${why}`),
  ];
  return [{ what: key, why: [...new Set(reasons)].join('; ') }];
}

function podsOf({ namespace, isSelected }: Workload, pods: readonly Stored<Pod>[]): readonly Pod[] {
  return pods.filter(
    ({ metadata }) =>
      metadata.namespace === namespace && metadata.deletionTimestamp === undefined && isSelected(metadata.labels),
  );
}

function podFault(pod: Pod | undefined, since: number): Missing[] {
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
