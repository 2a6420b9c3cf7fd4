import type { Container, PodSpec } from '../api/generated/types.ts';

const counted = ['cpu', 'memory'];

/** Quality of service as Kubernetes derives it from requests and limits of CPU and memory. */
export function podQosClass(spec: PodSpec | undefined): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const named = (container: Container, kind: 'limits' | 'requests') =>
    counted.filter((name) => container.resources?.[kind]?.[name] !== undefined);
  if (containers.every((c) => named(c, 'limits').length + named(c, 'requests').length === 0)) return 'BestEffort';
  const isGuaranteed = containers.every(({ resources }) =>
    counted.every((name) => {
      const limit = resources?.limits?.[name];
      return limit !== undefined && (resources?.requests?.[name] ?? limit) === limit;
    }),
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}
