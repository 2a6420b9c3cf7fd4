import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubernetesObject } from '../api/object.ts';
import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import { applyDocuments } from '../cluster/apply.ts';
import { askForFollowers } from '../cluster/control.ts';
import { launchCluster } from '../cluster/launch.ts';
import { type ManifestDocument, parseManifests, readManifests } from '../cluster/manifests.ts';
import { type ClusterFamilies, clusterFamilies, maxNodes, planCluster } from '../cluster/plan.ts';
import { type Expected, waitUntilReady } from '../cluster/readiness.ts';
import { type ClusterPaths, type ClusterRecord, clusterPaths } from '../cluster/state.ts';
import { stopCluster } from '../cluster/stop.ts';
import { sleep } from '../component/backoff.ts';
import { readBoolean, readConfig, readInteger, readOneOf } from '../component/config-fields.ts';
import { SignalboxError } from '../errors/error.ts';
import type { Ip } from '../net/ip.ts';
import { type ProxyMode, proxyModes } from '../proxy/proxy-mode.ts';
import { type PublishedRecord, readPublished } from '../publisher/record.ts';
import { type CommandOptions, type CommandResult, runCommand } from './command.ts';

/** How a cluster for tests is started. */
export interface StartOptions {
  /** Default 1: the fewer, the sooner it is there. */
  readonly nodes?: number;
  /** Default `nftables`. */
  readonly proxyMode?: ProxyMode;
  /** Default `ipv4`. */
  readonly ipFamily?: ClusterFamilies;
  /** Whether node ports and load balancers are reached from this process (`cluster.url`); default false. */
  readonly publish?: boolean;
  /** How long the start may take, milliseconds; default 60,000. */
  readonly timeoutMs?: number;
}

/**
 * What is applied: an object with whatever fields its kind has (the API server says which are wrong), the text of YAML or
 * JSON documents, or the path of a file or folder of them.
 */
export type Manifest = string | KubernetesObject | (KubernetesObject & Readonly<Record<string, unknown>>);

/** How manifests are applied. */
export interface ApplyOptions {
  /** Whether to wait until Pods of the manifests are Ready and Services lead to them; default true. */
  readonly wait?: boolean;
  /** How long they may take, milliseconds; default 60,000. */
  readonly timeoutMs?: number;
}

/** What `waitFor` waits for. */
export interface WaitOptions {
  /** Default 20,000 milliseconds. */
  readonly timeoutMs?: number;
  /** Between two tries, milliseconds; default 25. */
  readonly everyMs?: number;
}

const defaultPatienceMs = 60_000;
/** Timers go no further. */
const longestWaitMs = 2 ** 31 - 1;
const program = fileURLToPath(new URL('../../bin/signalbox', import.meta.url));

/**
 * Starts a cluster of its own for a test: rootless, in namespaces of its own, beside any others. Resolves when its nodes
 * and its DNS are Ready. It ends with `stop`, and with this process, even when that is killed.
 *
 * @example
 * const cluster = await startCluster();
 * await cluster.apply('examples/hello.yaml');
 * const [pod] = (await cluster.client.list('pods', { namespace: 'default' })).items;
 * const { stdout } = await cluster.exec(`pod/${pod?.metadata.name}`, ['curl', '-s', 'http://hello-service/']);
 * await cluster.stop();
 *
 * @throws SignalboxError `INVALID_CONFIG`, `USER_NAMESPACES_FORBIDDEN`, `CLUSTER_START_FAILED`, `CLUSTER_NOT_READY`, …
 */
export async function startCluster(options: StartOptions = {}): Promise<TestCluster> {
  const { nodes: nodeCount, proxyMode, ipFamily, publish, timeoutMs } = readOptions(options);
  const since = new Date().toISOString();
  const home = mkdtempSync(join(tmpdir(), 'signalbox-'));
  const paths = clusterPaths('default', home);
  try {
    const plan = planCluster(nodeCount, ipFamily);
    const record = await launchCluster(
      paths,
      {
        ...{ name: 'default', nodeCount, proxyMode, ipFamily, nodeLocalDns: false, publish },
        ...{ hostRoute: false, apiPort: 0, program, heldFolder: home },
      },
      () => {},
    );
    const client = connect(await loadKubeconfig(paths.kubeconfig));
    const cluster = new TestCluster({ home, paths, record, client, since });
    try {
      const nodes = plan.nodes.map(({ name }) => name);
      await untilReady({ client, paths, since }, { nodes, documents: [], timeoutMs });
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  } catch (error) {
    rmSync(home, { recursive: true, force: true });
    throw error;
  }
}

/** Who writes JavaScript has no compiler that knows the names. */
function readOptions(options: StartOptions): Required<StartOptions> {
  return readConfig(options, { name: 'the options of startCluster' }, (fields) => ({
    nodes: fields.optional('nodes', readInteger(1, maxNodes)) ?? 1,
    proxyMode: fields.optional('proxyMode', readOneOf(proxyModes)) ?? 'nftables',
    ipFamily: fields.optional('ipFamily', readOneOf(clusterFamilies)) ?? 'ipv4',
    publish: fields.optional('publish', readBoolean) ?? false,
    timeoutMs: fields.optional('timeoutMs', readInteger(1, longestWaitMs)) ?? defaultPatienceMs,
  }));
}

interface Started {
  readonly home: string;
  readonly paths: ClusterPaths;
  readonly record: ClusterRecord;
  readonly client: ApiClient;
  /** ISO 8601. */
  readonly since: string;
}

/** A cluster that a test has to itself. */
export class TestCluster implements AsyncDisposable {
  /** The typed client of its API, as administrator. */
  readonly client: ApiClient;
  /** Path of a kubeconfig for kubectl and other clients. */
  readonly kubeconfig: string;
  /** Its `SIGNALBOX_HOME`, by which the `signalbox` command finds it. */
  readonly home: string;
  readonly #started: Started;
  #stopped: Promise<void> | undefined;

  constructor(started: Started) {
    this.#started = started;
    this.client = started.client;
    this.kubeconfig = started.paths.kubeconfig;
    this.home = started.home;
  }

  /**
   * Creates or changes objects, and waits until their Pods are Ready and every node and cluster DNS lead to them.
   * @throws SignalboxError `MANIFEST_UNREADABLE`, `MANIFEST_INVALID` (all that is valid is applied first), `CLUSTER_NOT_READY`
   */
  async apply(manifests: Manifest | readonly Manifest[], options: ApplyOptions = {}): Promise<void> {
    const list: readonly Manifest[] = isList(manifests) ? manifests : [manifests];
    const documents: ManifestDocument[] = [];
    for (const manifest of list.map(readManifest)) {
      const applied = await applyDocuments(this.client, manifest);
      const [error] = applied.errors;
      if (error !== undefined) throw error;
      documents.push(...applied.documents);
    }
    if (options.wait === false) return;
    await untilReady(this.#started, { nodes: [], documents, timeoutMs: options.timeoutMs ?? defaultPatienceMs });
  }

  /**
   * Runs a command in the cluster to its end; a failure of the command is no error here.
   * @param target `pod/NAME[.NAMESPACE]`, `node/NAME`, or `client`, a host outside that routes to the nodes
   * @throws SignalboxError `TARGET_NOT_FOUND`, `COMMAND_TIMED_OUT`
   */
  exec(target: string, command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const { paths, record } = this.#started;
    return runCommand({ target, command, client: this.client, paths, record }, options);
  }

  /**
   * Tries until the result is neither `undefined`, `null` nor `false`, and gives it. A try that throws counts as one
   * that has nothing yet.
   * @param what names it in the error
   * @throws SignalboxError `WAIT_TIMED_OUT` with the last error as its cause
   */
  async waitFor<T>(
    what: string,
    attempt: (client: ApiClient) => Promise<T | undefined | null | false> | T | undefined | null | false,
    { timeoutMs = 20_000, everyMs = 25 }: WaitOptions = {},
  ): Promise<T> {
    const until = performance.now() + timeoutMs;
    let cause: unknown;
    for (;;) {
      try {
        const result = await attempt(this.client);
        if (result !== undefined && result !== null && result !== false) return result;
        cause = undefined;
      } catch (error) {
        cause = error;
      }
      if (performance.now() >= until) throw timedOut(what, timeoutMs, cause);
      await sleep(everyMs);
    }
  }

  /**
   * Where a Service of type NodePort or LoadBalancer is reached from this process, as soon as it is:
   * `http://127.0.0.1:30080`. The cluster must have been started with `publish`.
   * @param service `namespace/name`, or the name of one in `default`
   * @param port name or number of the Service port; its first one if left out
   * @throws SignalboxError `INVALID_CONFIG` of a cluster without `publish`; `WAIT_TIMED_OUT`
   */
  url(service: string, port?: string | number, options: WaitOptions = {}): Promise<string> {
    const { paths, record } = this.#started;
    if (!record.publish) throw notPublishing();
    const key = service.includes('/') ? service : `default/${service}`;
    return this.waitFor(
      `an address of ${key} on this machine`,
      () => urlIn(readPublished(paths.published), key, port),
      options,
    );
  }

  /** Ends the cluster; nothing of it is left. To call it again does no harm. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.client.close();
    await stopCluster(this.#started.paths, { keepData: false });
    rmSync(this.home, { recursive: true, force: true });
  }
}

function untilReady(
  { client, paths, since }: Pick<Started, 'client' | 'paths' | 'since'>,
  { timeoutMs, ...expected }: Pick<Expected, 'nodes' | 'documents'> & { readonly timeoutMs: number },
): Promise<void> {
  const askFollowers = (dnsPods: readonly Ip[]) => askForFollowers(paths, dnsPods);
  return waitUntilReady(client, { ...expected, since, askFollowers }, { timeoutMs, onProgress: () => {} });
}

/** That by which the balancer is reached on 127.0.0.1, or else the node port. */
function urlIn({ ports }: PublishedRecord, service: string, port: string | number | undefined): string | undefined {
  const ways = ['loadBalancer', 'nodePort'];
  const found = ports.filter(
    (each) =>
      each.service === service &&
      ways.includes(each.way) &&
      (port === undefined || port === each.portName || port === each.port),
  );
  const first = port === undefined ? found[0]?.port : undefined;
  return ways
    .map((way) => found.find((each) => each.way === way && (first === undefined || each.port === first))?.url)
    .find((url) => url !== undefined);
}

function notPublishing(): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', {
    object: 'url()',
    problem: 'has no answer in a cluster whose Services stay inside',
    remedy: 'start it with startCluster({ publish: true })',
  });
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

function readManifest(manifest: Manifest) {
  if (typeof manifest !== 'string') return parseManifests(JSON.stringify(manifest), 'an object');
  return manifest.includes('\n') || manifest.startsWith('{')
    ? parseManifests(manifest, 'a manifest')
    : readManifests([manifest]);
}

function timedOut(what: string, timeoutMs: number, cause: unknown): SignalboxError {
  const last = cause === undefined ? '' : ` (at last: ${cause instanceof Error ? cause.message : String(cause)})`;
  return new SignalboxError('WAIT_TIMED_OUT', {
    object: what,
    problem: `did not come about within ${timeoutMs / 1000} s${last}`,
    remedy: 'look at the cluster with kubectl before it ends, or give it a larger timeoutMs',
    cause,
  });
}
