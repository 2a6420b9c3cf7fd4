import { apiVersionOf } from '../api/resources.ts';
import { readFieldValidation } from './decode-body.ts';
import { parseApplied } from './patch/apply-patch.ts';
import { applyPatch, parsePatch } from './patch/patch.ts';
import type { ApiAnswer } from './requests.ts';
import { type NamedCall, readObject, show } from './resource-call.ts';
import { apply, isApply } from './resource-writes.ts';
import type { StoredObject } from './stored-object.ts';
import { readScale, scaleBodyType, scaleFace, scaleOf, scaleOfStored, withReplicas } from './subresources/scale.ts';
import { readDryRun, readWriter } from './write-options.ts';

/** Changes how many Pods a workload is to have. */
export async function changeScale(call: NamedCall): Promise<ApiAnswer> {
  const { registry, place, request, info } = call;
  if (info.verb === 'patch' && isApply(call)) return applyScale(call);
  const writer = readWriter(request, info, 'Update');
  const dryRun = readDryRun(request.query, 'UpdateOptions');
  const validation = readFieldValidation(request);
  const isPatch = info.verb === 'patch';
  const parsed = isPatch ? parsePatch(request.body, request.headers['content-type']) : undefined;
  const sent = isPatch ? undefined : (await readObject(call, scaleBodyType)).object;
  const stored = await registry.update(
    place,
    (current) => {
      const scale = scaleOf(current.object);
      const next =
        parsed === undefined
          ? (sent ?? scale)
          : applyPatch(parsed, scale, { type: scaleBodyType, validation, warn: () => {} });
      return withReplicas(current.object, readScale(next, place.name));
    },
    { dryRun, part: 'main', writer },
  );
  return showScale(call, stored);
}

/** A Scale that is applied is its workload, of which its one field is applied. */
async function applyScale(call: NamedCall): Promise<ApiAnswer> {
  const { info, place, request } = call;
  const { object } = await parseApplied(request.body, scaleBodyType, readFieldValidation(request));
  const scale = readScale(object, place.name);
  const metadata = { ...(place.namespace === undefined ? {} : { namespace: place.namespace }), name: place.name };
  const { kind } = info.resource;
  const applied = { apiVersion: apiVersionOf(info.resource), kind, metadata, spec: { ...scale.spec } };
  const { stored } = await apply(call, applied, 'main');
  return showScale(call, stored);
}

/** The Scale of a workload. */
export function showScale(call: NamedCall, workload: StoredObject): Promise<ApiAnswer> {
  return show({ ...call, face: scaleFace }, 200, scaleOfStored(workload));
}
