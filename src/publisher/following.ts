import type { Node, Service } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { serviceKeyOf } from '../api/well-known.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import { isLocal } from '../speaker/announced.ts';
import { followSlices, identityOf } from '../speaker/kept.ts';
import { isPublished, type Publication, publications } from './publications.ts';

/** Changes that come together are looked at together. */
const gatherMs = 10;

/** What follows the API. */
export interface Following {
  /** The Service of a publication, if it is still there. */
  serviceOf(publication: Publication): Service | undefined;
  stop(): void;
}

/** Follows the objects that publications follow from; `onChange` is first called when all of them are known. */
export function followPublications(
  client: ApiClient,
  log: Logger,
  onChange: (wanted: readonly Publication[]) => void,
): Following {
  const services = createInformer(client, 'services', { log, keep: keepOfService });
  const nodes = createInformer(client, 'nodes', { log, keep: keepOfNode });
  const { slices, slicesOf } = followSlices(client, log);
  const informers = [services, nodes, slices];
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    timer = undefined;
    if (!informers.every(({ hasSynced }) => hasSynced)) return;
    onChange(
      publications({
        services: services.store.values(),
        nodes: nodes.store.values(),
        slicesOf: (service) => slicesOf.get(service),
      }),
    );
  };
  const changed = () => {
    timer ??= setTimeout(look, gatherMs);
  };
  services.onChange(changed);
  nodes.onChange(changed);
  slices.onChange(({ current, previous }) => {
    // Where endpoints are matters to few Services, and they change often.
    const slice = current ?? previous;
    const service = slice && services.store.get(serviceKeyOf(slice) ?? '');
    if (service !== undefined && isLocal(service)) changed();
  });
  // The last of them may have nothing to tell.
  Promise.all(informers.map(({ synced }) => synced)).then(changed, () => {});
  return {
    serviceOf: ({ service }) => services.store.get(service),
    stop: () => {
      clearTimeout(timer);
      for (const informer of informers) informer.stop();
    },
  };
}

/** Of the many Services that are not published only the name stays. */
function keepOfService(service: Stored<Service>): Stored<Service> {
  const { metadata, spec, status } = service;
  if (!isPublished(service)) return { metadata: identityOf(metadata) };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: identityOf(metadata),
    ...(spec === undefined ? {} : { spec }),
    ...(status === undefined ? {} : { status }),
  };
}

function keepOfNode({ metadata, status }: Stored<Node>): Stored<Node> {
  const { addresses = [], conditions = [] } = status ?? {};
  return { metadata: identityOf(metadata), status: { addresses, conditions } };
}
