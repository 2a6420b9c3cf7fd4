import { FieldErrors } from '../../api/field-error.ts';
import type { LabelSelector, Scale } from '../../api/generated/types.ts';
import { formatLabelSelector } from '../../api/label-selector.ts';
import { dns1123Subdomain } from '../../api/names.ts';
import { resource } from '../../api/resources.ts';
import { age } from '../../component/duration.ts';
import type { BodyType } from '../decode-body.ts';
import { badRequest, invalid } from '../status.ts';
import { type ApiObject, StoredObject, storageText } from '../stored-object.ts';
import type { Column } from '../strategy.ts';

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

const column = (name: string, value: Column<ApiObject>['value'], rest: Partial<Column<ApiObject>> = {}) => ({
  name,
  type: 'string' as const,
  description: name,
  priority: 0 as const,
  value,
  ...rest,
});

/** How a Scale is shown, as a Table too. */
export const scaleFace = {
  resource: resource('autoscaling/v1', 'Scale', 'scales'),
  strategy: {
    name: dns1123Subdomain,
    columns: [
      column('Name', ({ metadata }) => metadata.name ?? '', { format: 'name' }),
      column('Desired', (o) => (o as Scalable).spec?.replicas ?? 0, { type: 'integer' }),
      column('Available', (o) => (o as Scalable).status?.replicas ?? 0, { type: 'integer' }),
      column('Age', ({ metadata }) => age(metadata.creationTimestamp)),
    ],
  },
};

/** The scale of a stored workload, of the workload's version. */
export function scaleOfStored({ key, revision, object }: StoredObject): StoredObject {
  const scale = scaleOf(object);
  return new StoredObject(key, revision, { text: storageText(scaleFace.resource, scale), parsed: scale });
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
