import type { EndpointSlice, Service } from '../api/generated/types.ts';
import { familyOf, type Ip, ipToBytes, tryParseIp } from '../net/ip.ts';
import type { ZoneRecord } from './name-tree.ts';
import { recordType } from './wire/constants.ts';
import { joinName, type Name, parseName } from './wire/name.ts';
import { addressRdata, nameRdata, srvRdata } from './wire/rdata.ts';

/** What all records of a cluster's zone have in common. */
export interface ZoneTerms {
  /** `svc.` and the cluster domain. */
  readonly servicesApex: Name;
  /** Seconds. */
  readonly ttl: number;
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
  const ips = clusterIps(service);
  if (ips.length === 0) return [];
  return [
    ...ips.map((ip) => addressRecord(owner, ip, terms.ttl)),
    ...(service.spec?.ports ?? []).flatMap(({ name = '', port, protocol = 'TCP' }) =>
      portRecords(owner, { name, port, protocol, target: owner }, terms.ttl),
    ),
    ...ips.map((ip) => pointerRecord(ip, owner, terms.ttl)),
  ];
}

function externalNameRecords(owner: Name, externalName: string | undefined, ttl: number): ZoneRecord[] {
  // An alias can only lead to a name. An address here is a name of digits that no one can resolve.
  if (externalName === undefined || tryParseIp(externalName) !== undefined) return [];
  const target = parseName(externalName);
  return target === undefined ? [] : [{ owner, type: recordType.CNAME, rdata: nameRdata(target), ttl }];
}

/**
 * The records the endpoints in a slice give to their headless Service: section 2.4 of the Kubernetes DNS specification.
 * Endpoints without a hostname are named after their address with dashes. Whether `publishNotReadyAddresses` makes an
 * endpoint ready has been decided by whoever wrote the slice.
 */
export function endpointRecords(
  { namespace, name }: ServiceName,
  slice: EndpointSlice,
  terms: ZoneTerms,
): ZoneRecord[] {
  const service = joinName([name, namespace], terms.servicesApex);
  if (service === undefined || slice.addressType === 'FQDN') return [];
  const records: ZoneRecord[] = [];
  for (const endpoint of slice.endpoints ?? []) {
    // Unknown readiness counts as ready, says the API.
    if (endpoint.conditions?.ready === false) continue;
    for (const ip of endpoint.addresses.map(tryParseIp)) {
      const owner = ip && joinName([endpoint.hostname || dashed(ip)], service);
      if (ip === undefined || owner === undefined) continue;
      records.push(addressRecord(service, ip, terms.ttl), addressRecord(owner, ip, terms.ttl));
      records.push(pointerRecord(ip, owner, terms.ttl), ...endpointPortRecords(service, { owner, slice }, terms.ttl));
    }
  }
  return records;
}

function endpointPortRecords(
  service: Name,
  { owner, slice }: { readonly owner: Name; readonly slice: EndpointSlice },
  ttl: number,
): ZoneRecord[] {
  return (slice.ports ?? []).flatMap(({ name, port, protocol }) => {
    // A slice may leave the number out: every port. There is nothing to say about that in SRV.
    if (port === undefined || port === null) return [];
    const target = { name: name ?? '', port, protocol: protocol ?? 'TCP', target: owner };
    return [srvRecord(owner, target, ttl), ...portRecords(service, target, ttl)];
  });
}

/** An address as a label: dots or colons become dashes. */
function dashed(ip: Ip): string {
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

function srvRecord(owner: Name, { port, target }: { port: number; target: Name }, ttl: number): ZoneRecord {
  // All targets of a Service are equal; with weight 0 RFC 2782 would have them hardly ever chosen among others.
  return { owner, type: recordType.SRV, rdata: srvRdata({ priority: 0, weight: 100, port, target }), ttl };
}

function pointerRecord(ip: Ip, target: Name, ttl: number): ZoneRecord {
  return { owner: reverseName(ip), type: recordType.PTR, rdata: nameRdata(target), ttl };
}

/** The name that asks for an address's name: in `in-addr.arpa` (RFC 1035 §3.5) or `ip6.arpa` (RFC 3596 §2.5). */
function reverseName(ip: Ip): Name {
  const bytes = [...ipToBytes(ip)].reverse();
  const isV4 = familyOf(ip) === 'IPv4';
  const labels = isV4 ? bytes.map(String) : bytes.flatMap((b) => [(b & 0xf).toString(16), (b >> 4).toString(16)]);
  return joinName(labels, isV4 ? ipv4Apex : ipv6Apex) as Name;
}

/** Where the names of IPv4 addresses are. */
export const ipv4Apex = parseName('in-addr.arpa') as Name;
/** Where the names of IPv6 addresses are. */
export const ipv6Apex = parseName('ip6.arpa') as Name;
