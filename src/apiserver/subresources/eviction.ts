import type { Eviction } from '../../api/generated/types.ts';
import type { ParsedBody } from '../body.ts';
import { decodeBody } from '../decode-body.ts';
import type { ObjectPlace, Registry } from '../registry.ts';
import { type ApiAnswer, jsonAnswer } from '../requests.ts';
import { badRequest } from '../status.ts';

const bodyType = { apiVersion: 'policy/v1', kind: 'Eviction', schema: 'Eviction' };

/**
 * Deletes a Pod as `kubectl drain` asks for it. There are no disruption budgets here that could stand in the way.
 * @throws StatusError
 */
export async function evictPod(
  registry: Registry,
  place: ObjectPlace,
  sent: { readonly body: ParsedBody; readonly dryRun: boolean },
): Promise<ApiAnswer> {
  const { metadata, deleteOptions = {} }: Eviction = decodeBody(sent.body, bodyType, 'Ignore').object;
  const name = metadata?.name ?? '';
  if (name !== '' && name !== place.name) throw badRequest('name in URL does not match name in Eviction object');
  await registry.delete(place, sent.dryRun ? { ...deleteOptions, dryRun: ['All'] } : deleteOptions);
  return jsonAnswer(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}
