import { FieldErrors } from '../../api/field-error.ts';
import type { LabelSelector, Scale } from '../../api/generated/types.ts';
import { formatLabelSelector } from '../../api/label-selector.ts';
import type { BodyType } from '../decode-body.ts';
import { badRequest, invalid } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';

export const scaleBodyType: BodyType = { apiVersion: 'autoscaling/v1', kind: 'Scale', schema: 'Scale' };

/** The parts of a workload that its scale is made of. */
interface Scalable {
  readonly spec?: { readonly replicas?: number; readonly selector?: LabelSelector };
  readonly status?: { readonly replicas?: number };
}

/** The `autoscaling/v1` view of a workload. */
export function scaleOf(object: ApiObject): ApiObject & Scale {
  const { spec, status } = object as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const metadata = { name, namespace, uid, resourceVersion, creationTimestamp };
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== undefined)),
    spec: { replicas: spec?.replicas ?? 0 },
    status: { replicas: status?.replicas ?? 0, selector: formatLabelSelector(spec?.selector) },
  };
}

/** What a client's Scale asks for. @throws StatusError 400, 422 */
export function readScale(object: ApiObject, name: string): Scale {
  const scale: Scale = object;
  const sentName = scale.metadata?.name ?? '';
  if (sentName !== '' && sentName !== name) {
    throw badRequest(`the name of the object (${sentName}) does not match the name on the URL (${name})`);
  }
  const replicas = scale.spec?.replicas ?? 0;
  const errors = new FieldErrors();
  if (replicas < 0) errors.invalid('spec.replicas', replicas, 'must be greater than or equal to 0');
  if (errors.list.length > 0) throw invalid({ group: 'autoscaling', kind: 'Scale' }, name, errors.list);
  return scale;
}

/** The workload with another number of replicas; versions and uid are the Scale's, to be checked as an update's are. */
export function withReplicas(object: ApiObject, { metadata, spec }: Scale): ApiObject {
  const copy = structuredClone(object);
  const { resourceVersion: _, ...kept } = copy.metadata;
  copy.metadata = {
    ...kept,
    ...(metadata?.resourceVersion ? { resourceVersion: metadata.resourceVersion } : {}),
    ...(metadata?.uid ? { uid: metadata.uid } : {}),
  };
  copy.spec = { ...(copy.spec as object | undefined), replicas: spec?.replicas ?? 0 };
  return copy;
}
