import type { Service } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import type { ApiClient } from '../client/types.ts';
import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import { publications } from '../publisher/publications.ts';
import { type PublishedPort, readPublished } from '../publisher/record.ts';
import type { ClusterPaths } from './state.ts';

/** A balancer gets its address at once, on a busy machine in some seconds, or not soon. */
const balancerPatienceMs = 10_000;
const everyMs = 20;

/**
 * Waits until every Service that is to be reached from the host is, or until it is known why not. Gives what is published.
 * @throws SignalboxError `CLUSTER_NOT_READY` with what is missing after `timeoutMs`
 */
export async function waitUntilPublished(
  client: ApiClient,
  paths: ClusterPaths,
  timeoutMs: number,
): Promise<readonly PublishedPort[]> {
  const began = performance.now();
  for (;;) {
    const { items } = await client.list('services');
    const { ports } = readPublished(paths.published);
    const waited = performance.now() - began;
    const missing = [
      ...unpublished(items, ports),
      ...(waited < balancerPatienceMs ? items.filter(waitsForBalancer).map(objectKey) : []),
    ];
    if (missing.length === 0) return ports;
    if (waited >= timeoutMs) throw notPublished(missing, paths);
    await sleep(everyMs);
  }
}

/** Keys of what is to be published, and has come to nothing yet. */
function unpublished(services: readonly Service[], ports: readonly PublishedPort[]): string[] {
  const settled = new Set(ports.flatMap(({ key, url, problem }) => ((url ?? problem) === undefined ? [] : [key])));
  // Where they lead to makes no difference here.
  const wanted = publications({ services, nodes: [], slicesOf: () => [] });
  return wanted.map(({ key }) => key).filter((key) => !settled.has(key));
}

function waitsForBalancer({ spec, status }: Service): boolean {
  return (
    spec?.type === 'LoadBalancer' &&
    spec.loadBalancerClass === undefined &&
    (status?.loadBalancer?.ingress ?? []).length === 0
  );
}

function notPublished(missing: readonly string[], paths: ClusterPaths): SignalboxError {
  return new SignalboxError('CLUSTER_NOT_READY', {
    object: missing.join(', '),
    problem: 'cannot be reached from this machine yet',
    remedy: `see the end of ${paths.components}/publisher.log`,
  });
}
