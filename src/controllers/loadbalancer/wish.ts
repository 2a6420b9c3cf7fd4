import type { Service } from '../../api/generated/types.ts';
import { objectKey, type Stored } from '../../api/object.ts';
import { familyOf, type Ip, type IpFamily, tryParseIp } from '../../net/ip.ts';

/** Addresses that a Service asks for, with commas between them. */
const wantedIpsAnnotation = 'signalbox.dev/load-balancer-ips';
/** The pool that a Service asks for. */
const wantedPoolAnnotation = 'signalbox.dev/load-balancer-pool';
/** Services with the same value here may have one address between them. */
const sharingAnnotation = 'signalbox.dev/allow-shared-ip';

/** What decides whether two Services may have one address between them. */
export interface Sharing {
  /** `namespace/name` */
  readonly service: string;
  /** Who came first keeps what two have: equal for nobody. */
  readonly seniority: string;
  readonly key: string | undefined;
  /** `TCP 80` */
  readonly ports: readonly string[];
  /** Under policy Local all that share an address must have the same endpoints, or a node would be asked in vain. */
  readonly scope: string;
}

/** What a Service wants of a balancer. */
export interface Wish extends Sharing {
  readonly namespace: string;
  readonly families: readonly IpFamily[];
  /** Whether it wants an address of each family or nothing. */
  readonly needsAll: boolean;
  readonly ips: readonly Ip[];
  /** What was given for addresses and is no list of them, one of a family. */
  readonly unreadable: string | undefined;
  readonly pool: string | undefined;
}

/** Reads what a Service wants. */
export function wishOf(service: Stored<Service>): Wish {
  const { spec = {}, metadata } = service;
  const annotations = metadata.annotations ?? {};
  return {
    ...sharingOf(service),
    ...askedIn(annotations[wantedIpsAnnotation] ?? spec.loadBalancerIP ?? ''),
    namespace: metadata.namespace ?? '',
    families: (spec.ipFamilies ?? ['IPv4']) as IpFamily[],
    needsAll: spec.ipFamilyPolicy !== 'PreferDualStack',
    pool: annotations[wantedPoolAnnotation],
  };
}

function askedIn(asked: string): Pick<Wish, 'ips' | 'unreadable'> {
  const ips: Ip[] = [];
  for (const text of asked.split(',').map((each) => each.trim())) {
    if (text === '') continue;
    const ip = tryParseIp(text);
    if (ip === undefined) return { ips: [], unreadable: text };
    ips.push(ip);
  }
  const isTwice = new Set(ips.map(familyOf)).size < ips.length;
  return isTwice ? { ips: [], unreadable: asked } : { ips, unreadable: undefined };
}

/** What of a Service others must know to share an address with it. */
export function sharingOf(service: Stored<Service>): Sharing {
  const { spec = {}, metadata } = service;
  const isLocal = spec.externalTrafficPolicy === 'Local';
  const selector = Object.entries(spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    service: objectKey(service),
    seniority: seniorityOf(service),
    key: metadata.annotations?.[sharingAnnotation] || undefined,
    ports: (spec.ports ?? []).map(({ protocol, port }) => `${protocol ?? 'TCP'} ${port}`),
    scope: isLocal ? `Local ${metadata.namespace} ${JSON.stringify(selector)}` : 'Cluster',
  };
}

/** Orders Services by their creation, those of one second by their names. */
export function seniorityOf(service: Stored<Service>): string {
  return `${service.metadata.creationTimestamp ?? ''} ${objectKey(service)}`;
}

/** Why two Services cannot have one address between them; `undefined` when they can. */
export function conflict(one: Sharing, other: Sharing): string | undefined {
  if (one.key === undefined || one.key !== other.key)
    return `${other.service} has it, and the two do not share addresses by the same ${sharingAnnotation}`;
  const port = one.ports.find((each) => other.ports.includes(each));
  if (port !== undefined) return `${other.service} has its port ${port}`;
  if (one.scope !== other.scope)
    return `${other.service} has it, and under externalTrafficPolicy Local only Services with the same selector share one`;
  return undefined;
}
