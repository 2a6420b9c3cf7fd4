import { type DefaultRenderer, Listr, type ListrTask, PRESET_TIMER, type SilentRenderer } from 'listr2';
import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import { type Applied, applyDocuments } from '../cluster/apply.ts';
import { askForFollowers } from '../cluster/control.ts';
import { launchCluster } from '../cluster/launch.ts';
import { type Manifests, readManifests } from '../cluster/manifests.ts';
import { type ClusterFamilies, clusterFamilies, planCluster } from '../cluster/plan.ts';
import { waitUntilPublished } from '../cluster/published.ts';
import { untilNodesReady, waitUntilReady } from '../cluster/readiness.ts';
import { type ClusterPaths, type ClusterRecord, clusterPaths, isRunning, readRecord } from '../cluster/state.ts';
import { stopCluster } from '../cluster/stop.ts';
import { SignalboxError } from '../errors/error.ts';
import type { Ip } from '../net/ip.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import type { PublishedPort } from '../publisher/record.ts';
import { readChoice, readProxyMode } from './choices.ts';
import { publishedLines, worthTelling } from './published.ts';
import { exitStatus } from './report.ts';

/** The options of `signalbox up`, as parsed. */
export interface UpOptions {
  readonly filename: readonly string[];
  readonly nodes?: number;
  readonly proxyMode?: string;
  readonly name: string;
  readonly ipFamily?: string;
  readonly nodeLocalDns?: boolean;
  readonly apiPort?: number;
  readonly publish?: boolean;
  readonly hostRoute?: boolean;
  /** Milliseconds. */
  readonly wait: number;
  readonly foreground?: true;
}

/** What a run of `up` is about, settled from options and from what the cluster was before. */
interface Settled {
  readonly paths: ClusterPaths;
  readonly name: string;
  readonly nodeCount: number;
  readonly proxyMode: ProxyMode;
  readonly ipFamily: ClusterFamilies;
  readonly nodeLocalDns: boolean;
  readonly apiPort: number;
  readonly publish: boolean;
  readonly hostRoute: boolean;
  readonly running: boolean;
  /** When a cluster that runs was started. */
  readonly startedAt: string | undefined;
}

/** Brings a cluster up, or goes on with one that was stopped or killed; applies manifests; waits until all is Ready. */
export async function up(options: UpOptions, entry: string): Promise<void> {
  const startedAt = performance.now();
  const settled = settle(options);
  const manifests = readManifests(options.filename);
  if (settled.running) console.log(`Cluster ${settled.name} runs already.`);
  const outcome = await bringUp(settled, { manifests, waitMs: options.wait, entry });
  const { errors } = outcome.applied;
  for (const error of errors) console.error(`signalbox: ${error.message}`);
  if (errors.length > 0) process.exitCode = exitStatus.failed;
  else summarize(settled, outcome.published ?? [], performance.now() - startedAt);
  if (options.foreground) await untilInterrupted(settled);
}

function settle(options: UpOptions): Settled {
  const paths = clusterPaths(options.name);
  const record = readRecord(paths);
  const settled: Settled = {
    paths,
    name: options.name,
    nodeCount: options.nodes ?? record?.nodeCount ?? 3,
    proxyMode: readProxyMode('--proxy-mode', options.proxyMode ?? record?.proxyMode ?? 'nftables'),
    ipFamily: readChoice('--ip-family', options.ipFamily ?? record?.ipFamily ?? 'ipv4', clusterFamilies),
    nodeLocalDns: options.nodeLocalDns ?? record?.nodeLocalDns ?? false,
    apiPort: options.apiPort ?? 0,
    publish: options.publish ?? record?.publish ?? false,
    hostRoute: options.hostRoute ?? record?.hostRoute ?? false,
    running: isRunning(record),
    startedAt: isRunning(record) ? record.startedAt : undefined,
  };
  planCluster(settled.nodeCount, settled.ipFamily);
  if (record !== undefined) requireSameFamilies(record, settled);
  if (isRunning(record)) requireSame(record, settled, options);
  return settled;
}

/** The objects of a cluster have addresses: other ones need a new cluster. */
function requireSameFamilies(record: ClusterRecord, { ipFamily }: Settled): void {
  if (record.ipFamily === ipFamily) return;
  throw new SignalboxError('INVALID_CONFIG', {
    object: `--ip-family ${ipFamily}`,
    problem: `is not what cluster ${record.name} was made with (${record.ipFamily})`,
    remedy: 'leave it out, or `signalbox down` first, which removes all objects; or give another --name',
  });
}

/** The options that a running cluster keeps, as it was started with them. */
function optionsOf({ nodeCount, proxyMode, apiPort, nodeLocalDns, publish, hostRoute }: ClusterRecord): string {
  const switches = { 'node-local-dns': nodeLocalDns, publish, 'host-route': hostRoute };
  return [
    `--nodes ${nodeCount} --proxy-mode ${proxyMode} --api-port ${apiPort}`,
    ...Object.entries(switches).map(([name, isOn]) => `--${isOn ? '' : 'no-'}${name}`),
  ].join(' ');
}

/** A running cluster is what it is: other nodes or another port need a new start. */
function requireSame(record: ClusterRecord, settled: Settled, options: UpOptions): void {
  const differs =
    record.nodeCount !== settled.nodeCount ||
    record.proxyMode !== settled.proxyMode ||
    record.nodeLocalDns !== settled.nodeLocalDns ||
    record.publish !== settled.publish ||
    record.hostRoute !== settled.hostRoute ||
    (options.apiPort !== undefined && options.apiPort !== 0 && options.apiPort !== record.apiPort);
  if (!differs) return;
  throw new SignalboxError('CLUSTER_RUNS_DIFFERENTLY', {
    object: `cluster ${record.name}`,
    problem: `runs already, with ${optionsOf(record)}`,
    remedy:
      '`signalbox down --keep-data` first, then `signalbox up` with the new options; the mode alone by `signalbox proxy-mode`',
  });
}

interface Context {
  client?: ApiClient;
  applied: Applied;
  published?: readonly PublishedPort[];
}

/** Nodes are Ready within a second of each other; of one that is not by then `--wait` will tell. */
const nodesPatienceMs = 30_000;

type Task = ListrTask<Context, typeof DefaultRenderer, typeof SilentRenderer>;

interface Work {
  readonly manifests: Manifests;
  readonly waitMs: number;
  readonly entry: string;
}

async function bringUp(settled: Settled, { manifests, waitMs, entry }: Work): Promise<Context> {
  const plan = planCluster(settled.nodeCount, settled.ipFamily);
  const since = settled.startedAt ?? new Date().toISOString();
  const context: Context = { applied: { documents: [], errors: manifests.errors } };
  const api = async () => {
    context.client ??= connect(await loadKubeconfig(settled.paths.kubeconfig));
    return context.client;
  };
  const nodes = plan.nodes.map((node) => node.name);
  const nodesReady = async () => untilNodesReady(await api(), { nodes, since }, Math.min(waitMs, nodesPatienceMs));
  const askFollowers = (dnsPods: readonly Ip[]) => askForFollowers(settled.paths, dnsPods);
  const tasks: Task[] = [
    ...(settled.running ? [] : launchTasks(settled, entry)),
    ...(manifests.documents.length === 0 ? [] : [applyTask(manifests, api, nodesReady)]),
    {
      title: 'Nodes, cluster DNS, Pods and Services are Ready',
      task: async (_, task) =>
        waitUntilReady(
          await api(),
          { nodes, documents: context.applied.documents, since, askFollowers },
          {
            timeoutMs: waitMs,
            onProgress: (missing) => {
              task.output = `waiting for ${missing.map(({ what }) => what).join(', ')}`;
            },
          },
        ),
    },
    ...(settled.publish ? [publishTask(settled.paths, api, waitMs)] : []),
  ];
  try {
    await new Listr<Context, 'default', 'silent'>(tasks, {
      ctx: context,
      // Where nobody watches the summary says it all, and a failure is one line.
      fallbackRenderer: 'silent',
      rendererOptions: { timer: PRESET_TIMER, showErrorMessage: false, collapseErrors: false },
    }).run();
    return context;
  } finally {
    context.client?.close();
  }
}

/** One start, shown as the two stages its supervisor tells of. */
function launchTasks(settled: Settled, entry: string): Task[] {
  const network = deferred();
  const controlPlane = launchCluster(
    settled.paths,
    { ...settled, program: entry },
    (stage) => stage === 'network' && network.resolve(),
  );
  controlPlane.catch(network.reject);
  return [
    { title: 'Namespaces and links', task: () => network.promise },
    { title: 'API server', task: () => controlPlane.then(() => undefined) },
  ];
}

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (reason: unknown) => void } {
  let resolve: () => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<void>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}

/** @param mayBegin resolves when Pods may come */
function applyTask(manifests: Manifests, api: () => Promise<ApiClient>, mayBegin: () => Promise<void>): Task {
  return {
    title: 'Manifests',
    task: async (context, task) => {
      await mayBegin();
      context.applied = await applyDocuments(await api(), manifests);
      task.title = `Manifests: ${context.applied.documents.map((d) => `${d.resource.singular}/${d.object.metadata.name}`).join(', ')}`;
    },
  };
}

function publishTask(paths: ClusterPaths, api: () => Promise<ApiClient>, waitMs: number): Task {
  return {
    title: 'Services on this machine',
    task: async (context) => {
      context.published = worthTelling(await waitUntilPublished(await api(), paths, waitMs));
    },
  };
}

function summarize(settled: Settled, published: readonly PublishedPort[], tookMs: number): void {
  const name = settled.name === 'default' ? '' : ` --name ${settled.name}`;
  console.log(`Cluster ${settled.name} is up after ${(tookMs / 1000).toFixed(1)} s: ${settled.nodeCount} ${settled.nodeCount === 1 ? 'node' : 'nodes'}, proxy mode ${settled.proxyMode}.

  export KUBECONFIG=$(signalbox kubeconfig${name})
  kubectl get pods,services,endpointslices -o wide
  signalbox status${name}
  signalbox down${name}`);
  if (published.length > 0) console.log(['', 'On this machine:', ...publishedLines(published)].join('\n'));
}

/** Stays until the terminal or a service manager ends it, then takes the cluster down. */
async function untilInterrupted(settled: Settled): Promise<void> {
  await new Promise<void>((resolve) => {
    // A pending timer keeps this process: the cluster itself is another.
    const alive = setInterval(() => {
      if (!isRunning(readRecord(settled.paths))) stop();
    }, 1000);
    const stop = () => {
      clearInterval(alive);
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  });
  await stopCluster(settled.paths, { keepData: false });
  console.log(`Cluster ${settled.name} is down. Nothing of it is left.`);
}
