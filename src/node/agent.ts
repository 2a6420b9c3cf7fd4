import { join } from 'node:path';
import type { Pod } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { createEventRecorder } from '../client/events.ts';
import { createInformer } from '../client/informer.ts';
import type { ApiClient, Change, Informer } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { backoffDelay, retry } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { makeFolder } from '../component/make-folder.ts';
import { openRoutes } from '../kernel/links.ts';
import { announcedAddresses } from '../speaker/announced.ts';
import { type NodeApi, startNodeApi } from './api/server.ts';
import type { FindPod } from './api/target.ts';
import type { NodeConfig } from './config.ts';
import { ownIdRanges } from './container-user.ts';
import { openIpam } from './ipam.ts';
import { keepNodeAlive, nodeCapacity, registerNode } from './node-object.ts';
import { createNodeRouter } from './node-routes.ts';
import { openPodNetwork } from './pod-network.ts';
import { removeLeftovers } from './pod-sandbox.ts';
import { type PodWorker, type PodWorkerHost, startPodWorker } from './pod-worker.ts';
import { serviceEnvironment } from './service-environment.ts';

/** What a node agent runs on. */
export interface AgentDependencies {
  readonly client: ApiClient;
  readonly log: Logger;
}

/** Time for containers to end when the agent ends. */
const shutDownGraceMs = 2000;

/**
 * The agent of one node: registers it, gives its Pods network and processes, and reports what became of them. It runs
 * on the main thread, in the network namespace of its node, with rights over network and mounts there (root, or root
 * of a user namespace). Containers end with the agent; one that starts again starts them again, with the addresses they had.
 *
 * Resolves when the signal has aborted and all containers have ended.
 * @throws SignalboxError when the node's network cannot be set up
 */
export async function runAgent(
  config: NodeConfig,
  { client, log }: AgentDependencies,
  signal: AbortSignal,
): Promise<void> {
  for (const folder of [config.stateDir, config.runDir]) makeFolder(folder);
  const network = openPodNetwork(config.bridge, config.podCidrs, join(config.runDir, 'netns'));
  const routes = openRoutes();
  const registration = { config, client, log, signal };
  const registered = registerNode(registration);
  const pods = createInformer(client, 'pods', { fieldSelector: `spec.nodeName=${config.nodeName}`, signal, log });
  const services = createInformer(client, 'services', { signal, log });
  const nodes = createInformer(client, 'nodes', { signal, log });
  const router = createNodeRouter(routes, {
    nodeName: config.nodeName,
    file: join(config.stateDir, 'routes.json'),
    log,
  });
  const events = createEventRecorder(client, { component: 'kubelet', host: config.nodeName, log });
  const host: PodWorkerHost = {
    config,
    client,
    log,
    network,
    events,
    ipam: openIpam(config.podCidrs, join(config.stateDir, 'addresses.json')),
    allocatable: nodeCapacity(),
    ids: { uids: ownIdRanges('uid'), gids: ownIdRanges('gid') },
    serviceVariables: (pod) => serviceVariables(pod, services),
  };
  const workers = new PodWorkers(host);
  const find: FindPod = (namespace, name) => {
    const uid = pods.store.get(`${namespace}/${name}`)?.metadata.uid;
    return uid === undefined ? undefined : workers.get(uid)?.served();
  };
  let api: NodeApi | undefined;
  const speaking = speakWhenAsked(config, { services, log, signal });
  const dns = serveDns(config, { log, signal });
  try {
    if (config.api !== undefined) api = await startNodeApi(config.api, { find, stateDir: config.stateDir, log });
    nodes.onChange(() => router.update(nodes.store.values()));
    const node = await registered;
    await Promise.all([pods.synced, services.synced, dns.served]);
    removeLeftovers(new Set([...pods.store.values()].map((pod) => pod.metadata.uid)), host);
    pods.onChange((change) => workers.apply(change));
    if (node !== undefined) await keepNodeAlive(registration, node);
  } catch (error) {
    // An informer that is stopped before its first list says so by an error.
    if (!signal.aborted) throw error;
  } finally {
    for (const informer of [pods, services, nodes]) informer.stop();
    api?.close();
    await Promise.all([speaking(), dns.ended]);
    await workers.shutDown(shutDownGraceMs);
    network.close();
    routes.close();
  }
}

/**
 * Starts the speaker with the first address that is to be announced: most clusters have none. Gives what waits for its
 * end, which comes with the signal.
 */
function speakWhenAsked(
  { speaker, nodeName }: NodeConfig,
  {
    services,
    log,
    signal,
  }: { readonly services: Informer<'services'>; readonly log: Logger; readonly signal: AbortSignal },
): () => Promise<void> {
  let running: Promise<void> | undefined;
  if (speaker !== undefined) {
    const stopLooking = services.onChange(({ current }) => {
      if (running !== undefined || current === undefined || announcedAddresses(current).length === 0) return;
      running = import('../speaker/run.ts')
        .then(({ runSpeaker }) => runSpeaker({ ...speaker, nodeName }, signal))
        .catch((err: unknown) => log.error({ err }, 'no address is announced from this node'));
      setImmediate(() => stopLooking());
    });
  }
  return async () => running;
}

/** How long Pods wait for the node's own DNS server at most: they have that of the Service besides. */
const dnsPatienceMs = 5_000;
const dnsBackoff = { initial: 500, max: 10_000 };

/** Serves DNS on this node if it is told to, again and again as long as something is in the way. */
function serveDns(
  { nodeLocalDns }: NodeConfig,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): { readonly served: Promise<void>; readonly ended: Promise<void> } {
  if (nodeLocalDns === undefined) return { served: Promise.resolve(), ended: Promise.resolve() };
  const patience = AbortSignal.any([signal, AbortSignal.timeout(dnsPatienceMs)]);
  let onServing = () => {};
  const served = Promise.race([
    aborted(patience),
    new Promise<void>((resolve) => {
      onServing = resolve;
    }),
  ]);
  const serve = async () =>
    (await import('../node-local/run.ts')).serveNodeLocalDns(nodeLocalDns, { log, onServing }, signal);
  const ended = retry(serve, {
    signal,
    delay: (attempt) => backoffDelay(attempt, dnsBackoff),
    onError: (err) => log.error({ err }, 'names are not served on this node; Pods ask the Service'),
  });
  return { served, ended };
}

function serviceVariables(pod: Pod, services: Informer<'services'>): Record<string, string> {
  const namespace = pod.metadata?.namespace ?? 'default';
  return serviceEnvironment(services.store.values(), {
    namespace,
    serviceLinks: pod.spec?.enableServiceLinks !== false,
  });
}

/** One worker for each Pod of the node, by uid: a Pod made anew under its name is another one. */
class PodWorkers {
  readonly #host: PodWorkerHost;
  readonly #workers = new Map<string, PodWorker>();

  constructor(host: PodWorkerHost) {
    this.#host = host;
  }

  get(uid: string): PodWorker | undefined {
    return this.#workers.get(uid);
  }

  apply({ previous, current }: Change<Stored<Pod>>): void {
    if (previous !== undefined && previous.metadata.uid !== current?.metadata.uid) {
      this.#workers.get(previous.metadata.uid)?.removed();
    }
    if (current === undefined) return;
    const { uid } = current.metadata;
    const existing = this.#workers.get(uid);
    if (existing !== undefined) existing.update(current);
    else this.#start(current);
  }

  #start(pod: Stored<Pod>): void {
    const worker = startPodWorker(pod, this.#host);
    this.#workers.set(worker.uid, worker);
    void worker.done.then(() => this.#workers.delete(worker.uid));
  }

  async shutDown(graceMs: number): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.shutDown(graceMs)));
  }
}
