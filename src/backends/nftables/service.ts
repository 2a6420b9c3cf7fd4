import type { Destination, Endpoint, Frontend, ServicePort } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import type { ElementGroup, Elements } from '../../rules/nftables/elements.ts';
import type { Element, TransportProtocol, Value } from '../../rules/nftables/syntax.ts';
import { drawSize } from './draw.ts';
import { claimNames, type Side, setNames, sideNames, sourcesName, stickyName } from './names.ts';
import { assignSlots } from './slots.ts';
import { sourceBlocks } from './source-ranges.ts';

/**
 * All that one Service port puts into the table of a family, in groups that are shared with or contested by other
 * ports: a group a frontend, its cluster IP, and its endpoints' addresses.
 * @param before what is in the kernel under a claim: endpoints keep the index that they have there
 * @throws SignalboxError `TOO_MANY_ENDPOINTS`
 */
export function compileServicePort(port: ServicePort, family: IpFamily, before: Before = nothing): Elements {
  return new ServicePortCompiler(port, family, before).compile();
}

/** What the kernel has of a Service port. */
export interface Before {
  /** By claim of a frontend. */
  readonly frontends: ReadonlyMap<string, readonly Element[]>;
  readonly hairpins: Elements;
}

/** What `compileServicePort` made of a Service port, for the next time. */
export function beforeOf(elements: Elements): Before {
  const first = elements.findIndex((group) => group.elements[0]?.set === setNames.hairpin);
  const end = first === -1 ? elements.length : first;
  return {
    frontends: new Map(elements.slice(0, end).map((group) => [group.claim, group.elements])),
    hairpins: elements.slice(end),
  };
}

const nothing: Before = { frontends: new Map(), hairpins: [] };
const noElements: readonly Element[] = [];

class ServicePortCompiler {
  readonly #port: ServicePort;
  readonly #family: IpFamily;
  readonly #before: Before;
  readonly #protocol: TransportProtocol;
  readonly #groups: ElementGroup[] = [];
  /** Endpoints by index, of lists that frontends share. */
  readonly #slots = new Map<readonly Endpoint[], readonly Endpoint[]>();

  constructor(port: ServicePort, family: IpFamily, before: Before) {
    this.#port = port;
    this.#family = family;
    this.#before = before;
    this.#protocol = protocolWord[port.protocol];
  }

  compile(): Elements {
    const frontends = this.#port.frontends.filter(({ ip }) => familyOf(ip) === this.#family);
    const service = frontends.find(({ kind }) => kind === 'cluster-ip') ?? frontends[0];
    if (service === undefined) return [];
    for (const frontend of frontends) {
      this.#add(this.#frontendGroup(frontend, service));
      if (frontend.kind === 'cluster-ip') {
        const element = { set: setNames.clusterIps, key: [frontend.ip] };
        this.#add({ claim: claimNames.clusterIp(frontend.ip), elements: [element] });
      }
    }
    this.#addHairpins(frontends);
    return this.#groups;
  }

  #add(group: ElementGroup): void {
    if (!this.#groups.some(({ claim }) => claim === group.claim)) this.#groups.push(group);
  }

  /**
   * The endpoints of one frontend are often those of the next, and may be thousands; all else are a few. In the order of
   * their indices, so that next to all are where they were before, and stay the same objects.
   */
  #addHairpins(frontends: readonly Frontend[]): void {
    const { hairpins } = this.#before;
    const lists = new Set(frontends.flatMap(({ endpoints, inside }) => [endpoints, inside?.endpoints ?? []]));
    const ips = new Set<Ip>();
    for (const endpoints of lists) for (const { ip } of this.#slots.get(endpoints) ?? []) ips.add(ip);
    let place = 0;
    for (const ip of ips) {
      const old = hairpins[place++];
      if (old?.elements[0]?.key[0] === ip) this.#groups.push(old);
      else this.#groups.push({ claim: claimNames.hairpin(ip), elements: [{ set: setNames.hairpin, key: [ip, ip] }] });
    }
  }

  #frontendGroup(frontend: Frontend, service: Frontend): ElementGroup {
    const { ip, port, inside, sourceRanges } = frontend;
    const key: FrontendKey = [ip, this.#protocol, port];
    const claim = claimNames.frontend(ip, this.#protocol, port);
    const before = this.#before.frontends.get(claim) ?? noElements;
    const elements: Element[] = [];
    const served = frontend.endpoints.length > 0 || (inside !== undefined && inside.endpoints.length > 0);
    if (served) elements.push({ set: setNames.services, key, comment: this.#port.name });
    this.#addDestination('any', frontend, { key, before, elements });
    if (inside !== undefined) {
      elements.push({ set: setNames.inside, key });
      this.#addDestination('inside', inside, { key, before, elements });
    }
    if (served) {
      for (const set of masqueradeSets(frontend)) elements.push({ set, key });
      this.#addAffinity(frontend, service, elements);
    }
    if (sourceRanges !== undefined) {
      elements.push({ set: setNames.restricted, key });
      for (const { base, prefix } of sourceBlocks(sourceRanges)) {
        elements.push({ set: sourcesName(prefix), key: [...key, base] });
      }
    }
    return { claim, elements };
  }

  #addAffinity({ ip, port }: Frontend, service: Frontend, elements: Element[]): void {
    const { affinitySeconds } = this.#port;
    if (affinitySeconds === undefined) return;
    const key = [ip, this.#protocol, port];
    elements.push(
      { set: setNames.sticky, key },
      { set: stickyName(affinitySeconds), key },
      { set: setNames.serviceOf, key: [this.#protocol, ip, port], data: [this.#protocol, service.ip, service.port] },
    );
  }

  #addDestination(side: Side, { endpoints, whenEmpty }: Destination, { key, before, elements }: Place): void {
    const names = sideNames[side];
    if (endpoints.length === 0) {
      elements.push({ set: whenEmpty === 'reject' ? names.reject : names.drop, key, comment: this.#port.name });
      return;
    }
    elements.push({ set: names.draw(drawSize(endpoints.length, this.#port.name)), key });
    const known = before.filter(({ set }) => set === names.endpoints);
    const slots = this.#slotsOf(endpoints, known);
    slots.forEach(({ ip, port }, index) => {
      const old = known[index];
      // Elements that stay are the same objects, so that finding the difference costs next to nothing.
      if (old !== undefined && old.key.at(-1) === index && old.data?.[0] === ip && old.data[1] === port) {
        elements.push(old);
        return;
      }
      // Not by spreading: this is done for every endpoint of the cluster.
      elements.push({ set: names.endpoints, key: (key as readonly Value[]).concat(index), data: [ip, port] });
    });
    if (this.#port.affinitySeconds === undefined) return;
    const sticky = before.filter(({ set }) => set === names.stickyEndpoints);
    const [address, protocol, number] = key;
    slots.forEach(({ ip, port }, index) => {
      const old = sticky[index];
      if (old !== undefined && old.key[3] === ip && old.key[4] === port) elements.push(old);
      else elements.push({ set: names.stickyEndpoints, key: [protocol, address, number, ip, port] });
    });
  }

  #slotsOf(endpoints: readonly Endpoint[], known: readonly Element[]): readonly Endpoint[] {
    const found = this.#slots.get(endpoints);
    if (found !== undefined) return found;
    const before: { ip: Ip; port: number }[] = [];
    for (const { key, data } of known) {
      before[Number(key.at(-1))] = { ip: data?.[0] as Ip, port: Number(data?.[1]) };
    }
    const slots = assignSlots(before, endpoints);
    this.#slots.set(endpoints, slots);
    return slots;
  }
}

type FrontendKey = readonly [Ip, TransportProtocol, number];

/** Where elements of a frontend go, and what there was of it before. */
interface Place {
  readonly key: FrontendKey;
  readonly before: readonly Element[];
  readonly elements: Element[];
}

const protocolWord: { readonly [P in ServicePort['protocol']]: TransportProtocol } = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
};

/** The sets that say whose source address is replaced. Outside the cluster there are no Pods. */
function masqueradeSets({ masquerade, inside }: Frontend): string[] {
  const insideToo = inside?.masquerade ?? masquerade;
  if (masquerade === insideToo) return masquerade === 'never' ? [] : [everybody[masquerade]];
  const sets = insideToo === 'never' ? [] : [insiders[insideToo]];
  return masquerade === 'never' ? sets : [...sets, setNames.masqueradeOutside];
}

const everybody = { 'off-cluster': setNames.masqueradeOffCluster, always: setNames.masqueradeAlways } as const;
const insiders = {
  'off-cluster': setNames.insideMasqueradeOffCluster,
  always: setNames.insideMasqueradeAlways,
} as const;
