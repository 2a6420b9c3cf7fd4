import type { Condition, ServiceCIDR } from '../api/generated/types.ts';
import { type Cidr, cidrContains, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { kubernetesTime } from './object-meta.ts';
import type { ResourceCache } from './resource-cache.ts';
import type { ServiceAllocator } from './service-allocator.ts';
import type { StoredObject } from './stored-object.ts';

/** The ServiceCIDR of the blocks that the API server is configured with. */
export const defaultServiceCidr = 'kubernetes';
const finalizer = 'networking.k8s.io/service-cidr-finalizer';

/** The blocks that addresses may be taken from: those of every ServiceCIDR that is not on its way out. */
function openBlocks(serviceCidrs: ResourceCache): Cidr[] {
  const open = serviceCidrs.list().filter(({ object }) => object.metadata.deletionTimestamp === undefined);
  const isDefault = ({ key }: StoredObject) => Number(key === defaultServiceCidr);
  return open.sort((a, b) => isDefault(b) - isDefault(a)).flatMap(blocksOf);
}

/** Lets an allocator use the blocks there are, from now on as they change. */
export function allocateFromServiceCidrs(allocator: ServiceAllocator, serviceCidrs: ResourceCache): void {
  allocator.allocateFrom(openBlocks(serviceCidrs));
  serviceCidrs.listen(() => allocator.allocateFrom(openBlocks(serviceCidrs)));
}

/**
 * Sets in place what keeps a ServiceCIDR from going before its addresses, and says that it can be allocated from.
 * Returns whether anything was missing.
 */
export function protectServiceCidr(object: ServiceCIDR): boolean {
  object.metadata ??= {};
  const { finalizers = [], name } = object.metadata;
  const isProtected = finalizers.includes(finalizer);
  if (!isProtected) object.metadata.finalizers = [...finalizers, finalizer];
  const subject = name === defaultServiceCidr ? 'Kubernetes default Service CIDR' : 'Kubernetes Service CIDR';
  const isSet = setReady(object, { status: 'True', reason: '', message: `${subject} is ready` });
  return isSet || !isProtected;
}

/** Sets in place why a ServiceCIDR that was deleted is still there. Returns whether that was not said yet. */
export function awaitAddresses(object: ServiceCIDR): boolean {
  const message =
    'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR';
  return setReady(object, { status: 'False', reason: 'Terminating', message });
}

/** Takes away, in place, what keeps it. */
export function releaseServiceCidr(object: ServiceCIDR): void {
  const { finalizers = [] } = object.metadata ?? {};
  object.metadata = { ...object.metadata, finalizers: finalizers.filter((one) => one !== finalizer) };
}

/**
 * Whether a ServiceCIDR can go: each of its blocks lies within one that stays, or no address in it would be left
 * without a block.
 */
export function isDispensable(stored: StoredObject, serviceCidrs: ResourceCache, addresses: Iterable<string>): boolean {
  const others = openBlocks(serviceCidrs);
  const alone = blocksOf(stored).filter((block) => !others.some((other) => isWithin(block, other)));
  if (alone.length === 0) return true;
  for (const address of addresses) {
    const ip: Ip = parseIp(address);
    const isIn = (block: Cidr) => cidrContains(block, ip);
    if (alone.some(isIn) && !others.some(isIn)) return false;
  }
  return true;
}

function isWithin(block: Cidr, other: Cidr): boolean {
  return other.prefix <= block.prefix && cidrContains(other, block.base);
}

function blocksOf({ object }: StoredObject): Cidr[] {
  return ((object as ServiceCIDR).spec?.cidrs ?? []).map(parseCidr);
}

function setReady(object: ServiceCIDR, wanted: Pick<Condition, 'status' | 'reason' | 'message'>): boolean {
  const conditions = object.status?.conditions ?? [];
  const found = conditions.find(({ type }) => type === 'Ready');
  if (found?.status === wanted.status && found.reason === wanted.reason && found.message === wanted.message)
    return false;
  const lastTransitionTime = found?.status === wanted.status ? found.lastTransitionTime : kubernetesTime();
  const ready: Condition = { type: 'Ready', ...wanted, lastTransitionTime };
  object.status = { ...object.status, conditions: [...conditions.filter((one) => one !== found), ready] };
  return true;
}
