import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../api/generated/types.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import type { ContainerMount } from '../kernel/container-mounts.ts';
import type { Ip } from '../net/ip.ts';
import { formatResolvConf, parseResolvConf } from '../net/resolv-conf.ts';
import type { NodeConfig } from './config.ts';
import { configurationReferences, type PodConfiguration } from './container-environment.ts';
import type { PodFacts } from './downward-api.ts';
import { podHostname, podHostsFile } from './hosts-file.ts';
import type { Ipam } from './ipam.ts';
import { admitPod } from './pod-admission.ts';
import type { PodNetwork } from './pod-network.ts';
import { type PodTokens, requestTokens } from './pod-tokens.ts';
import { podResolvConf } from './resolv-conf.ts';
import { prepareVolumes } from './volumes.ts';

/** What a node gives to each of its Pods: an address, a network, a folder. */
export interface SandboxHost {
  readonly config: NodeConfig;
  readonly client: ApiClient;
  readonly network: PodNetwork;
  readonly ipam: Ipam;
  /** What a container without limits may use. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** A Pod's place on its node. */
export interface Sandbox {
  readonly ips: readonly Ip[];
  /** Of a Pod in the node's network there is none. */
  readonly netns: string | undefined;
  readonly hostname: string;
  readonly volumeFolder: string;
  /** Those in its volumes: `keepTokensFresh` goes on from them. */
  readonly tokens: PodTokens;
  /** The Pod's /etc/resolv.conf and /etc/hosts. */
  readonly mounts: readonly ContainerMount[];
  /** An empty folder of its own for each container. */
  scratch(container: string): string;
}

function podFolder(config: NodeConfig, uid: string): string {
  return join(config.stateDir, 'pods', uid);
}

/**
 * Makes a Pod's sandbox, anew if there is one.
 * @throws SignalboxError `POD_UNSUPPORTED`, `POD_ADDRESSES_EXHAUSTED`, `POD_CONFIG_MISSING`, `MOUNT_FAILED`,
 *   `NAMESPACE_FAILED`; ApiError; KernelError
 */
export async function createSandbox(pod: Pod, host: SandboxHost): Promise<Sandbox> {
  admitPod(pod);
  const [configuration, tokens] = await Promise.all([
    loadConfiguration(pod, host.client),
    requestTokens(pod, host.client),
  ]);
  const { config, network, ipam } = host;
  const { uid = '' } = pod.metadata ?? {};
  const hostNetwork = pod.spec?.hostNetwork === true;
  const ips = hostNetwork ? config.nodeIps : ipam.assign(uid, addressEnd(pod));
  const folder = podFolder(config, uid);
  const volumeFolder = join(folder, 'volumes');
  prepareVolumes(volumeFolder, { ...podFacts(pod, ips, host), configuration, tokens: tokens.tokens });
  return {
    ips,
    netns: hostNetwork ? undefined : network.attach(uid, ips),
    hostname: hostNetwork ? config.nodeName : podHostname(pod),
    volumeFolder,
    tokens,
    mounts: writeEtc(pod, ips, config),
    scratch: (container) => {
      const path = join(folder, 'scratch', container);
      mkdirSync(path, { recursive: true });
      return path;
    },
  };
}

/** The cluster's own Pods keep out of the way: a user's first Pod on node-1 is 10.244.1.2, whatever started before. */
function addressEnd(pod: Pod): 'start' | 'end' {
  return pod.metadata?.namespace === 'kube-system' ? 'end' : 'start';
}

/** Removes all there is of a Pod's sandbox, and frees its addresses. */
export function removeSandbox(uid: string, { config, network, ipam }: SandboxHost): void {
  network.detach(uid);
  rmSync(podFolder(config, uid), { recursive: true, force: true });
  ipam.release(uid);
}

/** Removes what is left of Pods that are not among `known`, by uid. */
export function removeLeftovers(known: ReadonlySet<string>, host: SandboxHost): void {
  const folder = join(host.config.stateDir, 'pods');
  mkdirSync(folder, { recursive: true });
  for (const uid of new Set([...readdirSync(folder), ...host.ipam.assignments.keys()])) {
    if (!known.has(uid)) removeSandbox(uid, host);
  }
}

/** What a Pod's containers can be told about it. */
export function podFacts(pod: Pod, podIps: readonly Ip[], { config, allocatable }: SandboxHost): PodFacts {
  return { pod, podIps, hostIps: config.nodeIps, allocatable };
}

function writeEtc(pod: Pod, ips: readonly Ip[], config: NodeConfig): ContainerMount[] {
  const etc = join(podFolder(config, pod.metadata?.uid ?? ''), 'etc');
  const { clusterDns, clusterDomain } = config;
  const host = parseResolvConf(readOr(config.resolvConf, ''));
  const files = {
    'resolv.conf': formatResolvConf(podResolvConf(pod, { clusterDns, clusterDomain, host })),
    hosts: podHostsFile(pod, { ips, clusterDomain, hostFile: readOr('/etc/hosts', '') }),
  };
  mkdirSync(etc, { recursive: true });
  return Object.entries(files).map(([name, content]) => {
    writeFileSync(join(etc, name), content, { mode: 0o644 });
    return { source: join(etc, name), target: `/etc/${name}`, readOnly: false };
  });
}

function readOr(file: string, fallback: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return fallback;
  }
}

/**
 * The ConfigMaps and Secrets a Pod refers to, as far as they exist.
 * @throws ApiError
 */
export async function loadConfiguration(pod: Pod, client: ApiClient): Promise<PodConfiguration> {
  const { configMaps, secrets } = configurationReferences(pod);
  const namespace = pod.metadata?.namespace ?? 'default';
  return {
    configMaps: await loadAll(client, 'configMaps', { namespace, names: configMaps }),
    secrets: await loadAll(client, 'secrets', { namespace, names: secrets }),
  };
}

async function loadAll<K extends ResourceKey>(
  client: ApiClient,
  resource: K,
  { namespace, names }: { readonly namespace: string; readonly names: ReadonlySet<string> },
): Promise<Map<string, ResourceTypes[K]>> {
  const found = new Map<string, ResourceTypes[K]>();
  const load = async (name: string) => {
    try {
      found.set(name, await client.get(resource, { namespace, name }));
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 404)) throw error;
    }
  };
  await Promise.all([...names].map(load));
  return found;
}
