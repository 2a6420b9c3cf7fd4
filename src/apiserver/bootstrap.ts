import type { EndpointSlice, Endpoints, Namespace, Service } from '../api/generated/types.ts';
import type { KubernetesObject } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { type Cidr, cidrAddress } from '../net/cidr.ts';
import { familyOf, parseIp } from '../net/ip.ts';
import { permanentNamespaces } from './namespace-lifecycle.ts';
import type { Registry } from './registry.ts';
import { createRerun } from './rerun.ts';
import { renewEveryMs, type ServerPresence } from './server-presence.ts';
import { StatusError } from './status.ts';
import type { ApiObject } from './stored-object.ts';

type Registries = { readonly [K in ResourceKey]: Registry };

/** What the objects of the API server itself are made from. */
export interface BootstrapFacts {
  readonly serviceCidr: Cidr;
  /** Where Pods reach the API servers there are. */
  readonly presence: ServerPresence;
}

const place = { namespace: 'default', name: 'kubernetes' };
const servicePort = 443;

/**
 * Makes what every cluster has: its namespaces, and the Service by which Pods find the API. Its address must be one
 * that can be allocated.
 */
export async function ensureClusterObjects(registries: Registries, facts: BootstrapFacts): Promise<void> {
  await Promise.all(permanentNamespaces.map((name) => ensure(registries.namespaces, namespaceNamed(name))));
  await ensureApiService(registries, facts);
}

/** Puts the Service `kubernetes` and its endpoints back to what they have to be, whenever someone changed them. */
export function keepApiService(
  registries: Registries,
  facts: BootstrapFacts,
  onError: (error: unknown) => void,
): () => void {
  if (facts.presence.own === undefined) return () => {};
  const rerun = createRerun(() => ensureApiService(registries, facts), onError);
  const key = `${place.namespace}/${place.name}`;
  const stops = [registries.services, registries.endpoints, registries.endpointSlices].map(({ cache }) =>
    cache.listen((event) => {
      if ((event.current ?? event.previous)?.key === key) rerun.run();
    }),
  );
  const timer = setInterval(() => void facts.presence.renew().then(rerun.run, onError), renewEveryMs);
  return () => {
    clearInterval(timer);
    rerun.stop();
    for (const stop of stops) stop();
  };
}

async function ensureApiService(registries: Registries, { serviceCidr, presence }: BootstrapFacts): Promise<void> {
  const { own } = presence;
  if (own === undefined) return;
  const servers = await presence.list();
  const service: Service = {
    metadata: { ...place, labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: cidrAddress(serviceCidr, 1),
      sessionAffinity: 'None',
      ports: [{ name: 'https', protocol: 'TCP', port: servicePort, targetPort: own.port }],
    },
  };
  const endpoints: Endpoints = {
    metadata: { ...place, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: servers.map(({ ip, port }) => ({
      addresses: [{ ip }],
      ports: [{ name: 'https', port, protocol: 'TCP' }],
    })),
  };
  const slice: EndpointSlice = {
    metadata: { ...place, labels: { 'kubernetes.io/service-name': place.name } },
    addressType: familyOf(parseIp(own.ip)),
    endpoints: servers.map(({ ip }) => ({ addresses: [ip], conditions: { ready: true } })),
    ports: [{ name: 'https', port: own.port, protocol: 'TCP' }],
  };
  await ensure(registries.services, service);
  await ensure(registries.endpoints, endpoints, { subsets: endpoints.subsets });
  await ensure(registries.endpointSlices, slice, { endpoints: slice.endpoints, ports: slice.ports });
}

function namespaceNamed(name: string): Namespace {
  return { metadata: { name } };
}

/** Creates the object unless it is there; then, sets the parts named. */
async function ensure(
  registry: Registry,
  wanted: ResourceTypes[ResourceKey] & KubernetesObject,
  parts?: { readonly [field: string]: unknown },
): Promise<void> {
  const object: ApiObject = { ...wanted, metadata: wanted.metadata ?? {} };
  const { namespace, name = '' } = object.metadata;
  const found = registry.cache.get(namespace === undefined ? name : `${namespace}/${name}`);
  try {
    if (found === undefined) await registry.create(object, namespace, { dryRun: false });
    else if (parts !== undefined) {
      const change = () => ({ ...structuredClone(found.object), ...structuredClone(parts) });
      await registry.update({ namespace, name }, change, { dryRun: false, part: 'main' });
    }
  } catch (error) {
    // Another API server of the same store may do the same at the same time.
    if (!(error instanceof StatusError) || error.status.code !== 409) throw error;
  }
}
