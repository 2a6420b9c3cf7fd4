import type { Condition, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { addressInUseAnnotation, addressPoolAnnotation } from '../../api/well-known.ts';
import { type Ip, tryParseIp } from '../../net/ip.ts';
import { formatTime } from '../time.ts';
import type { Write } from '../write.ts';

/** Kubernetes' own: whoever asks for balancers to be cleaned up before a Service goes looks for this one. */
const finalizer = 'service.kubernetes.io/load-balancer-cleanup';
/** Condition of Services that do not get what they ask for; the others do not have it. */
const failedCondition = 'signalbox.dev/AllocationFailed';

/** What a Service is to show of what it was given. */
export interface Outcome {
  readonly ips: readonly Ip[];
  /** The pool they are of; `undefined` for a Service that this controller has given nothing. */
  readonly pool: string | undefined;
  /** Why that is not what it asks for. */
  readonly problem?: string | undefined;
}

/**
 * What of a Service is to be written so that it shows the outcome; `undefined` when it does. One write, so that there is
 * no address without the finalizer that has it taken back: the status subresource of Services takes metadata, too, and
 * leaves the spec to its owner.
 */
export function outcomeWrite(service: Stored<Service>, outcome: Outcome, now: number): Write | undefined {
  const { ips, pool, problem } = outcome;
  const { annotations = {}, finalizers = [] } = service.metadata;
  const failed = failureOf(service);
  const reason = ips.length > 0 ? 'KeepsAddress' : 'NoAddress';
  const isShown =
    annotations[addressPoolAnnotation] === pool &&
    annotations[addressInUseAnnotation] === undefined &&
    finalizers.includes(finalizer) === (pool !== undefined) &&
    isSame(addressesOf(service), ips) &&
    failed?.message === problem &&
    (problem === undefined || failed?.reason === reason);
  if (isShown) return undefined;
  const { conditions: before = [], ...rest } = service.status ?? {};
  const conditions = before.filter((each) => each !== failed);
  if (problem !== undefined) {
    const lastTransitionTime = failed?.lastTransitionTime ?? formatTime(now);
    conditions.push({ type: failedCondition, status: 'True', reason, message: problem, lastTransitionTime });
  }
  const loadBalancer = ips.length === 0 ? {} : { ingress: ips.map((ip) => ({ ip, ipMode: 'VIP' })) };
  const status = { ...rest, loadBalancer, ...(conditions.length === 0 ? {} : { conditions }) };
  const object = { ...service, metadata: markedMetadata(service, pool), status };
  return { verb: 'update', resource: 'services', subresource: 'status', object };
}

/** Metadata with the marks of a Service that has addresses of a pool, or of one that has none. */
function markedMetadata(service: Stored<Service>, pool: string | undefined): Stored<Service>['metadata'] {
  const { annotations: allAnnotations = {}, finalizers: allFinalizers = [], ...metadata } = service.metadata;
  const { [addressPoolAnnotation]: _pool, [addressInUseAnnotation]: _inUse, ...others } = allAnnotations;
  const annotations = { ...others, ...(pool === undefined ? {} : { [addressPoolAnnotation]: pool }) };
  const finalizers = allFinalizers.filter((name) => name !== finalizer).concat(pool === undefined ? [] : finalizer);
  return {
    ...metadata,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    ...(finalizers.length === 0 ? {} : { finalizers }),
  };
}

/** Whether this controller, or one before it, has left something in the Service. */
export function isMarked(service: Stored<Service>): boolean {
  return service.metadata.annotations?.[addressPoolAnnotation] !== undefined || failureOf(service) !== undefined;
}

/** The addresses that a Service's balancer has. */
export function addressesOf(service: Service | undefined): Ip[] {
  const ingress = service?.status?.loadBalancer?.ingress ?? [];
  return ingress.flatMap(({ ip }) => tryParseIp(ip ?? '') ?? []);
}

/** Whether two lists have the same addresses in the same order. */
export function isSame(some: readonly Ip[], others: readonly Ip[]): boolean {
  return some.length === others.length && some.every((ip, i) => ip === others[i]);
}

function failureOf({ status }: Service): Condition | undefined {
  return status?.conditions?.find(({ type }) => type === failedCondition);
}
