import { objectKey, type Stored } from '../api/object.ts';
import type { ResourceTypes } from '../api/resources.ts';
import { headlessLabel, serviceProxyNameLabel } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { KnownVersions } from '../client/resource-version.ts';
import type { ApiClient } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { EventSink, EventSource } from './events.ts';
import { statusAddresses } from './node-facts.ts';

/** Leaves out what no rule comes from: headless Services, and those that another proxy serves (KEP-2447). */
export const followedLabels = `!${headlessLabel},!${serviceProxyNameLabel}`;

/** Which API, and whose proxy. */
export interface InformerEventsOptions {
  readonly client: ApiClient;
  readonly nodeName: string;
  /** Whether the addresses of other nodes are told, too; the objects of all nodes are followed then. */
  readonly followsPeers: boolean;
  readonly log: Logger;
}

/** Hears of objects by list and watch of a Kubernetes API. */
export function informerEvents(options: InformerEventsOptions): InformerEvents {
  let known: Pick<ReturnType<typeof startInformers>, 'services' | 'slices'> | undefined;
  return {
    serviceUid: (service) => known?.services.store.get(service)?.metadata.uid,
    knownVersions: () =>
      new Map([
        ['services', known?.services.resourceVersion ?? ''],
        ['endpointslices', known?.slices.resourceVersion ?? ''],
      ]),
    follow: (sink) => {
      const { services, slices, informers } = startInformers(options, sink);
      known = { services, slices };
      return {
        synced: Promise.all(informers.map(({ synced }) => synced)).then(() => {}),
        stop: () => {
          for (const informer of informers) informer.stop();
        },
      };
    },
  };
}

/** Objects that an API tells of, and what is remembered of them beside. */
interface InformerEvents {
  readonly follow: EventSource;
  /** The UID of a Service, by `namespace/name`, while it is there. */
  readonly serviceUid: (service: string) => string | undefined;
  /** How far all changes have been told. */
  readonly knownVersions: () => KnownVersions;
}

function startInformers(options: InformerEventsOptions, sink: EventSink) {
  const { client, log } = options;
  // Objects are told where the informer asks what to keep of them, so that nobody keeps more than a name and a
  // version: with 50,000 Services the objects would be most of the process.
  const services = createInformer(client, 'services', {
    labelSelector: followedLabels,
    log,
    keep: (service) => {
      sink.service(objectKey(service), service);
      return { metadata: identity(service) };
    },
  });
  const slices = createInformer(client, 'endpointSlices', {
    labelSelector: followedLabels,
    log,
    keep: (slice) => {
      sink.endpointSlice(objectKey(slice), slice);
      return { metadata: identity(slice), addressType: slice.addressType };
    },
  });
  const nodes = followNodes(options, sink);
  services.onChange(({ key, current }) => {
    if (current === undefined) sink.service(key, undefined);
  });
  slices.onChange(({ key, current }) => {
    if (current === undefined) sink.endpointSlice(key, undefined);
  });
  return { services, slices, informers: [services, slices, nodes] };
}

/** Of other nodes than this one, only the addresses are kept. */
function followNodes({ client, nodeName, followsPeers, log }: InformerEventsOptions, sink: EventSink) {
  const nodes = createInformer(client, 'nodes', {
    ...(followsPeers ? {} : { fieldSelector: `metadata.name=${nodeName}` }),
    log,
    keep: (node) =>
      node.metadata.name === nodeName
        ? node
        : { metadata: identity(node), status: { addresses: node.status?.addresses ?? [] } },
  });
  nodes.onChange(({ key, current }) => {
    if (key === nodeName) sink.node(current);
    else sink.peer(key, current && statusAddresses(current));
  });
  return nodes;
}

type Followed = Stored<ResourceTypes['services' | 'endpointSlices' | 'nodes']>;

function identity({ metadata }: Followed): Followed['metadata'] {
  const { name, namespace = '', uid, resourceVersion } = metadata;
  return { name, namespace, uid, resourceVersion };
}
