import type { Binding, Pod, PodCondition } from '../../api/generated/types.ts';
import type { ParsedBody } from '../body.ts';
import { decodeBody } from '../decode-body.ts';
import { kubernetesTime } from '../object-meta.ts';
import type { ObjectPlace, Registry } from '../registry.ts';
import { type ApiAnswer, jsonAnswer } from '../requests.ts';
import { badRequest, conflict, invalid } from '../status.ts';
import type { ApiObject, StoredObject } from '../stored-object.ts';

const bodyType = { apiVersion: 'v1', kind: 'Binding', schema: 'Binding' };

/** Puts a Pod on a node, once: what the scheduler sends. */
export async function bindPod(
  registry: Registry,
  { place, body, dryRun }: { place: ObjectPlace; body: ParsedBody; dryRun: boolean },
): Promise<ApiAnswer> {
  const binding: Binding = { target: {}, ...decodeBody(body, bodyType, 'Ignore').object };
  const { name = '' } = binding.metadata ?? {};
  if (name !== '' && name !== place.name) throw badRequest('name in URL does not match name in Binding object');
  const node = binding.target?.name ?? '';
  if (node === '') {
    const message = 'Required value';
    throw invalid({ group: '', kind: 'Binding' }, place.name, [
      { reason: 'FieldValueRequired', field: 'target.name', message },
    ]);
  }
  if (binding.target.kind !== undefined && binding.target.kind !== '' && binding.target.kind !== 'Node') {
    throw badRequest(
      `target.kind: Unsupported value: ${JSON.stringify(binding.target.kind)}: supported values: "Node"`,
    );
  }
  const { resourceVersion, uid } = binding.metadata ?? {};
  const bind = (current: StoredObject['object']) => {
    const pod = structuredClone(current) as ApiObject & Pod;
    const problem = whyNot(pod, place.name);
    if (problem !== undefined) throw conflict({ group: '', plural: 'pods/binding' }, place.name, problem);
    pod.spec = { containers: [], ...pod.spec, nodeName: node };
    pod.metadata.annotations = { ...pod.metadata.annotations, ...binding.metadata?.annotations };
    if (Object.keys(pod.metadata.annotations).length === 0) delete pod.metadata.annotations;
    pod.status = { ...pod.status, conditions: scheduled(pod.status?.conditions ?? []) };
    delete pod.metadata.resourceVersion;
    if (resourceVersion) pod.metadata.resourceVersion = resourceVersion;
    if (uid) pod.metadata.uid = uid;
    return pod;
  };
  await registry.bind(place, bind, dryRun);
  return jsonAnswer(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

function whyNot(pod: Pod, name: string): string | undefined {
  if (pod.metadata?.deletionTimestamp !== undefined)
    return `pod ${name} is being deleted, cannot be assigned to a host`;
  const node = pod.spec?.nodeName ?? '';
  return node === '' ? undefined : `pod ${name} is already assigned to node "${node}"`;
}

function scheduled(conditions: readonly PodCondition[]): PodCondition[] {
  const others = conditions.filter((condition) => condition.type !== 'PodScheduled');
  return [...others, { type: 'PodScheduled', status: 'True', lastTransitionTime: kubernetesTime() }];
}
