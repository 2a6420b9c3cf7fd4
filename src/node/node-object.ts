import { readFileSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import type { Lease, Node, NodeCondition, NodeStatus, NodeSystemInfo } from '../api/generated/types.ts';
import { nodeApiPort } from '../api/node-api.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { backoffDelay, retry, sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { formatCidr } from '../net/cidr.ts';
import type { NodeConfig } from './config.ts';
import { reasonOf } from './container-run.ts';
import { timestamp } from './pod-status.ts';

/** What this agent calls itself where a kubelet and a container runtime are asked for. */
const kubeletVersion = 'v1.36.0-signalbox';
const runtimeVersion = 'signalbox://0.1.0';

const leaseNamespace = 'kube-node-lease';
const leaseSeconds = 40;
const leaseEveryMs = 10_000;
const statusEveryMs = 300_000;
const laterTries = { initial: 200, max: 5000 };
/** At first all components of a cluster start at once, the API server among them: so the first tries come quickly. */
const firstTries = { count: 50, initial: 20, max: 100 };

/** What the node has for Pods, as quantities. */
export function nodeCapacity(): Record<string, string> {
  return {
    cpu: `${cpus().length}`,
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: '110',
    'ephemeral-storage': '0',
  };
}

/** The Node object of a node that is well. */
function nodeObject(config: NodeConfig, now: number): Node {
  const podCIDRs = config.podCidrs.map(formatCidr);
  const [podCIDR] = podCIDRs;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: config.nodeName, labels: nodeLabels(config) },
    spec: podCIDR === undefined ? {} : { podCIDR, podCIDRs },
    status: nodeStatus(config, now),
  };
}

function nodeLabels({ nodeName, labels }: NodeConfig): Record<string, string> {
  return {
    'kubernetes.io/hostname': nodeName,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': goArchitecture(),
    ...labels,
  };
}

function nodeStatus(config: NodeConfig, now: number): NodeStatus {
  const capacity = nodeCapacity();
  return {
    addresses: [
      ...config.nodeIps.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: config.nodeName },
    ],
    capacity,
    allocatable: capacity,
    conditions: nodeConditions(now),
    ...(config.api === undefined ? {} : { daemonEndpoints: { kubeletEndpoint: { Port: nodeApiPort } } }),
    nodeInfo: nodeInfo(),
  };
}

function nodeConditions(now: number): NodeCondition[] {
  const time = timestamp(now);
  const condition = (type: string, status: string, [reason, message]: readonly [string, string]) => {
    return { type, status, reason, message, lastHeartbeatTime: time, lastTransitionTime: time };
  };
  return [
    condition('MemoryPressure', 'False', ['KubeletHasSufficientMemory', 'kubelet has sufficient memory available']),
    condition('DiskPressure', 'False', ['KubeletHasNoDiskPressure', 'kubelet has no disk pressure']),
    condition('PIDPressure', 'False', ['KubeletHasSufficientPID', 'kubelet has sufficient PID available']),
    condition('Ready', 'True', ['KubeletReady', 'the node agent runs and the Pod network is up']),
  ];
}

function nodeInfo(): NodeSystemInfo {
  const machine = firstLine('/etc/machine-id');
  return {
    architecture: goArchitecture(),
    bootID: firstLine('/proc/sys/kernel/random/boot_id'),
    containerRuntimeVersion: runtimeVersion,
    kernelVersion: release(),
    kubeProxyVersion: '',
    kubeletVersion,
    machineID: machine,
    operatingSystem: 'linux',
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(contentOf('/etc/os-release'))?.[1] ?? 'Linux',
    systemUUID: machine,
  };
}

function goArchitecture(): string {
  const name = arch();
  return { x64: 'amd64', ia32: '386' }[name as string] ?? name;
}

function firstLine(file: string): string {
  return contentOf(file).split('\n', 1)[0] ?? '';
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Who keeps a node's objects in the API, and how. */
export interface NodeRegistration {
  readonly config: NodeConfig;
  readonly client: ApiClient;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Makes the Node object, or brings the one that is there up to date. Tries until it is done or the signal aborts. */
export function registerNode(at: NodeRegistration): Promise<Node | undefined> {
  const isEarly = (attempt: number) => attempt < firstTries.count;
  return retry(() => createOrUpdate(at), {
    signal: at.signal,
    delay: (attempt) =>
      isEarly(attempt) ? backoffDelay(attempt, firstTries) : backoffDelay(attempt - firstTries.count, laterTries),
    onError: (err, attempt) =>
      at.log[isEarly(attempt) ? 'debug' : 'warn']({ reason: reasonOf(err) }, 'the node could not be registered yet'),
  });
}

async function createOrUpdate({ config, client }: NodeRegistration): Promise<Node> {
  const node = nodeObject(config, Date.now());
  try {
    return await client.create('nodes', node);
  } catch (error) {
    if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
  }
  const place = { name: config.nodeName };
  const existing = await client.get('nodes', place);
  // A node keeps the Pod network it has: that cannot change.
  const spec = existing.spec?.podCIDR === undefined ? node.spec : {};
  await client.patch('nodes', place, {
    type: 'strategic',
    body: { metadata: { labels: node.metadata?.labels }, spec },
  });
  return await reportStatus(client, config, existing);
}

async function reportStatus(client: ApiClient, config: NodeConfig, before: Node): Promise<Node> {
  const status = nodeStatus(config, Date.now());
  const conditions = (status.conditions ?? []).map((condition) => {
    const earlier = before.status?.conditions?.find((c) => c.type === condition.type);
    const since = earlier?.status === condition.status ? earlier.lastTransitionTime : undefined;
    return since === undefined ? condition : { ...condition, lastTransitionTime: since };
  });
  const place = { name: config.nodeName, subresource: 'status' };
  return await client.patch('nodes', place, { type: 'strategic', body: { status: { ...status, conditions } } });
}

/**
 * Keeps the node's lease, by which others see that the agent lives, and now and then its status. Until the signal
 * aborts; failures are logged, and tried again at the next turn.
 */
export async function keepNodeAlive(at: NodeRegistration, registered: Node): Promise<void> {
  let node = registered;
  let statusDue = Date.now() + statusEveryMs;
  for (let attempt = 0; !at.signal.aborted; ) {
    try {
      await renewLease(at, node);
      if (Date.now() >= statusDue) {
        node = await reportStatus(at.client, at.config, node);
        statusDue = Date.now() + statusEveryMs;
      }
      attempt = 0;
      await sleep(leaseEveryMs, at.signal);
    } catch (err) {
      if (isNotFound(err)) node = (await registerNode(at)) ?? node;
      at.log.warn({ reason: reasonOf(err) }, 'the lease of the node could not be renewed');
      await sleep(backoffDelay(attempt++, laterTries), at.signal);
    }
  }
}

async function renewLease({ config: { nodeName }, client }: NodeRegistration, node: Node): Promise<void> {
  const renewTime = `${new Date().toISOString().slice(0, -1)}000Z`;
  const spec = { holderIdentity: nodeName, leaseDurationSeconds: leaseSeconds, renewTime };
  try {
    await client.patch('leases', { namespace: leaseNamespace, name: nodeName }, { type: 'merge', body: { spec } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.create('leases', leaseObject(nodeName, node, spec));
  }
}

function leaseObject(nodeName: string, node: Node, spec: NonNullable<Lease['spec']>): Lease {
  const owner = { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.metadata?.uid ?? '' };
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: leaseNamespace, name: nodeName, ownerReferences: [owner] },
    spec,
  };
}

function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}
