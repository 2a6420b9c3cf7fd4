import { isDeepStrictEqual } from 'node:util';
import type { ServiceCIDR } from '../api/generated/types.ts';
import type { Registry } from './registry.ts';
import { createRerun } from './rerun.ts';
import type { ServiceAllocator } from './service-allocator.ts';
import {
  awaitAddresses,
  defaultServiceCidr,
  isDispensable,
  protectServiceCidr,
  releaseServiceCidr,
} from './service-cidrs.ts';
import { StatusError } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';

const recheckMs = 1_000;
/** How long an API server that shares the store may not know yet that a block is on its way out. */
const sharedGraceMs = 10_000;

/** What ServiceCIDRs are kept by. */
export interface ServiceCidrContext {
  readonly serviceCidrs: Registry;
  readonly services: Registry;
  readonly allocator: ServiceAllocator;
  /** The blocks that this server is configured with. */
  readonly configured: readonly string[];
  /** Whether other API servers allocate as well. */
  readonly isShared: boolean;
}

/**
 * Makes the ServiceCIDR `kubernetes` of the configured blocks, unless there is one: that one then rules. A second
 * family is added to one that has only the first. Returns the blocks of the object where they are others.
 */
export async function ensureDefaultServiceCidr({
  serviceCidrs,
  configured,
}: Pick<ServiceCidrContext, 'serviceCidrs' | 'configured'>): Promise<readonly string[] | undefined> {
  const name = defaultServiceCidr;
  const blocksOf = () => (serviceCidrs.cache.get(name)?.object as ServiceCIDR | undefined)?.spec?.cidrs;
  const found = blocksOf();
  try {
    if (found === undefined) {
      const object: ApiObject & ServiceCIDR = { metadata: { name }, spec: { cidrs: [...configured] } };
      await serviceCidrs.create(object, undefined, { dryRun: false });
    } else if (found.length === 1 && configured.length === 2 && found[0] === configured[0]) {
      const change = ({ object }: StoredObject) => ({ ...structuredClone(object), spec: { cidrs: [...configured] } });
      await serviceCidrs.update({ namespace: undefined, name }, change, { dryRun: false, part: 'main' });
    }
  } catch (error) {
    if (!wasFaster(error)) throw error;
  }
  const blocks = blocksOf() ?? configured;
  return isDeepStrictEqual(blocks, configured) ? undefined : blocks;
}

/**
 * Keeps every ServiceCIDR protected while it is in use, and lets one that was deleted go when no address depends on it
 * any more. Returns the end.
 */
export function keepServiceCidrs(context: ServiceCidrContext, onError: (error: unknown) => void): () => void {
  const { serviceCidrs, services } = context;
  let timer: NodeJS.Timeout | undefined;
  const rerun = createRerun(async () => {
    clearTimeout(timer);
    await ensureDefaultServiceCidr(context);
    for (const stored of serviceCidrs.cache.list()) await settle(stored, context);
    // A request under way holds an address of which there is no event when it fails.
    if (serviceCidrs.cache.list().some(isLeaving)) timer = setTimeout(rerun.run, recheckMs);
  }, onError);
  const stops = [
    serviceCidrs.cache.listen(rerun.run),
    services.cache.listen(({ previous }) => {
      if (previous !== undefined && serviceCidrs.cache.list().some(isLeaving)) rerun.run();
    }),
  ];
  rerun.run();
  return () => {
    for (const stop of stops) stop();
    rerun.stop();
    clearTimeout(timer);
  };
}

const isLeaving = ({ object }: StoredObject) => object.metadata.deletionTimestamp !== undefined;

async function settle(stored: StoredObject, { serviceCidrs, allocator, isShared }: ServiceCidrContext): Promise<void> {
  const { metadata } = stored.object;
  const change = changeFor(stored, () => isDispensable(stored, serviceCidrs.cache, allocator.addresses()));
  if (change === undefined) return;
  const leftMs = Date.parse(metadata.deletionTimestamp ?? '') + sharedGraceMs - Date.now();
  if (change === releaseServiceCidr && isShared && leftMs > 0) return;
  const apply = ({ object }: StoredObject): ApiObject => {
    const next = structuredClone(object);
    change(next);
    return next;
  };
  try {
    await serviceCidrs.update({ namespace: undefined, name: stored.key }, apply, { dryRun: false, part: 'all' });
  } catch (error) {
    if (!wasFaster(error)) throw error;
  }
}

/** What is to be done to a ServiceCIDR as it stands; nothing, when all is said. */
function changeFor(stored: StoredObject, isFree: () => boolean): ((object: ServiceCIDR) => unknown) | undefined {
  const trial: ServiceCIDR = structuredClone(stored.object);
  if (!isLeaving(stored)) return protectServiceCidr(trial) ? protectServiceCidr : undefined;
  if (isFree()) return releaseServiceCidr;
  return awaitAddresses(trial) ? awaitAddresses : undefined;
}

/** Another API server of the same store does the same at the same time; what it did, there is an event of. */
function wasFaster(error: unknown): boolean {
  return error instanceof StatusError && (error.status.code === 404 || error.status.code === 409);
}
