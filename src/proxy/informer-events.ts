import { objectKey, type Stored } from '../api/object.ts';
import type { ResourceTypes } from '../api/resources.ts';
import { headlessLabel, serviceProxyNameLabel } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Informer } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { EventSink, EventSource } from './events.ts';

/** Leaves out what no rule comes from: headless Services, and those that another proxy serves (KEP-2447). */
const labelSelector = `!${headlessLabel},!${serviceProxyNameLabel}`;

/** Which API, and whose proxy. */
export interface InformerEventsOptions {
  readonly client: ApiClient;
  readonly nodeName: string;
  readonly log: Logger;
}

/** Hears of objects by list and watch of a Kubernetes API. */
export function informerEvents({ client, nodeName, log }: InformerEventsOptions): InformerEvents {
  let known: Informer<'services'> | undefined;
  return {
    serviceUid: (service) => known?.store.get(service)?.metadata.uid,
    follow: (sink) => {
      const { services, informers } = startInformers({ client, nodeName, log }, sink);
      known = services;
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
}

function startInformers({ client, nodeName, log }: InformerEventsOptions, sink: EventSink) {
  // Objects are told where the informer asks what to keep of them, so that nobody keeps more than a name and a
  // version: with 50,000 Services the objects would be most of the process.
  const services = createInformer(client, 'services', {
    labelSelector,
    log,
    keep: (service) => {
      sink.service(objectKey(service), service);
      return { metadata: identity(service) };
    },
  });
  const slices = createInformer(client, 'endpointSlices', {
    labelSelector,
    log,
    keep: (slice) => {
      sink.endpointSlice(objectKey(slice), slice);
      return { metadata: identity(slice), addressType: slice.addressType };
    },
  });
  const nodes = createInformer(client, 'nodes', { fieldSelector: `metadata.name=${nodeName}`, log });
  services.onChange(({ key, current }) => {
    if (current === undefined) sink.service(key, undefined);
  });
  slices.onChange(({ key, current }) => {
    if (current === undefined) sink.endpointSlice(key, undefined);
  });
  nodes.onChange(({ current }) => sink.node(current));
  return { services, informers: [services, slices, nodes] };
}

type Followed = Stored<ResourceTypes['services' | 'endpointSlices']>;

function identity({ metadata }: Followed): Followed['metadata'] {
  const { name, namespace = '', uid, resourceVersion } = metadata;
  return { name, namespace, uid, resourceVersion };
}
