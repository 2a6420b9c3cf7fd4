import { isDeepStrictEqual } from 'node:util';
import type { Service } from '../../api/generated/types.ts';
import { objectKey, type Stored } from '../../api/object.ts';
import { addressInUseAnnotation, addressPoolAnnotation } from '../../api/well-known.ts';
import { familyOf, type Ip, type IpFamily, tryParseIp } from '../../net/ip.ts';
import type { Controller, ControllerContext, Round } from '../controller.ts';
import { assign } from './assign.ts';
import { ForeignAddresses } from './foreign-addresses.ts';
import { Holdings } from './holdings.ts';
import { addressesOf, isMarked, isSame, type Outcome, outcomeWrite } from './outcome.ts';
import type { AddressPool } from './pools.ts';
import { seniorityOf, sharingOf, wishOf } from './wish.ts';

/** What the controller goes by. */
export interface LoadBalancerSettings {
  readonly pools: readonly AddressPool[];
  /** `spec.loadBalancerClass` of Services that are meant for it. */
  readonly className: string;
  /** Whether Services without a class are meant for it, too. */
  readonly isDefault: boolean;
}

type NewEvent = Parameters<Round['record']>[1];

/**
 * Gives Services of type LoadBalancer their addresses, from pools, and takes them back. What is given stands in the
 * Services themselves (`status.loadBalancer`, and the pool in an annotation), so that whoever follows goes on with it. Keys
 * are `namespace/name`; one at a time, so that no address is given twice.
 */
export function loadBalancerController({ caches }: ControllerContext, settings: LoadBalancerSettings): Controller {
  const services = caches.informer('services');
  const holdings = new Holdings(caches.index('servicesByBalancerAddress'));
  const namespaces = settings.pools.some(({ namespaceSelector }) => namespaceSelector !== undefined)
    ? caches.informer('namespaces')
    : undefined;
  const waiting = new Set<string>();
  const foreign = new ForeignAddresses();
  const told = new Map<string, string>();
  let enqueueKey: (key: string) => void = () => {};

  const oldestFirst = (keys: Iterable<string>): readonly string[] => {
    const found = [...keys].flatMap((key) => services.store.get(key) ?? []);
    const ranked = found.map((service) => ({ key: objectKey(service), seniority: seniorityOf(service) }));
    return ranked.sort((a, b) => (a.seniority < b.seniority ? -1 : 1)).map(({ key }) => key);
  };
  /** Those who got less than they wish look again when something has become free. */
  const wake = () => {
    for (const key of oldestFirst(waiting)) enqueueKey(key);
  };

  /** Has those look again whom a change of a Service concerns. */
  const tellOthers = (key: string, previous: Service | undefined, current: Service | undefined) => {
    // Something is free, or can be shared that could not.
    if (addressesOf(previous).length > 0) wake();
    // Whoever changed: of two that may not share an address it is the younger who has to find another.
    for (const ip of addressesOf(current)) for (const { service } of holdings.others(ip, key)) enqueueKey(service);
  };

  const forget = (key: string) => {
    holdings.forget(key);
    waiting.delete(key);
    told.delete(key);
  };

  async function give(service: Stored<Service>, key: string, round: Round): Promise<void> {
    const current = addressesOf(service);
    // Of addresses that are not its own a Service has nothing to say: others may have them.
    for (const ip of namedIn(service)) if (current.includes(ip)) foreign.add(ip, round.now);
    const wish = wishOf(service);
    const { ips, pool, problem } = assign(wish, {
      pools: settings.pools,
      current,
      holders: (ip) => holdings.others(ip, key),
      isForeign: (ip) => foreign.has(ip, round.now),
      namespaceLabels: namespaces?.store.get(wish.namespace)?.metadata.labels,
    });
    holdings.promise(key, ips, wish);
    try {
      await show(service, { ips, pool, problem }, round);
    } catch (error) {
      holdings.forget(key);
      throw error;
    }
    if (current.some((ip) => !ips.includes(ip))) wake();
    const lacking = wish.families.filter((family) => !ips.some((ip) => familyOf(ip) === family));
    if (problem === undefined && lacking.length === 0) waiting.delete(key);
    else {
      waiting.add(key);
      const soonest = foreign.nextIn(round.now);
      if (soonest !== undefined) round.requeueAfter(soonest);
    }
    const event = eventOf({ ips, pool, problem }, current, lacking);
    if (event === undefined) told.delete(key);
    else tell(round, service, event);
  }

  async function show(service: Stored<Service>, outcome: Outcome, round: Round): Promise<void> {
    const write = outcomeWrite(service, outcome, round.now);
    if (write !== undefined) await round.apply([write]);
  }

  function tell(round: Round, service: Stored<Service>, event: NewEvent) {
    const key = objectKey(service);
    if (told.get(key) === event.message) return;
    told.set(key, event.message);
    round.record({ apiVersion: 'v1', kind: 'Service', ...service }, event);
  }

  async function takeBack(service: Stored<Service>, key: string, round: Round): Promise<void> {
    forget(key);
    if (!isMarked(service)) return;
    const ips = isOfOtherClass(service, settings) ? addressesOf(service) : [];
    await show(service, { ips, pool: undefined }, round);
    wake();
  }

  return {
    name: 'loadbalancer',
    reporter: 'signalbox-load-balancer',
    concurrency: 1,
    watch(enqueue) {
      // At the start all are there before the first one gets anything, and those that came first come first then, too.
      const early = new Set<string>();
      enqueueKey = (key) => {
        if (services.hasSynced) enqueue(key);
        else early.add(key);
      };
      const begin = () => {
        for (const key of oldestFirst(early)) enqueue(key);
      };
      services.synced.then(begin, () => {});
      namespaces?.onChange(({ key, previous, current }) => {
        if (isDeepStrictEqual(previous?.metadata.labels, current?.metadata.labels)) return;
        const concerned = [...services.store.values()].filter(
          ({ metadata, spec }) => metadata.namespace === key && spec?.type === 'LoadBalancer',
        );
        for (const service of concerned) enqueueKey(objectKey(service));
      });
      services.onChange(({ key, previous, current }) => {
        holdings.changed(key, current);
        if (current === undefined) forget(key);
        if (!isDeepStrictEqual(claimOf(previous), claimOf(current))) tellOthers(key, previous, current);
        if (current !== undefined && (current.spec?.type === 'LoadBalancer' || isMarked(current))) enqueueKey(key);
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

/** What the owner of a Service is told of what it was given, where that is news. */
function eventOf(
  { ips, pool, problem }: Outcome,
  current: readonly Ip[],
  lacking: readonly IpFamily[],
): NewEvent | undefined {
  const having = JSON.stringify(ips);
  if (problem !== undefined) {
    const message = `Failed to allocate IP: ${problem}${ips.length > 0 ? `; it keeps ${having}` : ''}`;
    return { type: 'Warning', reason: 'AllocationFailed', message };
  }
  if (isSame(current, ips)) return undefined;
  const but = lacking.length > 0 ? `, which has no free ${lacking.join()} address` : '';
  return { type: 'Normal', reason: 'IPAllocated', message: `Assigned IP ${having} of pool ${pool}${but}` };
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
