import { hostname } from 'node:os';
import { addressInUseAnnotation } from '../api/well-known.ts';
import { connect } from '../client/client.ts';
import { createEventRecorder, type EventRecorder } from '../client/events.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { MetricRegistry, metricsContentType } from '../component/metrics.ts';
import { keepServingPages } from '../component/pages.ts';
import type { Ip } from '../net/ip.ts';
import { type ClusterPicture, followCluster } from './cluster-picture.ts';
import type { SpeakerConfig } from './config.ts';
import { ObstacleWatch } from './obstacles.ts';
import { ProxyWatch } from './proxy-watch.ts';
import { Speaker, type SpeakerEvent } from './speaker.ts';

/** How often the picture is looked at anew whatever happens: an API that is away does not say so. */
const reviewEveryMs = 5_000;
const component = 'signalbox-speaker';

/**
 * The speaker as a component: announces addresses of Services of type LoadBalancer on the links of the network
 * namespace it is in, where it is its node's turn, until the signal aborts. Then it lets them go, and others take them.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`
 */
export async function runSpeaker(config: SpeakerConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger('speaker');
  const nodeName = (config.nodeName ?? hostname()).trim().toLowerCase();
  const client = connect({ ...(await loadKubeconfig(config.kubeconfig)), component }, { log });
  const events = createEventRecorder(client, { component, host: nodeName, log });
  const metrics = new MetricRegistry();
  const moves = metrics.counters({
    name: 'signalbox_speaker_events_total',
    help: 'How often an address was taken up (assigned), found with somebody else (in-use), claimed by them (conflict), or answered for by the kernel (kernel-answers).',
    labels: ['kind'],
  });
  const proxy = new ProxyWatch({ url: config.proxyHealth, onChange: () => speaker.review() });
  const update = () => {
    if (!picture.hasSynced()) return;
    const now = picture.current();
    proxy.setAddresses(now.claims.keys());
    speaker.update(now);
    const here = new Set(speaker.report().map(({ address }) => address));
    const own = { nodeName, picture: now, here, serves: (address: Ip) => proxy.serves(address) };
    // Who is cut off from the API knows nothing of the others.
    if (now.isCurrent) obstacles.look(own, performance.now());
  };
  const picture: ClusterPicture = followCluster(client, log, update);
  const told = { client, events, picture, log, nodeName };
  const speaker: Speaker = new Speaker({
    nodeName,
    interfaces: config.interfaces,
    log,
    serves: (address) => proxy.serves(address),
    onEvent: (event) => {
      moves.of(event.kind).add();
      tell(event, told);
    },
  });
  const obstacles = new ObstacleWatch((address, obstacle) => tellObstacle(address, obstacle, told));
  metrics.readGauges(
    { name: 'signalbox_speaker_addresses', help: 'Addresses by what is done about them here.', label: 'state' },
    () => countBy(speaker.report().map(({ state }) => state)),
  );
  picture.synced.then(update, () => {});
  const timer = setInterval(update, reviewEveryMs);
  const serving = { signal, log };
  try {
    await Promise.all([
      aborted(signal),
      proxy.run(signal),
      keepServingPages(config.healthzBindAddress, { '/healthz': () => healthPage(picture) }, serving),
      keepServingPages(config.metricsBindAddress, pages(metrics, speaker), serving),
    ]);
  } finally {
    clearInterval(timer);
    speaker.stop();
    picture.stop();
    client.close();
  }
}

function healthPage(picture: ClusterPicture) {
  return picture.hasSynced() ? { body: 'ok' } : { status: 503, body: 'the API has not told all yet' };
}

function pages(metrics: MetricRegistry, speaker: Speaker) {
  return {
    '/metrics': () => ({ type: metricsContentType, body: metrics.text() }),
    '/announcements': () => ({ type: 'application/json', body: JSON.stringify(speaker.report()) }),
  };
}

/** Tells the Services that have the address why they are not reached by it. */
function tellObstacle(address: Ip, obstacle: string, { events, picture, log }: Told): void {
  const message = `${address} ${obstacle}`;
  log.warn({ address }, message);
  for (const service of picture.servicesWith(address))
    events.record(service, { type: 'Warning', reason: 'NotAnnounced', message });
}

interface Told {
  readonly client: ApiClient;
  readonly events: EventRecorder;
  readonly picture: ClusterPicture;
  readonly log: Logger;
  readonly nodeName: string;
}

/** Tells the Services that have the address; of one that somebody else has, by the annotation that asks for another. */
function tell({ kind, address, mac, ...event }: SpeakerEvent, { client, events, picture, log, nodeName }: Told): void {
  log[kind === 'assigned' ? 'info' : 'warn']({ address, mac, interface: event.interface }, `address ${kind}`);
  for (const service of picture.servicesWith(address)) {
    if (kind === 'assigned') {
      // The reason is the one that users of MetalLB know.
      const message = `announcing ${address} from node "${nodeName}" on ${event.interface}`;
      events.record(service, { type: 'Normal', reason: 'nodeAssigned', message });
    } else if (kind === 'conflict') {
      const message = `${address} is announced from node "${nodeName}", and ${mac} claims it too`;
      events.record(service, { type: 'Warning', reason: 'AddressConflict', message });
    } else if (kind === 'kernel-answers') {
      const message = `the kernel of node "${nodeName}" has ${address} on another device and answers for it on ${event.interface}, whoever announces it: set ipvs.strictARP of the node proxy, or net.ipv4.conf.all.arp_ignore to 1`;
      events.record(service, { type: 'Warning', reason: 'KernelAnswersARP', message });
    } else {
      const message = `${address} is not announced: ${mac} on ${event.interface} of node "${nodeName}" has it already`;
      events.record(service, { type: 'Warning', reason: 'AddressInUse', message });
      const { namespace, name } = service.metadata;
      const body = { metadata: { annotations: { [addressInUseAnnotation]: address } } };
      client
        .patch('services', { namespace, name }, { type: 'merge', body })
        .catch((err: unknown) =>
          log.warn({ service: `${namespace}/${name}`, err }, 'could not ask for another address'),
        );
    }
  }
}

function countBy(states: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const state of states) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}
