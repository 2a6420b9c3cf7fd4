import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import type { ErrorCode } from '../errors/registry.ts';
import { bindSocket } from '../kernel/bound-sockets.ts';
import { isKernelError } from '../kernel/ffi.ts';
import { requireNamespaces, requireUserNamespaces } from '../kernel/probe.ts';
import { identify, listChildren, type ProcessIdentity } from '../kernel/process.ts';
import type { Ip } from '../net/ip.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import { startBinder } from './binder-process.ts';
import { prepareCertificates } from './certificates.ts';
import { openHostRoute, requireHostRoute } from './host-route.ts';
import { type ClusterFamilies, planCluster } from './plan.ts';
import { type ClusterPaths, type ClusterRecord, makeFolders, writeRecord } from './state.ts';

/** What a cluster is started with. */
export interface LaunchOptions {
  readonly name: string;
  readonly nodeCount: number;
  readonly proxyMode: ProxyMode;
  readonly ipFamily: ClusterFamilies;
  /** Whether each node has a DNS server of its own. */
  readonly nodeLocalDns: boolean;
  /** Port of the API on the host's 127.0.0.1; 0 takes a free one. */
  readonly apiPort: number;
  /** Whether Services are to be reached from the host's loopback. */
  readonly publish: boolean;
  /** Whether this machine is to route to the cluster's networks; as root. */
  readonly hostRoute: boolean;
  /** This program's entry file: the supervisor and the components are subcommands of it. */
  readonly program: string;
  /** The cluster lives only as long as this process, however that ends; then this folder of it goes as well. */
  readonly heldFolder?: string;
}

/** What the supervisor inside tells the command that started it. */
export type SupervisorMessage = { readonly stage: 'network' | 'control-plane' } | FailureMessage;

/** An error in a form that can be sent. */
export interface FailureMessage {
  readonly failed: {
    readonly code: ErrorCode;
    readonly object: string;
    readonly problem: string;
    readonly remedy: string;
  };
}

/**
 * File descriptors the supervisor finds open: sockets that stay in the host's network namespace, and the channel by which
 * the publisher gets more of them, if there is one.
 */
export const inheritedFds = { api: 4, dnsRelay: 5, publisherChannel: 6 } as const;

const loopback = '127.0.0.1' as Ip;
const anyAddress = '0.0.0.0' as Ip;
/** It takes half a second; on a machine that is much slower, and busy, thirty times as long. */
const startTimeoutMs = 60_000;

/**
 * Starts a cluster's supervisor in namespaces of its own and returns once the API server is started. The process
 * lives on when this one ends, unless it is held.
 * @throws SignalboxError `USER_NAMESPACES_FORBIDDEN`, `PORT_TAKEN`, `CLUSTER_START_FAILED`, or what the supervisor says;
 *   with `hostRoute` also `HOST_ROUTE_FORBIDDEN`, `NETWORKS_OVERLAP`
 */
export async function launchCluster(
  paths: ClusterPaths,
  options: LaunchOptions,
  onStage: (stage: 'network' | 'control-plane') => void,
): Promise<ClusterRecord> {
  const plan = planCluster(options.nodeCount, options.ipFamily);
  if (options.hostRoute) requireHostRoute(plan, paths);
  const rootless = process.getuid?.() !== 0;
  if (rootless) requireUserNamespaces();
  else requireNamespaces();
  makeFolders(paths);
  const startedAt = new Date().toISOString();
  const api = await bindApiPort(options.apiPort);
  const { child, binder } = startProcesses(paths, options, { rootless, api });
  try {
    await Promise.all([
      started(child, paths, onStage),
      // On the processor that would only wait: the supervisor has the networks to lay out.
      prepareCertificates(paths, plan).then(() => tellSupervisor(child)),
    ]);
    if (options.hostRoute) openHostRoute(plan, paths, listChildren(child.pid ?? 0)[0] ?? 0);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw startFailure(paths, 'ended right after its start');
  const { name, nodeCount, proxyMode, ipFamily, nodeLocalDns, publish, hostRoute } = options;
  const record: ClusterRecord = {
    ...{ name, nodeCount, proxyMode, ipFamily, nodeLocalDns, publish, hostRoute },
    ...(binder === undefined ? {} : { binder }),
    ...{ apiPort: api.port, process: identity, startedAt },
  };
  writeRecord(paths, record);
  child.disconnect();
  child.unref();
  return record;
}

interface StartedProcesses {
  /** Holds the cluster's namespaces; its child is the supervisor. */
  readonly child: ChildProcess;
  /** Who keeps the binder running, if there is to be one. */
  readonly binder: ProcessIdentity | undefined;
}

function startProcesses(
  paths: ClusterPaths,
  options: LaunchOptions,
  { rootless, api }: { readonly rootless: boolean; readonly api: ApiPort },
): StartedProcesses {
  // A socket belongs to the namespace it was made in, not to the process that uses it: these two are the cluster's
  // only ways to the host, one for kubectl to come in, one for DNS questions about other names to go out. What is to be
  // published comes later, by the binder.
  const relay = bindSocket('udp', anyAddress, 0);
  const log = openSync(paths.log, 'a', 0o600);
  const binder = options.publish ? startBinder(options.program, log) : undefined;
  const passed = [api.fd, relay, ...(binder === undefined ? [] : [binder.channel])];
  const child = spawn(
    'unshare',
    [
      ...(rootless ? ['--user', '--map-root-user'] : []),
      ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private', '--'],
      ...[process.execPath, options.program, 'supervisor', ...supervisorArguments(paths, options, api.port)],
    ],
    {
      detached: true,
      // A pipe of which nobody else has this end: the kernel closes it with this process.
      stdio: [options.heldFolder === undefined ? 'ignore' : 'pipe', log, log, 'ipc', ...passed],
    },
  );
  for (const fd of [log, ...passed]) closeSync(fd);
  return { child, binder: binder?.process };
}

function supervisorArguments(paths: ClusterPaths, options: LaunchOptions, apiPort: number): string[] {
  const { nodeCount, proxyMode, ipFamily, nodeLocalDns, publish, heldFolder } = options;
  return [
    ...['--dir', paths.dir, '--nodes', String(nodeCount), '--proxy-mode', proxyMode, '--ip-family', ipFamily],
    ...['--api-port', String(apiPort)],
    ...(nodeLocalDns ? ['--node-local-dns'] : []),
    ...(publish ? ['--publish'] : []),
    ...(heldFolder === undefined ? [] : ['--held-folder', heldFolder]),
  ];
}

function tellSupervisor(child: ChildProcess): void {
  // It may have ended; `started` says so.
  if (child.connected) child.send({ certificates: 'made' }, () => {});
}

function started(
  child: ChildProcess,
  paths: ClusterPaths,
  onStage: (stage: 'network' | 'control-plane') => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (problem: string) => reject(startFailure(paths, problem));
    const timer = setTimeout(() => failed(`had no control plane after ${startTimeoutMs / 1000} s`), startTimeoutMs);
    child.once('error', (error) => failed(`could not be started (${error.message})`));
    child.once('exit', (code, signal) => failed(`ended at start (${signal ?? `exit status ${code}`})`));
    child.on('message', (message: SupervisorMessage) => {
      if ('failed' in message) reject(new SignalboxError(message.failed.code, message.failed));
      else onStage(message.stage);
      if ('failed' in message || message.stage === 'control-plane') {
        clearTimeout(timer);
        child.removeAllListeners();
        resolve();
      }
    });
  });
}

function startFailure(paths: ClusterPaths, problem: string): SignalboxError {
  return new SignalboxError('CLUSTER_START_FAILED', {
    object: paths.dir,
    problem,
    remedy: `see the end of ${paths.log}`,
  });
}

/** A socket that listens, and on which port. */
interface ApiPort {
  readonly fd: number;
  readonly port: number;
}

/** The API's port on the host, bound here because inside there is no way to it; the API server listens on it. */
async function bindApiPort(port: number, tries = 5): Promise<ApiPort> {
  const wanted = port === 0 ? await freePort() : port;
  try {
    return { fd: bindSocket('tcp', loopback, wanted), port: wanted };
  } catch (error) {
    // Somebody was quicker with the one that was free.
    if (port === 0 && tries > 1 && isKernelError(error, 'EADDRINUSE')) return bindApiPort(port, tries - 1);
    if (!isKernelError(error, 'EADDRINUSE', 'EACCES')) throw error;
    throw new SignalboxError('PORT_TAKEN', {
      object: `127.0.0.1:${wanted}`,
      problem: error.code === 'EACCES' ? 'may not be used by this user' : 'is in use by another program',
      remedy: 'give another port with `--api-port`, or 0 to take a free one',
      cause: error,
    });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: loopback, port: 0 }, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Puts an error into a message for the command that waits. */
export function failureMessage(error: unknown): FailureMessage {
  if (isSignalboxError(error)) {
    return { failed: { code: error.code, object: error.object, problem: error.problem, remedy: error.remedy } };
  }
  const problem = error instanceof Error ? error.message : String(error);
  return {
    failed: {
      code: 'CLUSTER_START_FAILED',
      object: 'the cluster',
      problem: `could not be started (${problem})`,
      remedy: 'see its log',
    },
  };
}
