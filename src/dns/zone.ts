import type { EndpointSlice, Service } from '../api/generated/types.ts';
import { serviceNameLabel } from '../api/well-known.ts';
import { type NameNode, NameTree, type ZoneRecord } from './name-tree.ts';
import { recordType } from './wire/constants.ts';
import { isWithin, joinName, labelsOf, type Name, parentName } from './wire/name.ts';
import { nameRdata, soaRdata, textRdata } from './wire/rdata.ts';
import type { RecordBody } from './wire/reply-writer.ts';
import {
  addressRecord,
  clusterIps,
  endpointRecords,
  ipv4Apex,
  ipv6Apex,
  isHeadless,
  serviceRecords,
  undashed,
  type ZoneTerms,
} from './zone-records.ts';

/** How a cluster's names are served. */
export interface ZoneOptions {
  /** The cluster domain. */
  readonly domain: Name;
  /** Life of the records, in seconds. */
  readonly ttl: number;
  /** Whether `a-b-c-d.NAMESPACE.pod.DOMAIN` answers with the address it spells (specification, section 2.6). */
  readonly pods: 'disabled' | 'insecure';
  /** `namespace/name` of the Service this server is reached by: its addresses are those of the zone's name server. */
  readonly nameServer: string;
  /** The time in milliseconds, for serial numbers. */
  readonly now?: () => number;
}

/** A part of the name space this server answers for. */
export interface Zone {
  readonly apex: Name;
  /** Whether a name that is not in it may be known elsewhere. Addresses outside the cluster have names too. */
  readonly fallthrough: boolean;
  readonly tree: NameTree;
}

/** The version of the Kubernetes DNS specification served. */
const schemaVersion = '1.1.0';
const schemaTtl = 28_800;

interface KnownService {
  readonly headless: boolean;
  readonly records: readonly ZoneRecord[];
}

interface KnownSlice {
  readonly service: string;
  readonly slice: EndpointSlice;
  readonly records: readonly ZoneRecord[];
}

/**
 * The names of a cluster as Kubernetes objects give them: the whole of the DNS specification 1.1.0 as data. Fed object
 * by object, in any order, a slice before its Service too; a change costs as much as the object has records.
 */
export class ClusterZone {
  /** The cluster domain first. */
  readonly zones: readonly Zone[];
  readonly #options: ZoneOptions;
  readonly #terms: ZoneTerms;
  readonly #podsApex: Name;
  readonly #nameServer: Name;
  readonly #forward: NameTree;
  readonly #reverse4 = new NameTree(ipv4Apex);
  readonly #reverse6 = new NameTree(ipv6Apex);
  readonly #services = new Map<string, KnownService>();
  readonly #slices = new Map<string, KnownSlice>();
  readonly #slicesOfService = new Map<string, Set<string>>();
  readonly #namespaces = new Set<string>();
  #serial: number;

  constructor(options: ZoneOptions) {
    this.#options = options;
    const below = (...labels: string[]) => joinName(labels, options.domain) ?? options.domain;
    this.#terms = { servicesApex: below('svc'), ttl: options.ttl };
    this.#podsApex = below('pod');
    this.#nameServer = below('ns', 'dns');
    this.#serial = this.#unixTime();
    this.#forward = new NameTree(options.domain);
    this.zones = [
      { apex: options.domain, fallthrough: false, tree: this.#forward },
      { apex: ipv4Apex, fallthrough: true, tree: this.#reverse4 },
      { apex: ipv6Apex, fallthrough: true, tree: this.#reverse6 },
    ];
    this.#forward.add({
      owner: options.domain,
      type: recordType.NS,
      rdata: nameRdata(this.#nameServer),
      ttl: options.ttl,
    });
    this.#forward.add({
      owner: below('dns-version'),
      type: recordType.TXT,
      rdata: textRdata(schemaVersion),
      ttl: schemaTtl,
    });
    // These exist in an empty cluster too: nothing has moved there, nothing is there yet.
    this.#forward.hold(this.#nameServer);
    this.#forward.hold(this.#terms.servicesApex);
    if (options.pods !== 'disabled') this.#forward.hold(this.#podsApex);
  }

  /** Grows with each change of an answer; begins with the time (RFC 1912 §2.2 asks for numbers that only grow). */
  get serial(): number {
    return this.#serial;
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

  /** The SOA record of each zone, as it stands now. */
  soa(zone: Zone): RecordBody {
    return {
      type: recordType.SOA,
      ttl: this.#options.ttl,
      rdata: soaRdata({
        primary: this.#nameServer,
        mailbox: joinName(['hostmaster'], zone.apex) ?? zone.apex,
        serial: this.#serial,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: this.#options.ttl,
      }),
    };
  }

  /** The record of a Pod's address spelled as a name, for names that have no node. */
  podRecord(name: Name): ZoneRecord | undefined {
    if (this.#options.pods === 'disabled' || !isWithin(name, this.#podsApex)) return undefined;
    const namespace = parentName(name);
    if (namespace === this.#podsApex || parentName(namespace) !== this.#podsApex) return undefined;
    if (this.#forward.find(namespace) === undefined) return undefined;
    const ip = undashed(labelsOf(name)[0] ?? '');
    return ip === undefined ? undefined : addressRecord(name, ip, this.#options.ttl);
  }

  /** Makes a namespace known, or forgets it. */
  setNamespace(namespace: string, exists: boolean): void {
    if (this.#namespaces.has(namespace) === exists) return;
    if (exists) this.#namespaces.add(namespace);
    else this.#namespaces.delete(namespace);
    const apexes = this.#options.pods === 'disabled' ? [] : [this.#podsApex];
    for (const apex of [this.#terms.servicesApex, ...apexes]) {
      const name = joinName([namespace], apex);
      if (name === undefined) continue;
      if (exists) this.#forward.hold(name);
      else this.#forward.release(name);
    }
    this.#changed();
  }

  /** The Service `key` (`namespace/name`) as it is now, or that it is gone. */
  setService(key: string, service: Service | undefined): void {
    const previous = this.#services.get(key);
    const headless = service !== undefined && isHeadless(service);
    const records = service === undefined ? [] : this.#serviceRecords(key, service);
    this.#replace(previous?.records ?? [], records);
    if (service === undefined) this.#services.delete(key);
    else this.#services.set(key, { headless, records });
    if ((previous?.headless ?? false) !== headless)
      for (const sliceKey of this.#slicesOfService.get(key) ?? []) this.#refreshSlice(sliceKey);
  }

  /** The EndpointSlice `key` (`namespace/name`) as it is now, or that it is gone. */
  setEndpointSlice(key: string, slice: EndpointSlice | undefined): void {
    const previous = this.#slices.get(key);
    const service = slice === undefined ? undefined : serviceOfSlice(key, slice);
    if (previous !== undefined && previous.service !== service) this.#forgetSlice(key, previous);
    if (slice === undefined || service === undefined) return;
    const records = this.#endpointRecords(service, slice);
    this.#replace(this.#slices.get(key)?.records ?? [], records);
    this.#slices.set(key, { service, slice, records });
    const siblings = this.#slicesOfService.get(service);
    if (siblings === undefined) this.#slicesOfService.set(service, new Set([key]));
    else siblings.add(key);
  }

  #forgetSlice(key: string, known: KnownSlice): void {
    this.#replace(known.records, []);
    this.#slices.delete(key);
    const siblings = this.#slicesOfService.get(known.service);
    siblings?.delete(key);
    if (siblings?.size === 0) this.#slicesOfService.delete(known.service);
  }

  #refreshSlice(key: string): void {
    const known = this.#slices.get(key);
    if (known === undefined) return;
    const records = this.#endpointRecords(known.service, known.slice);
    this.#replace(known.records, records);
    this.#slices.set(key, { ...known, records });
  }

  #serviceRecords(key: string, service: Service): ZoneRecord[] {
    const records = serviceRecords(splitKey(key), service, this.#terms);
    if (key !== this.#options.nameServer) return records;
    return [...records, ...clusterIps(service).map((ip) => addressRecord(this.#nameServer, ip, this.#options.ttl))];
  }

  #endpointRecords(service: string, slice: EndpointSlice): readonly ZoneRecord[] {
    if (this.#services.get(service)?.headless !== true) return noRecords;
    return endpointRecords(splitKey(service), slice, this.#terms);
  }

  /** The new first: what stays never leaves, so no answer in between is empty and no set is built anew. */
  #replace(previous: readonly ZoneRecord[], current: readonly ZoneRecord[]): void {
    let changed = false;
    for (const record of current) if (this.#treeOf(record).add(record)) changed = true;
    for (const record of previous) if (this.#treeOf(record).delete(record)) changed = true;
    if (changed) this.#changed();
  }

  #treeOf(record: ZoneRecord): NameTree {
    if (record.type !== recordType.PTR) return this.#forward;
    return isWithin(record.owner, ipv4Apex) ? this.#reverse4 : this.#reverse6;
  }

  #changed(): void {
    this.#serial = Math.max((this.#serial + 1) >>> 0, this.#unixTime());
  }

  #unixTime(): number {
    return Math.floor((this.#options.now ?? Date.now)() / 1000) >>> 0;
  }
}

const noRecords: readonly ZoneRecord[] = [];

function serviceOfSlice(key: string, slice: EndpointSlice): string | undefined {
  const name = slice.metadata?.labels?.[serviceNameLabel];
  return name === undefined || name === '' ? undefined : `${splitKey(key).namespace}/${name}`;
}

function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
