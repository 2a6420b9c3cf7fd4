import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../component/make-folder.ts';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import { identify, isAlive, listChildren, type ProcessIdentity } from '../kernel/process.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import type { ClusterFamilies } from './plan.ts';

/** What a cluster's folder says of it; written by `up`, read by every other command. */
export interface ClusterRecord {
  readonly name: string;
  readonly nodeCount: number;
  readonly proxyMode: ProxyMode;
  readonly ipFamily: ClusterFamilies;
  /** Whether each node has a DNS server of its own. */
  readonly nodeLocalDns: boolean;
  /** Port on 127.0.0.1 of the host, where the API is reached. */
  readonly apiPort: number;
  /** The process that holds the cluster's namespaces, as the host sees it. */
  readonly process: ProcessIdentity;
  /** Whether its Services are reached from the host's loopback. */
  readonly publish: boolean;
  /** Whether its machine routes to its networks. */
  readonly hostRoute: boolean;
  /** The process on the host that keeps the binder running for it. */
  readonly binder?: ProcessIdentity;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** The places inside a cluster's folder. */
export interface ClusterPaths {
  readonly dir: string;
  readonly record: string;
  readonly kubeconfig: string;
  readonly log: string;
  readonly pki: string;
  readonly data: string;
  readonly components: string;
  readonly nodes: string;
  /** What is published on the host, and where. */
  readonly published: string;
  /** A memory file system inside the cluster's mount namespace: pinned namespaces and sandboxes go with it. */
  readonly run: string;
}

/** `$SIGNALBOX_HOME`, by default `~/.local/share/signalbox`. */
function signalboxHome(env: NodeJS.ProcessEnv = process.env): string {
  return env.SIGNALBOX_HOME ?? join(env.XDG_DATA_HOME ?? join(homedir(), '.local/share'), 'signalbox');
}

/**
 * The places of the cluster of that name; nothing is made.
 * @throws SignalboxError `INVALID_CONFIG` for a name that is no DNS label
 */
export function clusterPaths(name: string, home = signalboxHome()): ClusterPaths {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: `--name ${name}`,
      problem: 'is no possible name of a cluster',
      remedy: 'use up to 63 lower-case letters, digits and `-`',
    });
  }
  return pathsIn(join(home, 'clusters', name));
}

/** The places inside a cluster's folder. */
export function pathsIn(dir: string): ClusterPaths {
  return {
    dir,
    record: join(dir, 'cluster.json'),
    kubeconfig: join(dir, 'kubeconfig'),
    log: join(dir, 'cluster.log'),
    pki: join(dir, 'pki'),
    data: join(dir, 'data'),
    components: join(dir, 'components'),
    nodes: join(dir, 'nodes'),
    published: join(dir, 'published.json'),
    run: join(dir, 'run'),
  };
}

const otherHome = 'set SIGNALBOX_HOME to a folder that this user may write to';

/** The record of a cluster that was started at some time, `undefined` if there is none. */
export function readRecord(paths: ClusterPaths): ClusterRecord | undefined {
  try {
    // Of clusters from before there was a choice.
    return {
      ipFamily: 'ipv4',
      nodeLocalDns: false,
      publish: false,
      hostRoute: false,
      ...JSON.parse(readFileSync(paths.record, 'utf8')),
    } as ClusterRecord;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new SignalboxError('STATE_UNREADABLE', {
      object: paths.record,
      problem: `cannot be read (${(error as Error).message})`,
      remedy:
        code === 'EACCES' || code === 'ENOTDIR'
          ? otherHome
          : 'run `signalbox down` for this cluster to remove it, then `signalbox up`',
      cause: error,
    });
  }
}

/** Replaces the record in one step, so that no reader sees half of it. */
export function writeRecord(paths: ClusterPaths, record: ClusterRecord): void {
  replaceFile(paths.record, `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * Makes the cluster's folders, for its owner only.
 * @throws SignalboxError `STATE_UNWRITABLE`
 */
export function makeFolders(paths: ClusterPaths): void {
  try {
    for (const dir of [paths.dir, paths.pki, paths.data, paths.components, paths.nodes, paths.run])
      makeFolder(dir, 0o700);
  } catch (cause) {
    throw new SignalboxError('STATE_UNWRITABLE', {
      object: paths.dir,
      problem: `cannot be made (${(cause as Error).message})`,
      remedy: otherHome,
      cause,
    });
  }
}

/** Removes all a cluster has on disk. */
export function removeFolders(paths: ClusterPaths): void {
  rmSync(paths.dir, { recursive: true, force: true });
}

/** Whether the record's process still runs. */
export function isRunning(record: ClusterRecord | undefined): record is ClusterRecord {
  return record !== undefined && isAlive(record.process);
}

/**
 * The first process inside a cluster, as the host counts. The record's own is `unshare`, which waits for it outside
 * and passes no signal on.
 */
export function supervisorOf(record: ClusterRecord): ProcessIdentity | undefined {
  const [pid] = listChildren(record.process.pid);
  return pid === undefined ? undefined : identify(pid);
}

/** Names of all clusters that have a folder. */
export function clusterNames(home = signalboxHome()): string[] {
  try {
    return readdirSync(join(home, 'clusters')).sort();
  } catch {
    return [];
  }
}

/**
 * The record of a running cluster.
 * @throws SignalboxError `CLUSTER_NOT_RUNNING`
 */
export function requireRunning(name: string): { paths: ClusterPaths; record: ClusterRecord } {
  const paths = clusterPaths(name);
  const record = readRecord(paths);
  if (!isRunning(record)) {
    throw new SignalboxError('CLUSTER_NOT_RUNNING', {
      object: `cluster ${name}`,
      problem: record === undefined ? 'does not exist' : 'is not running',
      remedy: name === 'default' ? 'start it with `signalbox up`' : `start it with \`signalbox up --name ${name}\``,
    });
  }
  return { paths, record };
}
