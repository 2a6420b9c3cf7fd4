import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { connect } from '../client/client.ts';
import { createEventRecorder } from '../client/events.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ClientConfig } from '../client/types.ts';
import { aborted } from '../component/abort.ts';
import { createLogger, type Logger } from '../component/log.ts';
import type { PageAddress, ServingOptions } from '../component/pages.ts';
import { SignalboxError } from '../errors/error.ts';
import { createCaches } from './caches.ts';
import type { ControllerName, ControllersConfig } from './config.ts';
import { type Controller, type ControllerContext, startController } from './controller.ts';
import { daemonSetController } from './daemonset/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { endpointsController } from './endpoints/controller.ts';
import { endpointSliceController } from './endpointslice/controller.ts';
import { garbageController } from './garbage/controller.ts';
import { ControllersHealth } from './health.ts';
import { loadBalancerController } from './loadbalancer/controller.ts';
import { mirroringController } from './mirroring/controller.ts';
import { namespaceController } from './namespace/controller.ts';
import { defaultObjectsController } from './namespace/default-objects-controller.ts';
import { nodeLifecycleController } from './nodes/lifecycle-controller.ts';
import { podCidrController } from './nodes/pod-cidr-controller.ts';
import { podGarbageController } from './nodes/pod-gc-controller.ts';
import { replicaSetController } from './replicaset/controller.ts';
import { schedulerController } from './scheduler/controller.ts';
import { statefulSetController } from './statefulset/controller.ts';

export { parseControllersConfig } from './config.ts';

const component = 'signalbox-controllers';
const leaderLease = { namespace: 'kube-system', name: component };

/** Controllers at work. */
export interface RunningControllers {
  /** Resolves when the caches are filled and the first work has begun; rejects when stopped before. */
  readonly synced: Promise<void>;
  /** Resolves when none of the controllers has anything to do at the moment. */
  drain(): Promise<void>;
  /** Ends the watches, lets what is under way end, and closes all connections. */
  stop(): Promise<void>;
}

/** Who the controllers are to the API server, and where they write their log. */
export interface ControllersSetup {
  readonly client: ClientConfig;
  /** PEM; for the Pods of the cluster. None is given to them when it is undefined. */
  readonly rootCertificate: string | undefined;
  readonly log: Logger;
}

/**
 * Runs the controllers until the signal aborts; resolves when all is stopped.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`, `INVALID_CONFIG`, `LEADERSHIP_LOST`
 */
export async function runControllers(config: ControllersConfig, signal: AbortSignal): Promise<void> {
  const client = await loadKubeconfig(config.kubeconfig);
  const rootCertificate =
    config.rootCaFile === undefined ? client.certificateAuthority : await readCertificate(config.rootCaFile);
  const log = createLogger('controllers');
  const health = new ControllersHealth();
  const work = async (until: AbortSignal) => {
    const running = startControllers(config, { client, rootCertificate, log });
    health.leads(running.synced);
    await aborted(until);
    await running.stop();
  };
  const over = new AbortController();
  const answering = answerProbes(config.healthzBindAddress, health, { signal: over.signal, log });
  try {
    await (config.leaderElection ? leadWith(work, { client, log, health, signal }) : work(signal));
  } finally {
    over.abort();
    await answering;
  }
}

/** What a candidate needs to stand for election. */
interface Candidacy {
  readonly client: ClientConfig;
  readonly log: Logger;
  readonly health: ControllersHealth;
  readonly signal: AbortSignal;
}

async function leadWith(
  work: (until: AbortSignal) => Promise<void>,
  { client, log, health, signal }: Candidacy,
): Promise<void> {
  const { runAsLeader } = await import('../client/leader-election.ts');
  const api = connect({ ...client, component }, { log });
  const events = createEventRecorder(api, { component, log });
  const identity = `${hostname()}_${randomUUID()}`;
  try {
    const onSeen = () => health.reached();
    await runAsLeader({ client: api, lease: leaderLease, identity, events, log, onSeen }, work, signal);
    await events.flush();
  } finally {
    api.close();
  }
}

/** Serves probes, if any are to ask, until the signal aborts. */
async function answerProbes(
  address: PageAddress | undefined,
  health: ControllersHealth,
  serving: ServingOptions,
): Promise<void> {
  if (address === undefined) return;
  const { keepServingPages } = await import('../component/pages.ts');
  await keepServingPages(address, health.pages(), serving);
}

/** Starts the controllers. */
export function startControllers(config: ControllersConfig, setup: ControllersSetup): RunningControllers {
  const { log } = setup;
  const stopping = new AbortController();
  const client = connect({ ...setup.client, component }, { log });
  const caches = createCaches(client, { signal: stopping.signal, log });
  const context: ControllerContext = { client, caches, log, now: Date.now };
  const controllers = config.controllers.map((name) => makeController(name, context, { config, setup }));
  let settle = (_synced: Promise<void>) => {};
  const ready = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const running = controllers.map((controller) => startController(controller, context, ready));
  // Registering the controllers has named all the informers there are.
  const synced = Promise.all([...caches.informers.values()].map((informer) => informer.synced)).then(() => {});
  synced.catch(() => {});
  settle(synced);
  // Where nothing waits for it, stopping before is no failure.
  ready.catch(() => {});
  return {
    synced,
    drain: async () => {
      await synced;
      await Promise.all(running.map(({ queue }) => queue.drain()));
    },
    stop: async () => {
      stopping.abort();
      await Promise.all(running.map((each) => each.stop()));
      client.close();
    },
  };
}

function makeController(
  name: ControllerName,
  context: ControllerContext,
  { config, setup }: { readonly config: ControllersConfig; readonly setup: ControllersSetup },
): Controller {
  const makers: { readonly [N in ControllerName]: () => Controller } = {
    namespace: () => namespaceController(context),
    serviceaccount: () => defaultObjectsController(context, setup.rootCertificate),
    deployment: () => deploymentController(context),
    replicaset: () => replicaSetController(context),
    statefulset: () => statefulSetController(context),
    daemonset: () => daemonSetController(context),
    scheduler: () => schedulerController(context),
    nodeipam: () => podCidrController(context, config.podNetworks),
    nodelifecycle: () => nodeLifecycleController(context, config.nodeGraceMs),
    podgc: () => podGarbageController(context, config.nodeGraceMs),
    endpointslice: () => endpointSliceController(context),
    endpoints: () => endpointsController(context),
    endpointslicemirroring: () => mirroringController(context),
    garbagecollector: () => garbageController(context),
    loadbalancer: () => loadBalancerController(context, config.loadBalancer),
  };
  return makers[name]();
}

async function readCertificate(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: Error) => {
    throw new SignalboxError('INVALID_CONFIG', {
      object: `rootCaFile ${path}`,
      problem: `cannot be read (${cause.message})`,
      remedy: 'give the path of the PEM file with the cluster’s certificate authority',
      cause,
    });
  });
}
