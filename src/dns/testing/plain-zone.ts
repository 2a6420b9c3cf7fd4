import type { Endpoint, EndpointPort, EndpointSlice, Service } from '../../api/generated/types.ts';
import { formatName, type Name } from '../wire/name.ts';
import type { ClusterZone } from '../zone.ts';

/** Objects by their keys, as the API has them. */
export interface World {
  readonly namespaces: Set<string>;
  readonly services: Map<string, Service>;
  readonly slices: Map<string, EndpointSlice>;
}

/** One record as text. */
type Line = readonly [owner: string, record: string];

/** For tests: all of a zone as text: each name that exists, with its records as `TYPE data`. */
export function dump(zone: ClusterZone): Map<string, string[]> {
  const names = zone.zones.flatMap(({ tree }) => [...tree.entries()]);
  return new Map(
    names.map(([owner, node]) => [
      formatName(owner),
      node.sets
        .flatMap((set) => Array.from({ length: set.size }, (_, i) => `${set.type} ${readable(set.type, set.at(i))}`))
        .sort(),
    ]),
  );
}

function readable(type: number, rdata: string): string {
  const octets = Buffer.from(rdata, 'latin1');
  if (type === 1) return octets.join('.');
  if (type === 28) return octets.toString('hex');
  if (type === 33) return `${octets.readUInt16BE(4)} ${formatName(rdata.slice(6) as Name)}`;
  return type === 16 ? rdata.slice(1) : formatName(rdata as Name);
}

/**
 * For tests: what `dump` should give, from the objects, the plain way: the specification's sentences one after the
 * other, all of it anew, strings only, and nothing shared with what is tested.
 */
export function plainDump(world: World): Map<string, string[]> {
  const records: Line[] = [
    ['cluster.local.', '2 ns.dns.cluster.local.'],
    ['dns-version.cluster.local.', '16 1.1.0'],
    ...[...world.services].flatMap(([key, service]) => recordsOf(key, service, world)),
  ];
  const existing = [
    ...['cluster.local.', 'svc.cluster.local.', 'pod.cluster.local.', 'ns.dns.cluster.local.'],
    ...['in-addr.arpa.', 'ip6.arpa.'],
    ...[...world.namespaces].flatMap((one) => [`${one}.svc.cluster.local.`, `${one}.pod.cluster.local.`]),
    ...records.map(([owner]) => owner),
  ];
  const dumped = new Map(existing.flatMap(withAncestors).map((name) => [name, new Set<string>()]));
  for (const [owner, record] of records) dumped.get(owner)?.add(record);
  return new Map([...dumped].map(([owner, lines]) => [owner, [...lines].sort()]));
}

/** Whatever is above a name that exists, up to its zone's apex, exists too. */
function withAncestors(name: string): string[] {
  const apex = ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.'].find((end) => name.endsWith(end)) ?? '';
  const names: string[] = [];
  for (let rest = name; rest.length >= apex.length; rest = rest.slice(rest.indexOf('.') + 1)) names.push(rest);
  return names;
}

function recordsOf(key: string, service: Service, world: World): Line[] {
  const [namespace, name] = key.split('/');
  const host = `${name}.${namespace}.svc.cluster.local.`;
  const { type, clusterIP, externalName } = service.spec ?? {};
  if (type === 'ExternalName') return [[host, `5 ${externalName}.`]];
  if (clusterIP !== 'None') return clusterRecords(key, host, service);
  return [...world.slices]
    .filter(([sliceKey, slice]) => sliceKey.startsWith(`${namespace}/`) && serviceOf(slice) === name)
    .flatMap(([, slice]) => headlessRecords(host, slice));
}

function serviceOf(slice: EndpointSlice): string | undefined {
  return slice.metadata?.labels?.['kubernetes.io/service-name'];
}

function clusterRecords(key: string, host: string, { spec = {} }: Service): Line[] {
  const addresses = (spec.clusterIPs ?? []).flatMap((ip): Line[] => [
    [host, address(ip)],
    [reverse(ip), `12 ${host}`],
    ...(key === 'kube-system/kube-dns' ? [['ns.dns.cluster.local.', address(ip)] as const] : []),
  ]);
  return [...addresses, ...(spec.ports ?? []).flatMap((port) => portLines(host, port, host))];
}

function headlessRecords(host: string, { endpoints = [], ports = [] }: EndpointSlice): Line[] {
  return endpoints
    .filter((endpoint) => endpoint.conditions?.ready)
    .flatMap((endpoint) => endpointLines(host, endpoint, ports));
}

function endpointLines(host: string, { addresses, hostname }: Endpoint, ports: readonly EndpointPort[]): Line[] {
  const ip = addresses[0] ?? '';
  const pod = `${hostname ?? ip.replace(/[.:]/g, '-')}.${host}`;
  return [
    [host, address(ip)],
    [pod, address(ip)],
    [reverse(ip), `12 ${pod}`],
    ...ports.flatMap((port): Line[] => [[pod, `33 ${port.port} ${pod}`], ...portLines(host, port, pod)]),
  ];
}

function portLines(host: string, { name, port, protocol = 'TCP' }: EndpointPort, target: string): Line[] {
  const record = `33 ${port} ${target}`;
  return name
    ? [
        [host, record],
        [`_${name}._${protocol.toLowerCase()}.${host}`, record],
      ]
    : [[host, record]];
}

/** The IPv6 addresses of the tests, written out. */
const hexadecimal: { readonly [ip: string]: string } = {
  'fd00::1': 'fd000000000000000000000000000001',
  'fd00::2': 'fd000000000000000000000000000002',
};

function address(ip: string): string {
  return ip.includes(':') ? `28 ${hexadecimal[ip]}` : `1 ${ip}`;
}

function reverse(ip: string): string {
  if (!ip.includes(':')) return `${ip.split('.').reverse().join('.')}.in-addr.arpa.`;
  return `${[...(hexadecimal[ip] ?? '')].reverse().join('.')}.ip6.arpa.`;
}
