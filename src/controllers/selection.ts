import { isDeepStrictEqual } from 'node:util';
import type { Pod, Service } from '../api/generated/types.ts';
import { matchLabelSelector } from '../api/label-selector.ts';
import { objectKey, type Stored } from '../api/object.ts';
import { type Caches, labelValue } from './caches.ts';
import { isFinished, isReady, isTerminating } from './pod-state.ts';

/** Who selects whom, looked up in time proportional to those that share a label. */
export interface Selection {
  /** The Pods that a Service's selector matches; none without a selector. */
  podsOf(service: Stored<Service>): readonly Stored<Pod>[];
  /** Keys of the Services whose selector matches a Pod. */
  servicesOf(pod: Stored<Pod>): readonly string[];
}

/** Services and the Pods they select, from the caches. */
export function createSelection(caches: Caches): Selection {
  const podsByLabel = caches.index('podsByLabel');
  const servicesByLabel = caches.index('servicesByLabel');
  return {
    podsOf: ({ metadata, spec }) => {
      const values = Object.entries(spec?.selector ?? {}).map((entry) => labelValue(metadata.namespace, ...entry));
      const [rarest] = values.sort((a, b) => podsByLabel.count(a) - podsByLabel.count(b));
      if (rarest === undefined) return [];
      const matches = matchLabelSelector({ matchLabels: spec?.selector ?? {} });
      return podsByLabel.get(rarest).filter((pod) => matches(pod.metadata.labels));
    },
    servicesOf: ({ metadata }) =>
      Object.entries(metadata.labels ?? {})
        .flatMap((entry) => servicesByLabel.get(labelValue(metadata.namespace, ...entry)))
        .filter(({ spec }) => matchLabelSelector({ matchLabels: spec?.selector ?? {} })(metadata.labels))
        .map(objectKey),
  };
}

/** Whether a Pod's change can change the endpoints of a Service. */
function changesEndpoints(previous: Stored<Pod> | undefined, current: Stored<Pod> | undefined): boolean {
  if (previous === undefined || current === undefined) return true;
  return !isDeepStrictEqual(endpointFacts(previous), endpointFacts(current));
}

function endpointFacts(pod: Stored<Pod>): unknown[] {
  const { podIP, podIPs } = pod.status ?? {};
  const { nodeName, hostname, subdomain } = pod.spec ?? {};
  return [
    [isReady(pod), isFinished(pod), isTerminating(pod)],
    [podIP, podIPs, nodeName, hostname, subdomain],
    pod.metadata.labels,
  ];
}

/** The keys of all Services that a Pod's change concerns. */
export function concernedServices(
  selection: Selection,
  { previous, current }: { readonly previous: Stored<Pod> | undefined; readonly current: Stored<Pod> | undefined },
): ReadonlySet<string> {
  if (!changesEndpoints(previous, current)) return new Set();
  return new Set([previous, current].flatMap((pod) => (pod === undefined ? [] : selection.servicesOf(pod))));
}
