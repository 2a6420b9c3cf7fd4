import type { EndpointSlice, Pod, Service, ServicePort } from '../../api/generated/types.ts';
import { kubernetesDefaults, reverseZones } from '../config/defaults.ts';
import type { Name } from '../wire/name.ts';
import { parseName } from '../wire/name.ts';
import { type ClusterZone, ClusterZone as Zone, type ZoneOptions } from '../zone.ts';

/** For tests: the name a text spells, which has to be one. */
export function name(text: string): Name {
  const parsed = parseName(text);
  if (parsed === undefined) throw new Error(`${text} is no name`);
  return parsed;
}

/** For tests: an empty zone with the usual settings. */
export function emptyZone(options: Partial<ZoneOptions> = {}): ClusterZone {
  return new Zone({
    ...kubernetesDefaults,
    zones: [name('cluster.local'), ...reverseZones],
    pods: 'insecure',
    fallthrough: reverseZones,
    now: () => 1_700_000_000_000,
    ...options,
  });
}

/** For tests: `http:80`, `dns:53/UDP` or `80` as a Service's port. */
function port(text: string): ServicePort {
  const [, name, number, protocol] = /^(?:([^:]+):)?(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  return {
    port: Number(number),
    ...(name === undefined ? {} : { name }),
    ...(protocol === undefined ? {} : { protocol }),
  };
}

/** For tests: a Service with these virtual addresses (`None` for a headless one) and ports. */
export function service(clusterIPs: readonly string[], ...ports: readonly string[]): Service {
  const [clusterIP = ''] = clusterIPs;
  return { spec: { type: 'ClusterIP', clusterIP, clusterIPs: [...clusterIPs], ports: ports.map(port) } };
}

/** For tests: a Service that is another name for something. */
export function externalName(target: string): Service {
  return { spec: { type: 'ExternalName', externalName: target } };
}

/** For tests: an endpoint; not ready with `!` before its address, with a hostname after `@` and a Pod's name after `#`. */
function endpoint(text: string): NonNullable<EndpointSlice['endpoints']>[number] {
  const [, unready, address = '', hostname, pod] = /^(!?)([^@#]+)(?:@([^#]+))?(?:#(.+))?$/.exec(text) ?? [];
  return {
    addresses: [address],
    conditions: { ready: unready === '' },
    ...(hostname === undefined ? {} : { hostname }),
    ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', name: pod } }),
  };
}

/** For tests: a Pod that has these addresses, and is in this phase. */
export function pod(ips: readonly string[], phase = 'Running'): Pod {
  return { status: { phase, podIPs: ips.map((ip) => ({ ip })) } };
}

/** For tests: a slice of a Service's endpoints; the family is that of the first. */
export function slice(service: string, endpoints: readonly string[], ...ports: readonly string[]): EndpointSlice {
  return {
    metadata: { labels: { 'kubernetes.io/service-name': service } },
    addressType: endpoints[0]?.replace(/@.*/, '').includes(':') ? 'IPv6' : 'IPv4',
    endpoints: endpoints.map(endpoint),
    ports: ports.map((text) => ({ protocol: 'TCP', ...port(text) })),
  };
}
