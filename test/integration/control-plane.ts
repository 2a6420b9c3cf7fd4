import { pino } from 'pino';
import type { Node, Pod, PodCondition } from '../../src/api/generated/types.ts';
import type { Stored } from '../../src/api/object.ts';
import { startTestServer, type TestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import { createInformer } from '../../src/client/informer.ts';
import { type ApiClient, ApiError } from '../../src/client/types.ts';
import { sleep } from '../../src/component/backoff.ts';
import { parseControllersConfig } from '../../src/controllers/config.ts';
import { type RunningControllers, startControllers } from '../../src/controllers/run.ts';

import { isSignalboxError } from '../../src/errors/error.ts';

/** An API server with the controllers at work on it, and a client of both. */
export interface ControlPlane {
  readonly server: TestServer;
  readonly client: ApiClient;
  readonly controllers: RunningControllers;
  close(): Promise<void>;
}

/**
 * Starts a control plane in this process; `config` as in the controllers' configuration file, `changes` of the API
 * server's.
 */
export async function startControlPlane(
  config: object = {},
  changes: Parameters<typeof startTestServer>[0] = {},
): Promise<ControlPlane> {
  const server = await startTestServer(changes);
  const client = connect(server.admin);
  const controllers = startControllers(parseControllersConfig(config), {
    client: server.admin,
    rootCertificate: server.admin.certificateAuthority,
    log: pino({ level: process.env.SIGNALBOX_LOG ?? 'silent' }),
  });
  await controllers.synced;
  const close = async () => {
    await controllers.stop();
    client.close();
    await server.close();
  };
  return { server, client, controllers, close };
}

/** What stands in for the node agents: it says what they would say of their node and their Pods, and runs nothing. */
export interface SimulatedAgents {
  /** Whether Pods become ready by themselves once they have a node. */
  autoReady: boolean;
  /** Sets a Pod's readiness. */
  setReady(pod: Stored<Pod>, ready: boolean): Promise<Stored<Pod>>;
  stop(): void;
}

/** Registers nodes that are ready, and acts as their agents. */
export async function simulateAgents(client: ApiClient, nodes: readonly string[]): Promise<SimulatedAgents> {
  await Promise.all(nodes.map((name, i) => registerNode(client, name, i)));
  const pods = createInformer(client, 'pods');
  const started = new Set<string>();
  let lastOctet = 1;
  const agents: SimulatedAgents = {
    autoReady: true,
    setReady: (pod, ready) => client.update('pods', withReadiness(pod, ready), { subresource: 'status' }),
    stop: () => pods.stop(),
  };
  pods.onChange(({ current }) => {
    if (current === undefined || !nodes.includes(current.spec?.nodeName ?? '')) return;
    const { metadata, spec } = current;
    if (metadata.deletionTimestamp !== undefined) {
      const place = { namespace: metadata.namespace, name: metadata.name };
      void persistently(() => client.delete('pods', place, { gracePeriodSeconds: 0, uid: metadata.uid }));
    } else if (!started.has(metadata.uid)) {
      started.add(metadata.uid);
      const index = nodes.indexOf(spec?.nodeName ?? '') + 1;
      const podIP = `10.244.${index}.${++lastOctet}`;
      const addresses = { podIP, podIPs: [{ ip: podIP }] };
      const say = (pod: Stored<Pod>) => {
        const running = { ...pod, status: { ...pod.status, phase: 'Running', ...addresses } };
        return client.update('pods', withReadiness(running, agents.autoReady), { subresource: 'status' });
      };
      void persistently(() => say(current).catch((error) => sayAgain(client, current, { error, say })));
    }
  });
  await pods.synced;
  return agents;
}

/** Another may write the Pod meanwhile: then its agent says the same of it as it has become, unless it is gone. */
async function sayAgain(
  client: ApiClient,
  { metadata: { namespace, name, uid } }: Stored<Pod>,
  { error, say }: { readonly error: unknown; readonly say: (pod: Stored<Pod>) => Promise<unknown> },
): Promise<void> {
  if (!(error instanceof ApiError) || error.code !== 409) throw error;
  const pod = await client.get('pods', { namespace, name });
  if (pod.metadata.uid !== uid) return;
  await say(pod).catch((error) => sayAgain(client, pod, { error, say }));
}

async function registerNode(client: ApiClient, name: string, index: number): Promise<void> {
  const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone-${index % 2}` };
  const node = await client.create('nodes', { metadata: { name, labels } });
  const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: now, lastTransitionTime: now };
  await updateStatus(client, node, {
    addresses: [{ type: 'InternalIP', address: `192.168.101.${index + 3}` }],
    conditions: [ready],
  });
}

/** Another may write the node meanwhile: then it is tried again on what is stored. */
async function updateStatus(client: ApiClient, node: Stored<Node>, status: NonNullable<Node['status']>): Promise<void> {
  try {
    await client.update('nodes', { ...node, status }, { subresource: 'status' });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 409) throw error;
    await updateStatus(client, await client.get('nodes', { name: node.metadata.name }), status);
  }
}

function withReadiness(pod: Stored<Pod>, ready: boolean): Stored<Pod> {
  const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
  const condition: PodCondition = { type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: now };
  const others = (pod.status?.conditions ?? []).filter(({ type }) => type !== 'Ready');
  return { ...pod, status: { ...pod.status, conditions: [...others, condition] } };
}

/** Tries again while the server is away, as a real agent does. What is gone or was changed by another is let be. */
export async function persistently(write: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await write();
      return;
    } catch (error) {
      if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return;
      const away = isSignalboxError(error, 'API_UNREACHABLE') || (error instanceof ApiError && error.code >= 500);
      // A server that stops gives requests under way five seconds.
      if (!away || attempt === 500) throw error;
      await sleep(20);
    }
  }
}
