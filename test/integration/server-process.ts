import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiServerNames, ensurePki, issueClientCertificate } from '../../src/apiserver/pki.ts';
import { connect } from '../../src/client/client.ts';
import type { ClientConfig } from '../../src/client/types.ts';
import { sleep } from '../../src/component/backoff.ts';
import { freePort } from '../free-port.ts';

const command = join(import.meta.dirname, '../../bin/signalbox');
const startMs = 30_000;

/** An API server in a process of its own, which can be killed. Needs a build. */
export interface ServerProcess {
  /** As user `admin` of group `system:masters`. */
  readonly admin: ClientConfig & { readonly certificateAuthority: string };
  /** `kill -9`, and a new process over the same data, on the same port; resolves when that serves. */
  killAndStart(): Promise<void>;
  /** The first half of it. */
  kill(): Promise<void>;
  /** The second. */
  start(): Promise<void>;
  /** Ends the process and removes its data. */
  close(): Promise<void>;
}

/** What several servers of one cluster share. */
export interface SharedParts {
  readonly pkiDir: string;
  /** As in the configuration file. */
  readonly store: object;
}

/** Starts an API server as the command line does; resolves when it serves. */
export async function startServerProcess(shared?: SharedParts): Promise<ServerProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-server-'));
  const { pkiDir, store } = shared ?? { pkiDir: join(dir, 'pki'), store: { lmdb: { dir: join(dir, 'data') } } };
  const pki = await ensurePki(pkiDir, apiServerNames({ clusterDomain: 'cluster.local', ips: ['10.96.0.1'] }));
  const { cert, key } = await issueClientCertificate(pkiDir, { user: 'admin', groups: ['system:masters'] });
  const port = await freePort();
  const config = join(dir, 'apiserver.json');
  await writeFile(
    config,
    JSON.stringify({
      listen: [{ host: '127.0.0.1', port }],
      pkiDir,
      store,
      serviceCidrs: ['10.96.0.0/12'],
      disableAdmissionPlugins: ['ServiceAccount'],
    }),
  );
  const admin = {
    server: `https://127.0.0.1:${port}`,
    certificateAuthority: pki.caCert,
    clientCertificate: cert,
    clientKey: key,
  };
  const launch = async () => {
    const child = spawn(process.execPath, [command, 'apiserver', '--config', config], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await untilReady(child, admin);
    return child;
  };
  let child = await launch();
  const kill = async () => {
    const ended = once(child, 'exit');
    if (child.kill('SIGKILL')) await ended;
  };
  const start = async () => {
    child = await launch();
  };
  return {
    admin,
    kill,
    start,
    killAndStart: async () => {
      await kill();
      await start();
    },
    close: async () => {
      await kill();
      await rm(dir, { recursive: true });
    },
  };
}

async function untilReady(child: ChildProcess, admin: ClientConfig): Promise<void> {
  const client = connect(admin);
  const deadline = Date.now() + startMs;
  try {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`the API server ended with status ${child.exitCode}`);
      if (Date.now() > deadline) throw new Error('the API server did not become ready');
      const isReady = await client.raw({ method: 'GET', path: '/readyz' }).then(
        () => true,
        () => false,
      );
      if (isReady) return;
      await sleep(20);
    }
  } finally {
    client.close();
  }
}
