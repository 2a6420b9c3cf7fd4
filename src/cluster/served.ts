import type { Endpoint, EndpointSlice, Endpoints, Pod, Service } from '../api/generated/types.ts';
import { matchLabelSelector, parseLabelSelector } from '../api/label-selector.ts';
import { objectKey, type Stored } from '../api/object.ts';
import { serviceKeyOf } from '../api/well-known.ts';
import type { ApiClient } from '../client/types.ts';
import { hasSelectedEndpoints } from '../controllers/endpointslice/controller.ts';
import { desiredGroups, type EndpointGroup } from '../controllers/endpointslice/desired.ts';
import { isMirrored } from '../controllers/mirroring/controller.ts';
import { mirroredGroups } from '../controllers/mirroring/mirrored-groups.ts';
import { isReady } from '../controllers/pod-state.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import { followedLabels } from '../proxy/informer-events.ts';
import { dnsLabels, dnsNamespace } from './cluster-dns.ts';
import type { Follower } from './followers.ts';

/** Something waited for that is not there yet: what, and why as far as it is known. */
export interface Missing {
  readonly what: string;
  readonly why: string;
}

/** Asks the proxies and the DNS servers how far they have come; DNS in Pods by the addresses of these. */
export type AskFollowers = (dnsPods: readonly Ip[]) => Promise<readonly Follower[]>;

/** Of one Service, that are told. */
const maxReasons = 3;

/**
 * What is missing for Services to lead, on every node and by name, to the Pods that are Ready at this moment: endpoints in
 * EndpointSlices, and proxies and DNS servers that have them.
 */
export async function notServed(client: ApiClient, ask: AskFollowers): Promise<Missing[]> {
  const [services, slices, pods, endpoints] = await Promise.all([
    client.list('services'),
    client.list('endpointSlices'),
    client.list('pods'),
    client.list('endpoints'),
  ]);
  const world = { services: services.items, slices: slices.items, pods: pods.items, endpoints: endpoints.items };
  const missing = withoutEndpoints(world);
  return missing.length > 0 ? missing : behind(await ask(dnsPodAddresses(world.pods)), newestVersions(world));
}

/** What it takes to say what a Service is to lead to, and what it leads to. */
export interface ServiceWorld {
  readonly services: readonly Stored<Service>[];
  readonly slices: readonly Stored<EndpointSlice>[];
  readonly pods: readonly Stored<Pod>[];
  readonly endpoints: readonly Stored<Endpoints>[];
}

/** The Services whose slices are not yet what the controllers will make them. */
export function withoutEndpoints({ services, slices, pods, endpoints }: ServiceWorld): Missing[] {
  const slicesOf = groupBy(slices, (slice) => serviceKeyOf(slice) ?? '');
  const podsIn = groupBy(pods, ({ metadata }) => metadata.namespace ?? '');
  const endpointsOf = new Map(endpoints.map((object) => [objectKey(object), object]));
  return services.flatMap((service) => {
    const key = objectKey(service);
    const wanted = wantedGroups(service, podsIn.get(service.metadata.namespace ?? '') ?? [], endpointsOf.get(key));
    if (wanted === undefined) return [];
    const ready = readyAddresses(wanted);
    const found = readyAddresses(slicesOf.get(key) ?? []);
    const why = [
      ...[...ready].filter((address) => !found.has(address)).map((address) => `${address} is no endpoint yet`),
      ...[...found].filter((address) => !ready.has(address)).map((address) => `${address} is an endpoint still`),
    ];
    return why.length === 0 ? [] : [{ what: `service/${key}`, why: why.slice(0, maxReasons).join(', ') }];
  });
}

/** Undefined for a Service whose slices no controller makes. */
function wantedGroups(
  service: Stored<Service>,
  pods: readonly Stored<Pod>[],
  endpoints: Stored<Endpoints> | undefined,
): readonly EndpointGroup[] | undefined {
  if (hasSelectedEndpoints(service)) {
    const isSelected = matchLabelSelector({ matchLabels: service.spec?.selector ?? {} });
    const selected = pods.filter(({ metadata }) => isSelected(metadata.labels));
    return desiredGroups({ service, pods: selected, zoneOf: () => undefined });
  }
  return endpoints !== undefined && isMirrored(endpoints, service) ? mirroredGroups(endpoints) : undefined;
}

function readyAddresses(groups: readonly { readonly endpoints?: readonly Endpoint[] }[]): ReadonlySet<string> {
  const ready = groups.flatMap(({ endpoints = [] }) =>
    endpoints.filter(({ conditions }) => conditions?.ready !== false),
  );
  return new Set(ready.flatMap(({ addresses }) => addresses));
}

/** By who follows it and the plural name of a resource: the newest version of an object it has to know. */
export type NewestVersions = { readonly [K in Follower['kind']]: { readonly [resource: string]: number } };

/** What every follower of a kind has to have come to, for the objects as they are. */
export function newestVersions({ services, slices }: Pick<ServiceWorld, 'services' | 'slices'>): NewestVersions {
  const isFollowed = parseLabelSelector(followedLabels);
  const ofProxies = ({ metadata }: Stored<object>) => isFollowed(metadata.labels);
  return {
    proxy: { services: newest(services.filter(ofProxies)), endpointslices: newest(slices.filter(ofProxies)) },
    dns: { services: newest(services), endpointslices: newest(slices) },
  };
}

function newest(objects: readonly Stored<object>[]): number {
  return objects.reduce((version, { metadata }) => Math.max(version, Number(metadata.resourceVersion)), 0);
}

/** The followers that have not come so far. Of a DNS server that says nothing nothing can be known: it may be another's. */
export function behind(followers: readonly Follower[], newest: NewestVersions): Missing[] {
  return followers.flatMap(({ kind, name, versions }) => {
    if (versions === undefined) return [{ what: name, why: 'does not answer' }];
    if (kind === 'dns' && Object.keys(versions).length === 0) return [];
    const isBehind = Object.entries(newest[kind]).some(([resource, version]) => (versions[resource] ?? -1) < version);
    return isBehind ? [{ what: name, why: 'does not have all Services and endpoints yet' }] : [];
  });
}

function dnsPodAddresses(pods: readonly Stored<Pod>[]): Ip[] {
  const isDns = matchLabelSelector({ matchLabels: dnsLabels });
  const ready = pods.filter(
    (pod) => pod.metadata.namespace === dnsNamespace && isDns(pod.metadata.labels) && isReady(pod),
  );
  return ready.flatMap(({ status }) => tryParseIp(status?.podIP ?? '') ?? []);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
