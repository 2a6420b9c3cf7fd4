import type { PodSpec } from './generated/types.ts';

/** A Pod's quality-of-service class, from the CPU and memory its containers ask for. */
export function podQosClass(spec: PodSpec | undefined): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
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
