import type { Pod } from '../../api/generated/types.ts';
import type { Ip } from '../../net/ip.ts';
import type { ContainerRun } from '../container-run.ts';
import type { PodState } from '../pod-state.ts';

/** A Pod of this node as its API sees it. */
export interface ServedPod {
  readonly pod: Pod;
  readonly state: PodState;
  /**
   * Its addresses, and the path of its network namespace; none for a Pod in the node's network. `undefined` until there
   * is a sandbox.
   */
  readonly network: { readonly ips: readonly Ip[]; readonly netns: string | undefined } | undefined;
  /** What runs now, by container. */
  readonly runs: ReadonlyMap<string, ContainerRun>;
  /** Reason of a container that waits, as the status says it. */
  waitingReason(container: string): string | undefined;
}

/** Finds a Pod of this node. */
export type FindPod = (namespace: string, name: string) => ServedPod | undefined;

/** Where the pods of a node are looked up, and where it keeps their logs. */
export interface NodeApiHost {
  readonly find: FindPod;
  readonly stateDir: string;
}

/** A request fails with this answer; the text is for the client's user. */
export class NodeApiError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'NodeApiError';
    this.code = code;
  }
}

/** @throws NodeApiError 404 */
export function servedPod({ find }: NodeApiHost, namespace: string, name: string): ServedPod {
  const served = find(namespace, name);
  if (served === undefined) throw new NodeApiError(404, `pod "${name}" not found`);
  return served;
}

/** @throws NodeApiError 404 when the container does not run */
export function runOf(served: ServedPod, container: string): ContainerRun {
  const run = served.runs.get(container);
  if (run === undefined) throw new NodeApiError(404, `container not found ("${container}")`);
  return run;
}
