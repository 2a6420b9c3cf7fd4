import type { Endpoint, EndpointSlice, Service } from '../api/generated/types.ts';
import { familyOf, type Ip, ipToBytes, tryParseIp } from '../net/ip.ts';
import { ipv4Zone, ipv6Zone } from './config/defaults.ts';
import type { RecordSet, ZoneRecord } from './name-tree.ts';
import { recordType } from './wire/constants.ts';
import { joinName, type Name, parseName } from './wire/name.ts';
import { addressRdata, nameRdata, srvRdata } from './wire/rdata.ts';

/** What all records of a cluster domain have in common. */
export interface ZoneTerms {
  /** `svc.` and the cluster domain. */
  readonly servicesApex: Name;
  /** Seconds. */
  readonly ttl: number;
  /** Whether endpoints without hostname are named after their Pod, where they have one. */
  readonly endpointPodNames: boolean;
}

/** One Service's place in the zone. */
export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

/** Whether clients reach the Service's endpoints by their own addresses: it was told to have no virtual one. */
export function isHeadless(service: Service): boolean {
  return service.spec?.type !== 'ExternalName' && service.spec?.clusterIP === 'None';
}

/** The virtual addresses of a Service, none for headless and external ones. */
export function clusterIps(service: Service): Ip[] {
  const { type, clusterIP, clusterIPs } = service.spec ?? {};
  if (type === 'ExternalName') return [];
  const texts = clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP]);
  return texts.map(tryParseIp).filter((ip) => ip !== undefined);
}

/**
 * The records a Service has by itself: sections 2.3 and 2.5 of the Kubernetes DNS specification. Beyond it, SRV at the
 * Service's own name for all its ports, as clients of CoreDNS know it. A headless Service has none: its records are
 * those of its endpoints.
 */
export function serviceRecords({ namespace, name }: ServiceName, service: Service, terms: ZoneTerms): ZoneRecord[] {
  const owner = joinName([name, namespace], terms.servicesApex);
  if (owner === undefined) return [];
  if (service.spec?.type === 'ExternalName') return externalNameRecords(owner, service.spec.externalName, terms.ttl);
  const ports = service.spec?.ports ?? [];
  // A port counts once for each address: see `srvWeight`.
  return clusterIps(service).flatMap((ip) => [
    addressRecord(owner, ip, terms.ttl),
    ...ports.flatMap(({ name = '', port, protocol = 'TCP' }) =>
      portRecords(owner, { name, port, protocol, target: owner }, terms.ttl),
    ),
  ]);
}

/** The records that lead from a Service's virtual addresses to its name: section 2.3.3 of the specification. */
export function servicePointers({ namespace, name }: ServiceName, service: Service, terms: ZoneTerms): ZoneRecord[] {
  const owner = joinName([name, namespace], terms.servicesApex);
  return owner === undefined ? [] : clusterIps(service).map((ip) => pointerRecord(ip, owner, terms.ttl));
}

function externalNameRecords(owner: Name, externalName: string | undefined, ttl: number): ZoneRecord[] {
  // An alias can only lead to a name. An address here is a name of digits that no one can resolve.
  if (externalName === undefined || tryParseIp(externalName) !== undefined) return [];
  const target = parseName(externalName);
  return target === undefined ? [] : [{ owner, type: recordType.CNAME, rdata: nameRdata(target), ttl }];
}

/** An endpoint that is served: one address of it, and its label in the Service's domain. */
interface ServedEndpoint {
  readonly ip: Ip;
  readonly label: string;
}

/** How many endpoints of a slice are served. */
export function countReady(slice: EndpointSlice): number {
  return readyEndpoints(slice).reduce((sum, { addresses }) => sum + addresses.length, 0);
}

/**
 * Those that are ready. Whether `publishNotReadyAddresses` makes an endpoint ready has been decided by whoever wrote the
 * slice; unknown readiness counts as ready, says the API.
 */
function readyEndpoints({ addressType, endpoints }: EndpointSlice): Endpoint[] {
  return addressType === 'FQDN' ? [] : (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);
}

function servedEndpoints(slice: EndpointSlice, { endpointPodNames }: ZoneTerms): ServedEndpoint[] {
  return readyEndpoints(slice).flatMap(({ addresses, hostname, targetRef }) => {
    const name = hostname || (endpointPodNames ? targetRef?.name : undefined);
    return addresses
      .map(tryParseIp)
      .filter((ip) => ip !== undefined)
      .map((ip) => ({ ip, label: name !== undefined && isLabel(name) ? name : dashed(ip) }));
  });
}

/** A Pod's name may have dots in it, and more octets than a label. */
function isLabel(text: string): boolean {
  return text.length > 0 && text.length <= 63 && !text.includes('.');
}

/**
 * The records of the endpoints in a slice: section 2.4 of the Kubernetes DNS specification. The names of single
 * endpoints, after their hostname or else their address with dashes, exist for every Service, as clients of CoreDNS know
 * it; the Service's own name leads to its endpoints where it is `headless`.
 */
export function endpointRecords(
  { namespace, name }: ServiceName,
  { slice, headless }: { readonly slice: EndpointSlice; readonly headless: boolean },
  terms: ZoneTerms,
): ZoneRecord[] {
  const service = joinName([name, namespace], terms.servicesApex);
  if (service === undefined) return [];
  return servedEndpoints(slice, terms).flatMap(({ ip, label }) => {
    const owner = joinName([label], service);
    if (owner === undefined) return [];
    const own = addressRecord(owner, ip, terms.ttl);
    const ports = endpointPorts(slice, owner);
    return [
      own,
      ...ports.map((port) => srvRecord(owner, port, terms.ttl)),
      ...(headless
        ? [{ ...own, owner: service }, ...ports.flatMap((port) => portRecords(service, port, terms.ttl))]
        : []),
    ];
  });
}

/** The records that lead from the addresses of a slice's endpoints to their names: section 2.4.3 of the specification. */
export function endpointPointers(
  { namespace, name }: ServiceName,
  slice: EndpointSlice,
  terms: ZoneTerms,
): ZoneRecord[] {
  const service = joinName([name, namespace], terms.servicesApex);
  if (service === undefined) return [];
  return servedEndpoints(slice, terms).flatMap(({ ip, label }) => {
    const owner = joinName([label], service);
    return owner === undefined ? [] : [pointerRecord(ip, owner, terms.ttl)];
  });
}

function endpointPorts({ ports }: EndpointSlice, target: Name): TargetPort[] {
  return (ports ?? []).flatMap(({ name, port, protocol }) =>
    // A slice may leave the number out: every port. There is nothing to say about that in SRV.
    port === undefined || port === null ? [] : [{ name: name ?? '', port, protocol: protocol ?? 'TCP', target }],
  );
}

/** An address as a label: dots or colons become dashes. */
export function dashed(ip: Ip): string {
  return ip.replace(/[.:]/g, '-');
}

/** The inverse of `dashed`. */
export function undashed(label: string): Ip | undefined {
  return tryParseIp(label.replaceAll('-', '.')) ?? tryParseIp(label.replaceAll('-', ':'));
}

/** An A or AAAA record, by the address's family. */
export function addressRecord(owner: Name, ip: Ip, ttl: number): ZoneRecord {
  const type = familyOf(ip) === 'IPv4' ? recordType.A : recordType.AAAA;
  return { owner, type, rdata: addressRdata(ip), ttl };
}

/** A port and the name of the host that has it. No name is the empty one. */
interface TargetPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly target: Name;
}

/** SRV at the Service's name, and at `_port._protocol` below it if the port has a name. */
function portRecords(service: Name, port: TargetPort, ttl: number): ZoneRecord[] {
  const own = srvRecord(service, port, ttl);
  if (port.name === '') return [own];
  const owner = joinName([`_${port.name}`, `_${port.protocol}`], service);
  return owner === undefined ? [own] : [own, { ...own, owner }];
}

/** The weight that SRV records are kept with; it is `srvWeight` that is served. */
const keptWeight = 100;

function srvRecord(owner: Name, { port, target }: { port: number; target: Name }, ttl: number): ZoneRecord {
  return { owner, type: recordType.SRV, rdata: srvRdata({ priority: 0, weight: keptWeight, port, target }), ttl };
}

/**
 * The weight of each SRV record of a set: all are equal, and together they have about 100, as CoreDNS shares them out.
 * It counts what the set was made from, ports by addresses, which may be more than there are different records.
 */
export function srvWeight({ reasons }: RecordSet): number {
  // The factors as they stand: written otherwise, the quotient is rounded down from another side of a whole number.
  return Math.max(1, Math.floor((100 / (100 * reasons)) * 100));
}

function pointerRecord(ip: Ip, target: Name, ttl: number): ZoneRecord {
  return { owner: reverseName(ip), type: recordType.PTR, rdata: nameRdata(target), ttl };
}

/** The name that asks for an address's name: in `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5). */
export function reverseName(ip: Ip): Name {
  const bytes = [...ipToBytes(ip)].reverse();
  const isV4 = familyOf(ip) === 'IPv4';
  const labels = isV4 ? bytes.map(String) : bytes.flatMap((b) => [(b & 0xf).toString(16), (b >> 4).toString(16)]);
  return joinName(labels, isV4 ? ipv4Zone : ipv6Zone) as Name;
}
