import type { Pod, PodTemplateSpec, StatefulSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { controllerReference } from '../ownership.ts';
import { revisionLabel } from '../revisions.ts';

export const statefulSetType = { apiVersion: 'apps/v1', kind: 'StatefulSet' } as const;

/** The number at the end of a Pod's name; nothing when the name is none that the StatefulSet gives. */
export function ordinalOf(set: Stored<StatefulSet>, pod: Stored<Pod>): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const rest = pod.metadata.name.slice(prefix.length);
  return pod.metadata.name.startsWith(prefix) && /^(?:0|[1-9]\d{0,9})$/.test(rest) ? Number(rest) : undefined;
}

/** A Pod with the name, host name and domain that go with its number, whatever node it comes to. */
export function newStatefulPod(
  set: Stored<StatefulSet>,
  ordinal: number,
  { template, revision }: { readonly template: PodTemplateSpec; readonly revision: string },
): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const { metadata = {}, spec = { containers: [] } } = template;
  const { serviceName = '' } = set.spec ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: set.metadata.namespace ?? '',
      labels: {
        ...metadata.labels,
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(ordinal),
        [revisionLabel]: revision,
      },
      ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
      ...(metadata.finalizers === undefined ? {} : { finalizers: metadata.finalizers }),
      ownerReferences: [controllerReference(set, statefulSetType)],
    },
    spec: { ...spec, hostname: name, ...(serviceName === '' ? {} : { subdomain: serviceName }) },
  };
}
