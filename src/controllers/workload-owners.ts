import type { LabelSelector, Pod, PodTemplateSpec } from '../api/generated/types.ts';
import { matchLabelSelector } from '../api/label-selector.ts';
import { type KubernetesObject, objectKey, type Stored } from '../api/object.ts';
import type { Round } from './controller.ts';
import { controllerOf, type OwnerType } from './ownership.ts';
import type { Write } from './write.ts';

type Selecting = Stored<
  KubernetesObject & { readonly spec?: { readonly selector: LabelSelector; readonly template: PodTemplateSpec } }
>;

/** Keys of the workloads of one type that an object concerns: its controller, or who might adopt it. */
export function workloadsOf(
  { metadata, ...rest }: Stored<Pod> | Stored<KubernetesObject>,
  type: OwnerType,
  inNamespace: (namespace: string) => readonly Selecting[],
): string[] {
  const { namespace = '', labels } = metadata;
  const controller = controllerOf({ metadata, ...rest });
  if (controller !== undefined) return controller.kind === type.kind ? [`${namespace}/${controller.name}`] : [];
  return inNamespace(namespace)
    .filter(({ spec }) => matchLabelSelector(spec?.selector)(labels))
    .map(objectKey);
}

/** Applies writes with an event for each Pod made or deleted, and one for what could not be made. */
export async function applyPodWrites(
  round: Round,
  owner: Selecting & { readonly kind?: string },
  {
    writes,
    describe,
  }: { readonly writes: readonly Write[]; readonly describe: (verb: 'create' | 'delete', pod: string) => string },
): Promise<void> {
  try {
    await round.apply(writes, (write, stored) => {
      if (write.verb !== 'create' && write.verb !== 'delete') return;
      if (write.resource !== 'pods') return;
      const name = (write.verb === 'delete' ? write.place.name : stored?.metadata.name) ?? '';
      const reason = write.verb === 'create' ? 'SuccessfulCreate' : 'SuccessfulDelete';
      round.record(owner, { type: 'Normal', reason, message: describe(write.verb, name) });
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (writes.some((write) => write.verb === 'create' && write.resource === 'pods'))
      round.record(owner, { type: 'Warning', reason: 'FailedCreate', message: `Error creating: ${message}` });
    throw error;
  }
}
