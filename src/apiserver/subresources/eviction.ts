import { decodeObject } from '../../api/decode.ts';
import type { DeleteOptions } from '../../api/generated/types.ts';
import type { BodyType } from '../decode-body.ts';
import type { ObjectPlace, Registry } from '../registry.ts';
import { type ApiAnswer, jsonAnswer } from '../requests.ts';
import { badRequest } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';

export const evictionBodyType: BodyType = { apiVersion: 'policy/v1', kind: 'Eviction', schema: 'Eviction' };

/**
 * Deletes a Pod as an administrator wants it who empties a node. There are no PodDisruptionBudgets that could forbid
 * it, so the Pod goes with its grace period.
 */
export async function evictPod(
  registry: Registry,
  { place, eviction, dryRun }: { place: ObjectPlace; eviction: ApiObject; dryRun: boolean },
): Promise<ApiAnswer> {
  const { name = '' } = eviction.metadata;
  if (name !== '' && name !== place.name) throw badRequest('name in URL does not match name in Eviction object');
  const options: DeleteOptions = decodeObject('DeleteOptions', eviction.deleteOptions ?? {}).object;
  await registry.delete(place, { ...options, ...(dryRun ? { dryRun: ['All'] } : {}) });
  return jsonAnswer(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}
