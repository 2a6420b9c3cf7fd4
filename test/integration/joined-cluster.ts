import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { startTestServer, type TestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import { writeKubeconfig } from '../../src/client/kubeconfig.ts';
import type { ApiClient, ClientConfig } from '../../src/client/types.ts';

export const checkout = join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** An API server that plays a cluster which exists already, to which components of ours are added by `deploy/`. */
export interface JoinedCluster {
  readonly server: TestServer;
  readonly admin: ApiClient;
  /** The real kubectl, as administrator; gives what it printed. */
  kubectl(...args: string[]): Promise<string>;
  /** How a service account of `kube-system` reaches the server: by a token, with the rights that its roles give it. */
  clientOf(account: string): Promise<ClientConfig>;
  /** The same as a file. */
  kubeconfigOf(account: string): Promise<string>;
  /** Requests the server has refused for want of a right, by verb and resource. */
  refusals(): Promise<string[]>;
  close(): Promise<void>;
}

export async function startJoinedCluster(): Promise<JoinedCluster> {
  const server = await startTestServer();
  const admin = connect(server.admin);
  const adminKubeconfig = join(server.dir, 'admin.kubeconfig');
  await writeKubeconfig(adminKubeconfig, { name: 'admin', ...server.admin });
  const kubectl = async (...args: string[]) =>
    (await run('kubectl', ['--kubeconfig', adminKubeconfig, ...args], { timeout: 100_000 })).stdout;
  const token = async (account: string) => (await kubectl('-n', 'kube-system', 'create', 'token', account)).trim();
  const { server: url, certificateAuthority } = server.admin;
  return {
    server,
    admin,
    kubectl,
    clientOf: async (account) => {
      const text = await token(account);
      return { server: url, certificateAuthority, token: () => text };
    },
    kubeconfigOf: async (account) => {
      const path = join(server.dir, `${account}.kubeconfig`);
      const [tokenFile, authority] = [`${path}.token`, `${path}.ca`];
      await writeFile(tokenFile, await token(account));
      await writeFile(authority, certificateAuthority);
      const entry = (value: object) => [{ name: 'main', ...value }];
      const kubeconfig = {
        'current-context': 'main',
        clusters: entry({ cluster: { server: url, 'certificate-authority': authority } }),
        users: entry({ user: { tokenFile } }),
        contexts: entry({ context: { cluster: 'main', user: 'main' } }),
      };
      await writeFile(path, JSON.stringify(kubeconfig));
      return path;
    },
    refusals: async () => {
      const lines = (await kubectl('get', '--raw', '/metrics')).split('\n');
      return lines.filter((line) => line.startsWith('apiserver_request_total') && line.includes('code="403"'));
    },
    close: async () => {
      admin.close();
      await server.close();
    },
  };
}

/** A component in a process of its own, and what it writes to its log. */
export interface ComponentProcess {
  readonly child: ChildProcess;
  readonly log: { readonly [field: string]: unknown }[];
  /** Ends it; resolves with its exit status. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts `signalbox ARGS…`, of the build, behind another command if one is given. */
export function startComponent(args: readonly string[], wrap: readonly string[] = []): ComponentProcess {
  const [command = '', ...rest] = [...wrap, process.execPath, join(checkout, 'bin/signalbox'), ...args];
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  const log: { [field: string]: unknown }[] = [];
  createInterface(child.stderr).on('line', (line) =>
    log.push(line.startsWith('{') ? (JSON.parse(line) as { [field: string]: unknown }) : { msg: line }),
  );
  const ended = once(child, 'close');
  return {
    child,
    log,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal);
      await ended;
      return child.exitCode;
    },
  };
}
