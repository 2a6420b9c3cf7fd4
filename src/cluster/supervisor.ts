import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { issueClientCertificate } from '../apiserver/pki.ts';
import { connect } from '../client/client.ts';
import { loadKubeconfig, writeKubeconfig } from '../client/kubeconfig.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import { bindSocket } from '../kernel/bound-sockets.ts';
import { mountTmpfs, unmount } from '../kernel/mounts.ts';
import { requireKernelFeature } from '../kernel/probe.ts';
import { OrphanReaper } from '../kernel/process.ts';
import { urlHost } from '../net/ip.ts';
import { requireMode } from '../proxy/mode-needs.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import { closePublished } from '../publisher/record.ts';
import { prepareCertificates } from './certificates.ts';
import { createClusterDns } from './cluster-dns.ts';
import {
  accessFile,
  administrator,
  apiPortInside,
  type Identity,
  nodeDnsAccess,
  type PlannedComponent,
  planComponents,
  speakerAccess,
} from './component-specs.ts';
import { type Component, type ComponentSpec, keepRunning } from './components.ts';
import { serveControl } from './control.ts';
import { startDnsRelay } from './dns-relay.ts';
import { failureMessage, inheritedFds, type SupervisorMessage } from './launch.ts';
import { buildNetwork } from './network.ts';
import { type ClusterFamilies, type ClusterPlan, planCluster } from './plan.ts';
import { ProxyModeSwitch } from './proxy-mode-switch.ts';
import { type ClusterPaths, pathsIn } from './state.ts';

/** The options of `signalbox supervisor`, as parsed. */
export interface SupervisorOptions {
  readonly dir: string;
  readonly nodes: number;
  readonly proxyMode: ProxyMode;
  readonly ipFamily: ClusterFamilies;
  readonly nodeLocalDns?: true;
  readonly apiPort: number;
  /** There is a binder on the host at the other end of the channel inherited. */
  readonly publish?: true;
  /** The cluster ends when standard input does, and takes this folder with it. */
  readonly heldFolder?: string;
}

const runSizeBytes = 256 << 20;
const reapEveryMs = 1_000;
/** The API server closes its store; all else may end as it stands. */
const stopGraceMs = 2_000;

/**
 * The first process of a cluster's PID namespace: lays out its networks, runs its components, takes in orphans. When
 * it ends the kernel ends everything in the cluster with it.
 */
export async function runSupervisor(options: SupervisorOptions, program: string): Promise<void> {
  const log = createLogger('supervisor');
  try {
    const components = await start(options, program, log);
    const orphans = new OrphanReaper();
    const reaper = setInterval(() => orphans.reap(), reapEveryMs);
    await Promise.race([terminated(), ...(options.heldFolder === undefined ? [] : [inputEnded()])]);
    clearInterval(reaper);
    await Promise.all(components.map((component) => component.stop(stopGraceMs)));
    if (options.heldFolder !== undefined) removeHeld(options.heldFolder, options.dir);
    process.exit(0);
  } catch (error) {
    log.fatal({ err: error }, 'the cluster could not be started');
    tell(failureMessage(error), () => process.exit(1));
  }
}

async function start(options: SupervisorOptions, program: string, log: Logger): Promise<Component[]> {
  const starterIsDone = certificatesMade();
  const plan = planCluster(options.nodes, options.ipFamily);
  const paths = pathsIn(options.dir);
  for (const feature of ['veth', 'bridge'] as const) requireKernelFeature(feature);
  if (options.ipFamily !== 'ipv4') requireKernelFeature('ipv6');
  requireMode(options.proxyMode);
  mountTmpfs(paths.run, { sizeBytes: runSizeBytes, mode: 0o700 });
  const network = buildNetwork(plan, paths.run, { publish: options.publish === true });
  tell({ stage: 'network' });

  await starterIsDone;
  await prepareCertificates(paths, plan);
  const access: Access = { paths, plan, apiPort: options.apiPort };
  await Promise.all([
    writeAccess(paths.kubeconfig, administrator, { ...access, from: 'host' }),
    ...[speakerAccess, nodeDnsAccess].map((within) => writeAccess(accessFile(paths, within), within.identity, access)),
    startDnsRelay({
      listen: { address: plan.nodeGateways[0], port: 53 },
      hostSocket: inheritedFds.dnsRelay,
      resolvConf: '/etc/resolv.conf',
    }),
  ]);
  const apiFds = [firstPassedFd, ...plan.apiServers.map((_, i) => firstPassedFd + 1 + i)];
  const nodeLocalDns = options.nodeLocalDns === true;
  // What an earlier run has published is open no more, whatever its record says.
  if (options.publish) closePublished(paths.published);
  const publisherChannel = options.publish ? { publisherChannel: firstPassedFd } : {};
  const planFor = (proxyMode: ProxyMode) =>
    planComponents({ plan, paths, network, program, proxyMode, nodeLocalDns, apiFds, ...publisherChannel });
  const components: Component[] = [];
  // Listening before anybody asks: who comes early waits in the kernel instead of coming back.
  const apiSockets = [inheritedFds.api, ...plan.apiServers.map((ip) => bindSocket('tcp', ip, apiPortInside))];
  const surroundings = { access, program, apiSockets };
  for (const planned of planFor(options.proxyMode)) {
    components.push(keepRunning(await prepareComponent(planned, surroundings), log));
  }
  const proxies = new ProxyModeSwitch({
    paths,
    mode: options.proxyMode,
    components,
    requireMode,
    prepare: async (planned) => prepareComponent(planned, surroundings),
    planFor: (mode) => planFor(mode).filter(({ command }) => command === 'proxy'),
  });
  serveControl(paths, {
    changeProxyMode: (mode, tellNode) => proxies.change(mode, tellNode),
    announcements: async () => {
      const { readAnnouncements } = await import('./announcements.ts');
      return readAnnouncements(plan.nodes.map(({ name }) => network.node(name)));
    },
    followers: async (dnsPods) => {
      const { readFollowers } = await import('./followers.ts');
      return readFollowers({
        nodes: plan.nodes.map(({ name }) => ({ name, netns: network.node(name) })),
        nodeDns: nodeLocalDns ? plan.nodeLocalDnsIps[0] : undefined,
        dnsPods,
      });
    },
  });
  await Promise.race([
    bringUpApi(access, program),
    ...components.slice(0, 1).map((apiServer) => endedAtStart(apiServer, paths)),
  ]);
  return components;
}

/** The command that started us makes the certificates meanwhile, on another processor; it may have gone. */
function certificatesMade(): Promise<void> {
  return new Promise((resolve) => {
    if (!process.connected) return resolve();
    process.once('message', () => resolve());
    process.once('disconnect', () => resolve());
  });
}

/** A child's file descriptors go on from standard input, output and error. */
const firstPassedFd = 3;

interface Access {
  readonly paths: ClusterPaths;
  readonly plan: ClusterPlan;
  readonly apiPort: number;
}

interface Surroundings {
  readonly access: Access;
  readonly program: string;
  readonly apiSockets: readonly number[];
}

/** Writes what a component is told, and gives how to start it. */
async function prepareComponent(
  planned: PlannedComponent,
  { access, program, apiSockets }: Surroundings,
): Promise<ComponentSpec> {
  const base = join(access.paths.components, planned.name);
  replaceFile(`${base}.json`, JSON.stringify(planned.config, null, 2));
  const kubeconfig = planned.identity === undefined ? [] : ['--kubeconfig', `${base}.kubeconfig`];
  if (planned.identity !== undefined) await writeAccess(`${base}.kubeconfig`, planned.identity, access);
  return {
    name: planned.name,
    command: [
      process.execPath,
      ...(planned.nodeOptions ?? []),
      program,
      planned.command,
      ...kubeconfig,
      '--config',
      `${base}.json`,
    ],
    logFile: `${base}.log`,
    ...(planned.netns === undefined ? {} : { netns: planned.netns }),
    ...(planned.command === 'apiserver' ? { fds: apiSockets } : {}),
    ...(planned.command === 'publisher' ? { fds: [inheritedFds.publisherChannel] } : {}),
  };
}

/** Writes a kubeconfig with a client certificate of its own. From the host the API is at the host's own port. */
async function writeAccess(
  path: string,
  identity: Identity,
  access: Access & { readonly from?: 'host' },
): Promise<void> {
  const { cert, key } = await issueClientCertificate(access.paths.pki, identity);
  writeKubeconfig(path, {
    name: 'signalbox',
    server:
      access.from === 'host'
        ? `https://127.0.0.1:${access.apiPort}`
        : `https://${urlHost(access.plan.apiServers[0])}:${apiPortInside}`,
    certificateAuthority: readFileSync(join(access.paths.pki, 'ca.crt'), 'utf8'),
    clientCertificate: cert,
    clientKey: key,
  });
}

/** Waits for the API server, says so, and creates cluster DNS. */
async function bringUpApi(access: Access, program: string): Promise<void> {
  const admin = join(access.paths.components, 'supervisor.kubeconfig');
  await writeAccess(admin, administrator, access);
  const client = connect(await loadKubeconfig(admin));
  try {
    await client.raw({ method: 'GET', path: '/readyz' });
    tell({ stage: 'control-plane' });
    await createClusterDns(client, {
      plan: access.plan,
      program: [process.execPath, program],
    });
  } finally {
    client.close();
  }
}

/** An API server that does not even start will not do so the next time: better to say why than to wait. */
async function endedAtStart(component: Component, paths: ClusterPaths): Promise<never> {
  const why = await component.firstEnd;
  const logFile = join(paths.components, `${component.name}.log`);
  throw new SignalboxError('CLUSTER_START_FAILED', {
    object: component.name,
    problem: `ended at start (${why})`,
    remedy: `see the end of ${logFile}`,
  });
}

function terminated(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}

/** Whoever held the other end of the pipe is gone. */
function inputEnded(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', resolve).once('error', () => resolve());
    process.stdin.resume();
  });
}

/** Its memory file system is mounted in the folder until then. */
function removeHeld(folder: string, dir: string): void {
  unmount(pathsIn(dir).run, { lazy: true });
  rmSync(folder, { recursive: true, force: true });
}

/** Tells the command that waits for the start; it may have gone. */
function tell(message: SupervisorMessage, done: () => void = () => {}): void {
  if (process.connected) process.send?.(message, done);
  else done();
}
