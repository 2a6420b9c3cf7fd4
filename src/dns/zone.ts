import type { EndpointSlice, Pod, Service } from '../api/generated/types.ts';
import { serviceNameLabel } from '../api/well-known.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import { reverseZones } from './config/defaults.ts';
import type { KubernetesSettings } from './config/types.ts';
import { type NameNode, NameTree, type ZoneRecord } from './name-tree.ts';
import { recordType } from './wire/constants.ts';
import { isWithin, joinName, labelsOf, type Name, parentName } from './wire/name.ts';
import { nameRdata, soaRdata, textRdata } from './wire/rdata.ts';
import type { RecordBody } from './wire/reply-writer.ts';
import {
  addressRecord,
  clusterIps,
  countReady,
  dashed,
  endpointPointers,
  endpointRecords,
  isHeadless,
  servicePointers,
  serviceRecords,
  undashed,
  type ZoneTerms,
} from './zone-records.ts';

/** What of a cluster's settings decides which names there are. */
export interface ZoneOptions
  extends Pick<
    KubernetesSettings,
    'zones' | 'ttl' | 'pods' | 'endpointPodNames' | 'namespaces' | 'ignoreEmptyService' | 'fallthrough' | 'nameServer'
  > {
  /** The name server's addresses while its Service has none, or is not there. */
  readonly ownIps?: readonly Ip[];
  /** The time in milliseconds, for serial numbers. */
  readonly now?: () => number;
}

/** A part of the name space this server answers for: a cluster domain, or names of addresses. */
export interface Zone {
  readonly apex: Name;
  /** The name server's name: `ns.dns.` and the apex. */
  readonly nameServer: Name;
  /** The mailbox of who looks after it, as a name: `hostmaster.` and the apex. */
  readonly mailbox: Name;
  /** Where Services and Pods have their names; reverse zones have neither. */
  readonly domain: ClusterDomain | undefined;
  readonly tree: NameTree;
}

interface ClusterDomain {
  readonly terms: ZoneTerms;
  readonly podsApex: Name;
}

/** The version of the Kubernetes DNS specification served. */
const schemaVersion = '1.1.0';
const schemaTtl = 28_800;
/** However long records live, a denial is looked at again after this many seconds. */
const maxSoaTtl = 300;

/** A Service and its endpoints, whichever of them is known. */
interface KnownService {
  readonly namespace: string;
  readonly name: string;
  service: Service | undefined;
  slices: readonly KnownSlice[];
}

interface KnownSlice {
  readonly key: string;
  readonly slice: EndpointSlice;
}

/** What is known of a namespace, and in it. */
interface KnownNamespace {
  exists: boolean;
  readonly services: Map<string, KnownService>;
  readonly pods: Map<string, readonly Ip[]>;
}

/**
 * The names of a cluster as Kubernetes objects give them: the whole of the DNS specification 1.1.0 as data. Fed object
 * by object, in any order, a slice before its Service too; a change costs as much as the object has records. What is in
 * a namespace has names while the namespace exists and is served.
 */
export class ClusterZone {
  /** The most specific first. */
  readonly zones: readonly Zone[];
  readonly #options: ZoneOptions;
  /** In the order of the settings: addresses lead to names in the first. */
  readonly #domains: readonly [ClusterDomain, ...ClusterDomain[]];
  readonly #namespaces = new Map<string, KnownNamespace>();
  readonly #servicesOfSlices = new Map<string, KnownService>();
  readonly #soas = new Map<Zone, { readonly serial: number; readonly body: RecordBody }>();
  #serial: number;

  /** Throws a `RangeError` where no zone is a cluster domain. */
  constructor(options: ZoneOptions) {
    this.#options = options;
    this.#serial = this.#unixTime();
    const zones = options.zones.map((apex) => makeZone(apex, options));
    const [primary, ...others] = zones.map(({ domain }) => domain).filter((domain) => domain !== undefined);
    if (primary === undefined) throw new RangeError('no zone is a cluster domain');
    this.#domains = [primary, ...others];
    this.zones = zones.sort((a, b) => b.apex.length - a.apex.length);
    for (const record of this.#nameServerRecords(undefined)) this.zoneOf(record.owner)?.tree.add(record);
  }

  /** Grows with each change of an answer; begins with the time (RFC 1912 §2.2 asks for numbers that only grow). */
  get serial(): number {
    return this.#serial;
  }

  /** Takes the serial number of a zone with the same names, of which this one is a copy. */
  renumber(serial: number): void {
    this.#serial = serial;
  }

  /** The zone a name is in, the nearest to it. */
  zoneOf(name: Name): Zone | undefined {
    for (const zone of this.zones) if (isWithin(name, zone.apex)) return zone;
    return undefined;
  }

  /** What exists at a name, wherever it is. */
  find(name: Name): NameNode | undefined {
    return this.zoneOf(name)?.tree.find(name);
  }

  /**
   * Whether a name of a zone, at which there is `node`, is left to others: because there is nothing, and the settings
   * say so. Addresses outside the cluster have names too, so in reverse zones a name without records is not kept back.
   */
  fallsThrough(name: Name, zone: Zone, node: NameNode | undefined): boolean {
    if (node !== undefined && (node.hasRecords || zone.domain !== undefined)) return false;
    return this.#options.fallthrough.some((part) => isWithin(name, part)) && this.podRecord(name) === undefined;
  }

  /** The SOA record of a zone, as it stands now. */
  soa(zone: Zone): RecordBody {
    const made = this.#soas.get(zone);
    if (made?.serial === this.#serial) return made.body;
    const { ttl } = this.#options;
    const rdata = soaRdata({
      primary: zone.nameServer,
      mailbox: zone.mailbox,
      serial: this.#serial,
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: ttl,
    });
    const body = { type: recordType.SOA, ttl: Math.min(ttl, maxSoaTtl), rdata };
    this.#soas.set(zone, { serial: this.#serial, body });
    return body;
  }

  /** The record of an address spelled as a Pod's name, where no Pod is asked for; for names that have no node. */
  podRecord(name: Name): ZoneRecord | undefined {
    if (this.#options.pods !== 'insecure') return undefined;
    const namespace = parentName(name);
    const apex = parentName(namespace);
    const zone = this.zoneOf(name);
    if (zone?.domain?.podsApex !== apex || zone.tree.find(namespace) === undefined) return undefined;
    const ip = undashed(labelsOf(name)[0] ?? '');
    return ip === undefined ? undefined : addressRecord(name, ip, this.#options.ttl);
  }

  /** Makes a namespace known, or forgets it. */
  setNamespace(namespace: string, exists: boolean): void {
    const known = this.#obtain(namespace);
    if (known.exists !== exists)
      this.#change(
        () => this.#recordsOfNamespace(namespace, known),
        () => this.#setExists(namespace, known, exists),
      );
    this.#forgetIfEmpty(namespace);
  }

  /** The Service `key` (`namespace/name`) as it is now, or that it is gone. */
  setService(key: string, service: Service | undefined): void {
    const known = this.#obtainService(key);
    const keepsEndpoints = roleOf(known.service) === roleOf(service);
    this.#change(
      () => [...this.#ownRecords(known), ...(keepsEndpoints ? [] : this.#recordsOfSlices(known, known.slices))],
      () => {
        known.service = service;
      },
    );
    this.#forgetServiceIfEmpty(known);
  }

  /** The EndpointSlice `key` (`namespace/name`) as it is now, or that it is gone. */
  setEndpointSlice(key: string, slice: EndpointSlice | undefined): void {
    const previous = this.#servicesOfSlices.get(key);
    const serviceKey = slice && serviceOfSlice(key, slice);
    const current = serviceKey === undefined ? undefined : this.#obtainService(serviceKey);
    if (slice !== undefined && current !== undefined) {
      this.#servicesOfSlices.set(key, current);
      this.#setSlice(current, key, slice);
    } else this.#servicesOfSlices.delete(key);
    if (previous !== undefined && previous !== current) this.#setSlice(previous, key, undefined);
  }

  /** The Pod `key` (`namespace/name`) as it is now, or that it is gone; for `pods: verified` alone. */
  setPod(key: string, pod: Pod | undefined): void {
    const { namespace, name } = splitKey(key);
    const { pods } = this.#obtain(namespace);
    this.#change(
      () => this.#podRecords(namespace, pods.get(name) ?? []),
      () => {
        const ips = pod === undefined ? [] : podIps(pod);
        if (ips.length === 0) pods.delete(name);
        else pods.set(name, ips);
      },
    );
    this.#forgetIfEmpty(namespace);
  }

  #setSlice(known: KnownService, key: string, slice: EndpointSlice | undefined): void {
    const others = known.slices.filter((one) => one.key !== key);
    const at = () => known.slices.filter((one) => one.key === key);
    this.#change(
      // Whether a Service exists at all may hang on its endpoints.
      () => [
        ...this.#recordsOfSlices(known, at()),
        ...(this.#options.ignoreEmptyService ? this.#ownRecords(known) : []),
      ],
      () => {
        known.slices = slice === undefined ? others : [...others, { key, slice }];
      },
    );
    this.#forgetServiceIfEmpty(known);
  }

  /**
   * Applies a change, and brings the trees from the records before it to those after it. The new go in first: what
   * stays never leaves, so no answer in between is empty and no set is built anew.
   */
  #change(records: () => readonly ZoneRecord[], apply: () => void): void {
    const previous = records();
    apply();
    let changed = false;
    for (const record of records()) if (this.zoneOf(record.owner)?.tree.add(record)) changed = true;
    for (const record of previous) if (this.zoneOf(record.owner)?.tree.delete(record)) changed = true;
    if (changed) this.#changed();
  }

  #setExists(namespace: string, known: KnownNamespace, exists: boolean): void {
    known.exists = exists;
    if (!this.#isServed(namespace, true)) return;
    for (const { tree, domain } of this.zones) {
      if (domain === undefined) continue;
      for (const apex of [domain.terms.servicesApex, ...(this.#options.pods === 'disabled' ? [] : [domain.podsApex])]) {
        const name = joinName([namespace], apex);
        if (name === undefined) continue;
        if (exists) tree.hold(name);
        else tree.release(name);
      }
    }
    this.#changed();
  }

  #isServed(namespace: string, exists = this.#namespaces.get(namespace)?.exists ?? false): boolean {
    const { namespaces } = this.#options;
    return exists && (namespaces.length === 0 || namespaces.includes(namespace));
  }

  #recordsOfNamespace(namespace: string, { services, pods }: KnownNamespace): ZoneRecord[] {
    const known = [...services.values()];
    return [
      ...known.flatMap((one) => [...this.#ownRecords(one), ...this.#recordsOfSlices(one, one.slices)]),
      ...[...pods.values()].flatMap((ips) => this.#podRecords(namespace, ips)),
    ];
  }

  #ownRecords(known: KnownService): ZoneRecord[] {
    const { service, slices, namespace, name } = known;
    const nameServer = `${namespace}/${name}` === this.#options.nameServer ? this.#nameServerRecords(service) : [];
    if (service === undefined) return nameServer;
    const isEmpty = this.#options.ignoreEmptyService && !slices.some(({ slice }) => countReady(slice) > 0);
    if (!this.#isServed(namespace) || (roleOf(service) === 'cluster' && isEmpty)) return nameServer;
    const [{ terms }] = this.#domains;
    return [
      ...nameServer,
      ...this.#domains.flatMap(({ terms }) => serviceRecords(known, service, terms)),
      ...servicePointers(known, service, terms),
    ];
  }

  #nameServerRecords(service: Service | undefined): ZoneRecord[] {
    const { ownIps = [] } = this.#options;
    const ofService = service === undefined ? [] : clusterIps(service);
    const ips = ofService.length > 0 ? ofService : ownIps;
    return this.zones.flatMap(({ nameServer }) => ips.map((ip) => addressRecord(nameServer, ip, this.#options.ttl)));
  }

  #recordsOfSlices(known: KnownService, slices: readonly KnownSlice[]): ZoneRecord[] {
    const role = roleOf(known.service);
    if (role === 'other' || !this.#isServed(known.namespace)) return [];
    const [{ terms }] = this.#domains;
    return slices.flatMap(({ slice }) => [
      ...this.#domains.flatMap(({ terms }) => endpointRecords(known, { slice, headless: role === 'headless' }, terms)),
      ...endpointPointers(known, slice, terms),
    ]);
  }

  #podRecords(namespace: string, ips: readonly Ip[]): ZoneRecord[] {
    if (!this.#isServed(namespace)) return [];
    return this.#domains.flatMap(({ podsApex }) =>
      ips.flatMap((ip) => {
        const owner = joinName([dashed(ip), namespace], podsApex);
        return owner === undefined ? [] : [addressRecord(owner, ip, this.#options.ttl)];
      }),
    );
  }

  #obtain(namespace: string): KnownNamespace {
    const known = this.#namespaces.get(namespace) ?? { exists: false, services: new Map(), pods: new Map() };
    this.#namespaces.set(namespace, known);
    return known;
  }

  #obtainService(key: string): KnownService {
    const { namespace, name } = splitKey(key);
    const { services } = this.#obtain(namespace);
    const known = services.get(name) ?? { namespace, name, service: undefined, slices: [] };
    services.set(name, known);
    return known;
  }

  #forgetServiceIfEmpty({ namespace, name, service, slices }: KnownService): void {
    if (service !== undefined || slices.length > 0) return;
    this.#namespaces.get(namespace)?.services.delete(name);
    this.#forgetIfEmpty(namespace);
  }

  #forgetIfEmpty(namespace: string): void {
    const known = this.#namespaces.get(namespace);
    if (known?.exists === false && known.services.size === 0 && known.pods.size === 0)
      this.#namespaces.delete(namespace);
  }

  #changed(): void {
    this.#serial = Math.max((this.#serial + 1) >>> 0, this.#unixTime());
  }

  #unixTime(): number {
    return Math.floor((this.#options.now ?? Date.now)() / 1000) >>> 0;
  }
}

/** A zone with what it has while the cluster is empty. */
function makeZone(apex: Name, { ttl, endpointPodNames }: ZoneOptions): Zone {
  const below = (...labels: string[]) => joinName(labels, apex) ?? apex;
  const nameServer = below('ns', 'dns');
  const mailbox = below('hostmaster');
  const tree = new NameTree(apex);
  tree.add({ owner: apex, type: recordType.NS, rdata: nameRdata(nameServer), ttl });
  tree.hold(nameServer);
  if (reverseZones.some((zone) => isWithin(apex, zone))) return { apex, nameServer, mailbox, domain: undefined, tree };
  tree.add({ owner: below('dns-version'), type: recordType.TXT, rdata: textRdata(schemaVersion), ttl: schemaTtl });
  const domain = { terms: { servicesApex: below('svc'), ttl, endpointPodNames }, podsApex: below('pod') };
  // These exist in an empty cluster too: nothing has moved there, nothing is there yet.
  tree.hold(domain.terms.servicesApex);
  tree.hold(domain.podsApex);
  return { apex, nameServer, mailbox, domain, tree };
}

/** What a Service's endpoints are to its clients. */
function roleOf(service: Service | undefined): 'headless' | 'cluster' | 'other' {
  if (service === undefined || service.spec?.type === 'ExternalName') return 'other';
  return isHeadless(service) ? 'headless' : 'cluster';
}

/** The addresses of a Pod that may be spoken to: none once it has ended or is about to. */
function podIps({ metadata, status }: Pod): Ip[] {
  const { phase, podIP, podIPs } = status ?? {};
  if (metadata?.deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed') return [];
  const texts = podIPs?.map(({ ip }) => ip) ?? [podIP];
  return texts.map((text) => tryParseIp(text ?? '')).filter((ip) => ip !== undefined);
}

function serviceOfSlice(key: string, slice: EndpointSlice): string | undefined {
  const name = slice.metadata?.labels?.[serviceNameLabel];
  return name === undefined || name === '' ? undefined : `${splitKey(key).namespace}/${name}`;
}

function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
