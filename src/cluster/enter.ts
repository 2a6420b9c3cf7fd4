import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { SignalboxError } from '../errors/error.ts';
import { readContainerPid } from '../node/container-pid.ts';
import { networkPaths } from './network.ts';
import { planCluster } from './plan.ts';
import { type ClusterPaths, type ClusterRecord, supervisorOf } from './state.ts';

/** Where a command is to run. */
export type Target =
  | { readonly kind: 'client' }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'pod'; readonly name: string; readonly namespace: string; readonly container: string | undefined };

/** Reads `client`, `node/NAME` or `pod/NAME[.NAMESPACE]`; `undefined` for anything else. */
export function parseTarget(text: string, container?: string): Target | undefined {
  if (text === 'client') return { kind: 'client' };
  const [, kind, name = '', namespace = 'default'] = /^(node|pod)\/([^./]+)(?:\.([^./]+))?$/.exec(text) ?? [];
  if (kind === 'pod') return { kind, name, namespace, container };
  return kind === 'node' && !text.includes('.') ? { kind, name } : undefined;
}

/** A container of a Pod as the API knows it. */
export interface Container {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly nodeName: string;
  readonly container: string;
}

/** A target with the Pod looked up. */
export type Place = Exclude<Target, { readonly kind: 'pod' }> | ({ readonly kind: 'container' } & Container);

/**
 * Looks up the Pod of a target.
 * @throws SignalboxError `TARGET_NOT_FOUND`; ApiError
 */
export async function locate(client: ApiClient, target: Target): Promise<Place> {
  if (target.kind !== 'pod') return target;
  const pod = await findPod(client, target);
  const containers = pod.spec?.containers.map(({ name }) => name) ?? [];
  const container = target.container ?? containers[0];
  if (container === undefined || !containers.includes(container)) {
    throw notFound(target, `has no container ${container}`, `its containers are ${containers.join(', ')}`);
  }
  const nodeName = pod.spec?.nodeName;
  if (nodeName === undefined) throw notFound(target, 'is on no node yet', 'see `kubectl describe pod` for why');
  return {
    kind: 'container',
    namespace: target.namespace,
    pod: target.name,
    podUid: pod.metadata.uid,
    nodeName,
    container,
  };
}

async function findPod(client: ApiClient, target: Extract<Target, { kind: 'pod' }>): Promise<Stored<Pod>> {
  try {
    return await client.get('pods', target);
  } catch (error) {
    if (!(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
    throw notFound(
      target,
      'is not there',
      'see `kubectl get pods -A`; a Pod of another namespace is pod/NAME.NAMESPACE',
    );
  }
}

function notFound(target: { namespace: string; name: string }, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('TARGET_NOT_FOUND', { object: `pod ${target.namespace}/${target.name}`, problem, remedy });
}

/**
 * The beginning of a command line that runs where the target is; the command itself follows.
 * @throws SignalboxError `TARGET_NOT_FOUND`, `CLUSTER_NOT_RUNNING`
 */
export function enterCommand(paths: ClusterPaths, record: ClusterRecord, target: Place): string[] {
  const supervisor = supervisorPid(record);
  if (target.kind === 'container') return enterContainer(paths, supervisor, target);
  const network = networkPaths(paths.run);
  if (target.kind === 'client') return enterNetns(supervisor, network.client);
  if (planCluster(record.nodeCount, record.ipFamily).nodes.some((node) => node.name === target.name)) {
    return enterNetns(supervisor, network.node(target.name));
  }
  throw new SignalboxError('TARGET_NOT_FOUND', {
    object: `node/${target.name}`,
    problem: `is no node of cluster ${record.name}`,
    remedy: `its nodes are node-1 to node-${record.nodeCount}`,
  });
}

/** @throws SignalboxError `CLUSTER_NOT_RUNNING` when it has just ended */
function supervisorPid(record: ClusterRecord): number {
  const pid = supervisorOf(record)?.pid;
  if (pid !== undefined) return pid;
  throw new SignalboxError('CLUSTER_NOT_RUNNING', {
    object: `cluster ${record.name}`,
    problem: 'has just ended',
    remedy: 'start it with `signalbox up`',
  });
}

/** Into the cluster first, where the path of a pinned network namespace means something. */
function enterNetns(supervisor: number, netns: string): string[] {
  return [...nsenter(supervisor, ['mount', 'pid', 'net']), 'nsenter', `--net=${netns}`, '--'];
}

function nsenter(pid: number, namespaces: readonly ('mount' | 'uts' | 'pid' | 'net')[]): string[] {
  // An ordinary user's namespaces belong to a user namespace of their own, entered as the user it was made by.
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  return ['nsenter', '--target', String(pid), ...user, ...namespaces.map((name) => `--${name}`), '--'];
}

/**
 * All namespaces of the container's first process, and its environment. That process is known by the number it has
 * inside the cluster, so the way leads through the cluster.
 */
function enterContainer(paths: ClusterPaths, supervisor: number, target: Container): string[] {
  const { namespace, pod, nodeName, podUid, container } = target;
  const pid = readContainerPid(join(paths.nodes, nodeName), { podUid, container });
  const environ = pid === undefined ? undefined : readEnvironment(`/proc/${supervisor}/root/proc/${pid}/environ`);
  if (pid === undefined || environ === undefined) {
    throw new SignalboxError('TARGET_NOT_FOUND', {
      object: `container ${container} of pod ${namespace}/${pod}`,
      problem: 'is not running',
      remedy: 'see `kubectl describe pod` for why',
    });
  }
  const enter = ['nsenter', '--target', String(pid), '--mount', '--uts', '--net', '--pid', '--wd=/', '--'];
  return [...nsenter(supervisor, ['mount', 'pid', 'net']), ...enter, 'env', '-i', ...environ];
}

function readEnvironment(path: string): string[] | undefined {
  try {
    return readFileSync(path, 'utf8')
      .split('\0')
      .filter((variable) => variable !== '');
  } catch {
    return undefined;
  }
}
