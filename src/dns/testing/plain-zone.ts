import type { Endpoint, EndpointPort, EndpointSlice, Pod, Service } from '../../api/generated/types.ts';
import type { RecordSet } from '../name-tree.ts';
import { formatName, type Name } from '../wire/name.ts';
import type { ClusterZone, ZoneOptions } from '../zone.ts';
import { srvWeight } from '../zone-records.ts';

/** Objects by their keys, as the API has them. */
export interface World {
  readonly namespaces: Set<string>;
  readonly services: Map<string, Service>;
  readonly slices: Map<string, EndpointSlice>;
  readonly pods: Map<string, Pod>;
}

/** The settings that decide what there is. */
export type WorldOptions = Pick<ZoneOptions, 'pods' | 'endpointPodNames' | 'namespaces' | 'ignoreEmptyService'> & {
  /** Dotted, with the final dot; the cluster domains first. */
  readonly zones: readonly string[];
};

/** One record as text, its weight left open in SRV. */
type Line = readonly [owner: string, record: string];

/** For tests: all of a zone as text: each name that exists, with its records as `TYPE data`. */
export function dump(zone: ClusterZone): Map<string, string[]> {
  const names = zone.zones.flatMap(({ tree }) => [...tree.entries()]);
  return new Map(names.map(([owner, node]) => [formatName(owner), node.sets.flatMap(linesOf).sort()]));
}

function linesOf(set: RecordSet): string[] {
  return Array.from({ length: set.size }, (_, i) => `${set.type} ${readable(set, set.at(i))}`);
}

function readable(set: RecordSet, rdata: string): string {
  const octets = Buffer.from(rdata, 'latin1');
  if (set.type === 1) return octets.join('.');
  if (set.type === 28) return octets.toString('hex');
  if (set.type === 33) return `${srvWeight(set)} ${octets.readUInt16BE(4)} ${formatName(rdata.slice(6) as Name)}`;
  return set.type === 16 ? rdata.slice(1) : formatName(rdata as Name);
}

/**
 * For tests: what `dump` should give, from the objects, the plain way: the specification's sentences one after the
 * other, all of it anew, strings only, and nothing shared with what is tested.
 */
export function plainDump(world: World, options: WorldOptions): Map<string, string[]> {
  const { zones } = options;
  const domains = zones.filter((zone) => !zone.endsWith('.arpa.'));
  const records = [
    ...zones.map((zone): Line => [zone, `2 ns.dns.${zone}`]),
    ...domains.map((domain): Line => [`dns-version.${domain}`, '16 1.1.0']),
    ...nameServerLines(world, zones),
    ...[...world.services].flatMap(([key, service]) => recordsOf(key, service, world, options)),
    ...[...world.pods].flatMap(([key, pod]) => podLines(key, pod, world, options)),
  ].filter(([owner]) => zones.some((zone) => `.${owner}`.endsWith(`.${zone}`)));
  const shown = [...world.namespaces].filter((one) => isShown(one, world, options));
  const existing = [
    ...zones.flatMap((zone) => [zone, `ns.dns.${zone}`]),
    ...domains.flatMap((domain) => [
      ...[`svc.${domain}`, `pod.${domain}`],
      ...shown.map((one) => `${one}.svc.${domain}`),
      ...(options.pods === 'disabled' ? [] : shown.map((one) => `${one}.pod.${domain}`)),
    ]),
    ...records.map(([owner]) => owner),
  ];
  const names = new Set(existing.flatMap((name) => withAncestors(name, zones)));
  return new Map([...names].map((name) => [name, served(records.filter(([owner]) => owner === name))]));
}

/** The different records of a name; those of type SRV share a weight of 100 by how often each was said. */
function served(lines: readonly Line[]): string[] {
  const hundredth = Math.max(1, Math.floor(100 / lines.filter(([, record]) => record.startsWith('33 ')).length));
  return [...new Set(lines.map(([, record]) => record.replace(/^33 /, `33 ${hundredth} `)))].sort();
}

/** Whatever is above a name that exists, up to its zone's apex, exists too. */
function withAncestors(name: string, zones: readonly string[]): string[] {
  const names: string[] = [];
  for (let rest = name; zones.some((zone) => `.${rest}`.endsWith(`.${zone}`)); rest = rest.slice(rest.indexOf('.') + 1))
    names.push(rest);
  return names;
}

function isShown(namespace: string | undefined, world: World, { namespaces }: WorldOptions): boolean {
  if (namespace === undefined || !world.namespaces.has(namespace)) return false;
  return namespaces.length === 0 || namespaces.includes(namespace);
}

function nameServerLines(world: World, zones: readonly string[]): Line[] {
  const { type, clusterIPs = [] } = world.services.get('kube-system/kube-dns')?.spec ?? {};
  if (type === 'ExternalName' || clusterIPs[0] === 'None') return [];
  return zones.flatMap((zone) => clusterIPs.map((ip): Line => [`ns.dns.${zone}`, address(ip)]));
}

function podLines(key: string, pod: Pod, world: World, options: WorldOptions): Line[] {
  const [namespace] = key.split('/');
  const { phase, podIPs = [] } = pod.status ?? {};
  if (options.pods !== 'verified' || !isShown(namespace, world, options)) return [];
  if (phase === 'Succeeded' || phase === 'Failed' || pod.metadata?.deletionTimestamp) return [];
  const domains = options.zones.filter((zone) => !zone.endsWith('.arpa.'));
  return domains.flatMap((domain) =>
    podIPs.map(({ ip }): Line => [`${ip.replace(/[.:]/g, '-')}.${namespace}.pod.${domain}`, address(ip)]),
  );
}

function recordsOf(key: string, service: Service, world: World, options: WorldOptions): Line[] {
  const [namespace, name] = key.split('/');
  if (!isShown(namespace, world, options)) return [];
  const { type, clusterIP, externalName } = service.spec ?? {};
  const slices = [...world.slices]
    .filter(([sliceKey, slice]) => sliceKey.startsWith(`${namespace}/`) && serviceOf(slice) === name)
    .map(([, slice]) => slice);
  const isHeadless = clusterIP === 'None';
  const isEmpty = slices.flatMap(ready).length === 0;
  return options.zones
    .filter((zone) => !zone.endsWith('.arpa.'))
    .flatMap((domain, at): Line[] => {
      const host = `${name}.${namespace}.svc.${domain}`;
      if (type === 'ExternalName') return [[host, `5 ${externalName}.`]];
      if (!isHeadless && options.ignoreEmptyService && isEmpty) return [];
      const lines = [
        ...(isHeadless ? [] : clusterRecords(host, service)),
        ...slices.flatMap((slice) => sliceRecords(host, slice, { isHeadless, ...options })),
      ];
      // An address leads to one name only, in the first domain.
      return at === 0 ? lines : lines.filter(([, record]) => !record.startsWith('12 '));
    });
}

function serviceOf(slice: EndpointSlice): string | undefined {
  return slice.metadata?.labels?.['kubernetes.io/service-name'];
}

function clusterRecords(host: string, { spec = {} }: Service): Line[] {
  return (spec.clusterIPs ?? []).flatMap((ip): Line[] => [
    [host, address(ip)],
    [reverse(ip), `12 ${host}`],
    ...(spec.ports ?? []).flatMap((port) => portLines(host, port, host)),
  ]);
}

function ready({ endpoints = [] }: EndpointSlice): Endpoint[] {
  return endpoints.filter((endpoint) => endpoint.conditions?.ready);
}

type SliceOptions = { readonly isHeadless: boolean; readonly endpointPodNames: boolean };

function sliceRecords(host: string, slice: EndpointSlice, options: SliceOptions): Line[] {
  return ready(slice).flatMap((endpoint) => endpointLines(host, endpoint, slice.ports ?? [], options));
}

function endpointLines(
  host: string,
  { addresses, hostname, targetRef }: Endpoint,
  ports: readonly EndpointPort[],
  { isHeadless, endpointPodNames }: SliceOptions,
): Line[] {
  const ip = addresses[0] ?? '';
  const own = `${hostname ?? (endpointPodNames ? targetRef?.name : undefined) ?? ip.replace(/[.:]/g, '-')}.${host}`;
  const lines: Line[] = [
    [own, address(ip)],
    [reverse(ip), `12 ${own}`],
    ...ports.map(({ port }): Line => [own, `33 ${port} ${own}`]),
  ];
  return isHeadless ? [...lines, [host, address(ip)], ...ports.flatMap((port) => portLines(host, port, own))] : lines;
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
