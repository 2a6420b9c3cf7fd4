import type { Pod } from '../api/generated/types.ts';

/** A Pod's quality-of-service class, from the CPU and memory its containers ask for. */
export function qosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const resources = containers.map(({ resources: { limits = {}, requests = {} } = {} }) => ({ limits, requests }));
  const names = ['cpu', 'memory'];
  const none = resources.every(({ limits, requests }) =>
    names.every((n) => limits[n] === undefined && requests[n] === undefined),
  );
  if (none) return 'BestEffort';
  const all = resources.every(({ limits, requests }) =>
    names.every((n) => limits[n] !== undefined && (requests[n] ?? limits[n]) === limits[n]),
  );
  return all ? 'Guaranteed' : 'Burstable';
}
