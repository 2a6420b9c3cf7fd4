import { isDeepStrictEqual } from 'node:util';
import type { Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { addressInUseAnnotation, addressPoolAnnotation } from '../../api/well-known.ts';
import { type Ip, tryParseIp } from '../../net/ip.ts';
import type { Controller, ControllerContext, Round } from '../controller.ts';
import type { Write } from '../write.ts';
import { type Assignment, assign } from './assign.ts';
import { ForeignAddresses } from './foreign-addresses.ts';
import type { AddressPool } from './pools.ts';
import { type Sharing, sharingOf, wishOf } from './wish.ts';

/** What the controller goes by. */
export interface LoadBalancerSettings {
  readonly pools: readonly AddressPool[];
  /** `spec.loadBalancerClass` of Services that are meant for it. */
  readonly className: string;
  /** Whether Services without a class are meant for it, too. */
  readonly isDefault: boolean;
}

/** Kubernetes' own: whoever asks for balancers to be cleaned up before a Service goes looks for this one. */
const finalizer = 'service.kubernetes.io/load-balancer-cleanup';

/**
 * Gives Services of type LoadBalancer their addresses, from pools, and takes them back. What is given stands in the
 * Services themselves (`status.loadBalancer`, and the pool in an annotation), so that whoever follows goes on with it. Keys
 * are `namespace/name`; one at a time, so that no address is given twice.
 */
export function loadBalancerController({ caches }: ControllerContext, settings: LoadBalancerSettings): Controller {
  const services = caches.informer('services');
  const byAddress = caches.index('servicesByBalancerAddress');
  /** Addresses given in writes that the cache does not show yet, by Service. */
  const promised = new Map<string, { readonly ips: readonly Ip[]; readonly sharing: Sharing }>();
  const waiting = new Set<string>();
  const foreign = new ForeignAddresses();
  const told = new Map<string, string>();
  let enqueueKey: (key: string) => void = () => {};

  const holders = (ip: Ip, key: string): Sharing[] => {
    const shown = byAddress.get(ip).map(sharingOf);
    const given = [...promised.values()].filter(({ ips }) => ips.includes(ip)).map(({ sharing }) => sharing);
    const all = new Map([...shown, ...given].map((each) => [each.service, each]));
    all.delete(key);
    return [...all.values()];
  };

  /** Those who got nothing look again when something has become free: the oldest first. */
  const wake = () => {
    const keys = [...waiting].sort((a, b) => (seniorityOf(a) < seniorityOf(b) ? -1 : 1));
    for (const key of keys) enqueueKey(key);
  };
  const seniorityOf = (key: string) => {
    const service = services.store.get(key);
    return service === undefined ? '' : sharingOf(service).seniority;
  };

  /** Has those look again whom a change of a Service concerns. */
  const tellOthers = (key: string, previous: Service | undefined, current: Service | undefined) => {
    // Something is free, or can be shared that could not.
    if (addressesOf(previous).length > 0) wake();
    // Whoever changed: of two that may not share an address it is the younger who has to find another.
    for (const ip of addressesOf(current)) for (const { service } of holders(ip, key)) enqueueKey(service);
  };

  const forget = (key: string) => {
    promised.delete(key);
    waiting.delete(key);
    told.delete(key);
  };

  async function give(service: Stored<Service>, key: string, round: Round): Promise<void> {
    const current = addressesOf(service);
    // Of addresses that are not its own a Service has nothing to say: others may have them.
    for (const ip of namedIn(service)) if (current.includes(ip)) foreign.add(ip, round.now);
    const wish = wishOf(service);
    const result: Assignment =
      'unreadable' in wish
        ? { problem: `"${wish.unreadable}" is no list of addresses, one of a family` }
        : assign(wish, {
            pools: settings.pools,
            current,
            holders: (ip) => holders(ip, key),
            isForeign: (ip) => foreign.has(ip, round.now),
          });
    const ips = result.pool === undefined ? [] : result.ips;
    promised.set(key, { ips, sharing: sharingOf(service) });
    try {
      await write(round, { service, pool: result.pool, ips });
    } catch (error) {
      promised.delete(key);
      throw error;
    }
    if (current.some((ip) => !ips.includes(ip))) wake();
    if (result.pool === undefined) {
      waiting.add(key);
      tell(round, service, {
        type: 'Warning',
        reason: 'AllocationFailed',
        message: `Failed to allocate IP: ${result.problem}`,
      });
      const soonest = foreign.nextIn(round.now);
      if (soonest !== undefined) round.requeueAfter(soonest);
      return;
    }
    waiting.delete(key);
    if (!same(current, ips))
      tell(round, service, {
        type: 'Normal',
        reason: 'IPAllocated',
        message: `Assigned IP ${JSON.stringify(ips)} of pool ${result.pool}`,
      });
  }

  function tell(
    round: Round,
    service: Stored<Service>,
    event: { type: 'Normal' | 'Warning'; reason: string; message: string },
  ) {
    const key = sharingOf(service).service;
    if (told.get(key) === event.message) return;
    told.set(key, event.message);
    round.record({ apiVersion: 'v1', kind: 'Service', ...service }, event);
  }

  async function takeBack(service: Stored<Service>, key: string, round: Round): Promise<void> {
    forget(key);
    if (!isMarked(service)) return;
    const ips = isOfOtherClass(service, settings) ? addressesOf(service) : [];
    await write(round, { service, pool: undefined, ips, leave: true });
    wake();
  }

  return {
    name: 'loadbalancer',
    reporter: 'signalbox-load-balancer',
    concurrency: 1,
    watch(enqueue) {
      enqueueKey = enqueue;
      services.onChange(({ key, previous, current }) => {
        // What was given in a write is shown from here on.
        if (current === undefined || same(addressesOf(current), promised.get(key)?.ips ?? [])) promised.delete(key);
        if (current === undefined) forget(key);
        if (!isDeepStrictEqual(claimOf(previous), claimOf(current))) tellOthers(key, previous, current);
        if (current !== undefined && (current.spec?.type === 'LoadBalancer' || isMarked(current))) enqueue(key);
      });
    },
    async reconcile(key, round) {
      const service = services.store.get(key);
      if (service === undefined) return forget(key);
      const { metadata, spec } = service;
      if (metadata.deletionTimestamp !== undefined || spec?.type !== 'LoadBalancer')
        return takeBack(service, key, round);
      if (isMeant(service, settings)) return settings.pools.length > 0 ? give(service, key, round) : undefined;
      // What has another's mark is for the other to take back.
      return isOfOurPools(service, settings) ? takeBack(service, key, round) : forget(key);
    },
  };
}

function isMeant({ spec }: Service, { className, isDefault }: LoadBalancerSettings): boolean {
  if (spec?.type !== 'LoadBalancer') return false;
  return spec.loadBalancerClass === undefined ? isDefault : spec.loadBalancerClass === className;
}

/** Whether it names a class, and that is another. A class cannot be changed: what its balancer has is not from here. */
function isOfOtherClass({ spec }: Service, { className }: LoadBalancerSettings): boolean {
  return spec?.loadBalancerClass !== undefined && spec.loadBalancerClass !== className;
}

/** Whether a Service without a class has an address of a pool from here: such Services were served before, and are no more. */
function isOfOurPools(service: Stored<Service>, settings: LoadBalancerSettings): boolean {
  const pool = service.metadata.annotations?.[addressPoolAnnotation];
  return !isOfOtherClass(service, settings) && settings.pools.some(({ name }) => name === pool);
}

/** Whether this controller, or one before it, has dealt with the Service. */
function isMarked({ metadata }: Stored<Service>): boolean {
  return metadata.annotations?.[addressPoolAnnotation] !== undefined;
}

/** The addresses that a Service's balancer has. */
function addressesOf(service: Service | undefined): Ip[] {
  const ingress = service?.status?.loadBalancer?.ingress ?? [];
  return ingress.flatMap(({ ip }) => tryParseIp(ip ?? '') ?? []);
}

/** What of a Service decides what others may have; nothing of the many that have no balancer's address. */
function claimOf(service: Stored<Service> | undefined): unknown {
  const ips = addressesOf(service);
  return service !== undefined && ips.length > 0 ? [ips, sharingOf(service)] : undefined;
}

function namedIn({ metadata }: Stored<Service>): Ip[] {
  return (metadata.annotations?.[addressInUseAnnotation] ?? '')
    .split(',')
    .flatMap((text) => tryParseIp(text.trim()) ?? []);
}

interface Outcome {
  readonly service: Stored<Service>;
  readonly pool: string | undefined;
  readonly ips: readonly Ip[];
  /** Whether nothing of this controller is to stay. */
  readonly leave?: true;
}

/**
 * Writes what has become other: first, with an address, that it is to be taken back before the Service goes; with none, the
 * other way round.
 */
async function write(round: Round, { service, pool, ips, leave }: Outcome): Promise<void> {
  const {
    [addressPoolAnnotation]: had,
    [addressInUseAnnotation]: reported,
    ...annotations
  } = service.metadata.annotations ?? {};
  const others = (service.metadata.finalizers ?? []).filter((name) => name !== finalizer);
  const metadata = {
    ...service.metadata,
    annotations: pool === undefined ? annotations : { ...annotations, [addressPoolAnnotation]: pool },
    finalizers: leave === true || pool === undefined ? others : [...others, finalizer],
  };
  const isMarkedSo =
    had === pool && reported === undefined && metadata.finalizers.length === (service.metadata.finalizers ?? []).length;
  const status = {
    ...service.status,
    loadBalancer: ips.length === 0 ? {} : { ingress: ips.map((ip) => ({ ip, ipMode: 'VIP' })) },
  };
  const isShown = same(addressesOf(service), ips);
  let latest = service;
  const keep = (_write: Write, stored: unknown) => {
    latest = stored as Stored<Service>;
  };
  const mark = async () => {
    if (!isMarkedSo)
      await round.apply(
        [
          {
            verb: 'update',
            resource: 'services',
            object: { ...latest, metadata: { ...metadata, resourceVersion: latest.metadata.resourceVersion } },
          },
        ],
        keep,
      );
  };
  const show = async () => {
    if (!isShown)
      await round.apply(
        [{ verb: 'update', resource: 'services', subresource: 'status', object: { ...latest, status } }],
        keep,
      );
  };
  for (const step of pool === undefined ? [show, mark] : [mark, show]) await step();
}

function same(some: readonly Ip[], others: readonly Ip[]): boolean {
  return some.length === others.length && some.every((ip, i) => ip === others[i]);
}
