import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeApiClient } from '../api/node-api.ts';
import { sleep } from '../component/backoff.ts';
import { isSignalboxError } from '../errors/error.ts';
import { type ApiServerConfig, serviceAccountIssuer } from './config.ts';
import { defaultLimits } from './in-flight.ts';
import { apiServerNames, type ClusterPki, ensurePki, issueClientCertificate } from './pki.ts';
import { type ApiServer, startApiServer } from './server.ts';

/** How tests reach a server: the parts of a client's configuration. */
export interface TestClientConfig {
  readonly server: string;
  readonly certificateAuthority: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
}

/** A request as tests write it. */
export interface InjectedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: { readonly [name: string]: string };
  readonly payload?: string | Buffer;
}

export interface InjectedAnswer {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The same as it came, perhaps compressed. */
  readonly rawPayload: Buffer;
}

/** An API server of a test's own. */
export interface TestServer {
  readonly api: ApiServer;
  /** Folder of the store and of `pki/`. */
  readonly dir: string;
  /** What a test's node agent at 127.0.0.1 may serve with: the server knows the way to nodes. */
  readonly pki: ClusterPki;
  /** As user `admin` of group `system:masters`. */
  readonly admin: TestClientConfig;
  /**
   * Sends a request without a certificate, over connections that are kept. For servers with an `authenticate` of their
   * own.
   */
  inject(request: InjectedRequest): Promise<InjectedAnswer>;
  clientFor(user: string, groups: readonly string[]): Promise<TestClientConfig>;
  /** Stops the server and starts it again over the same data, on the same port. */
  restart(): Promise<void>;
  /** Stops the server and removes its folder. */
  close(): Promise<void>;
}

/** Starts an API server on a free port of 127.0.0.1, with certificates and data in a temporary folder. */
export async function startTestServer(changes: Partial<ApiServerConfig> = {}): Promise<TestServer> {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-apiserver-'));
  const pkiDir = join(dir, 'pki');
  const pki = await ensurePki(pkiDir, apiServerNames({ clusterDomain: 'cluster.local', ips: ['10.96.0.1'] }));
  const config: ApiServerConfig = {
    listen: [{ host: '127.0.0.1', port: 0 }],
    store: { lmdb: { dir: join(dir, 'data') } },
    pki,
    serviceCidrs: ['10.96.0.0/12'],
    serviceAccountIssuer: serviceAccountIssuer('cluster.local'),
    // No controller makes accounts here.
    disabledAdmission: ['ServiceAccount'],
    nodeClient: await issueClientCertificate(pkiDir, { user: nodeApiClient, groups: [] }),
    nodePortRange: { from: 30_000, to: 32_767 },
    apiServerAddress: { ip: '192.168.101.2', port: 6443 },
    limits: defaultLimits,
    ...changes,
  };
  let api = await startApiServer(config);
  const server = api.urls[0] ?? '';
  const clientFor = async (user: string, groups: readonly string[]): Promise<TestClientConfig> => {
    const { cert, key } = await issueClientCertificate(pkiDir, { user, groups });
    return { server, certificateAuthority: pki.caCert, clientCertificate: cert, clientKey: key };
  };
  const agent = new Agent({ keepAlive: true, ca: pki.caCert });
  return {
    inject: (request) => inject(server, agent, request),
    get api() {
      return api;
    },
    dir,
    pki,
    admin: await clientFor('admin', ['system:masters']),
    clientFor,
    restart: async () => {
      agent.destroy();
      await api.close();
      api = await startAgain({ ...config, listen: [{ host: '127.0.0.1', port: Number(new URL(server).port) }] });
    },
    close: async () => {
      agent.destroy();
      await api.close();
      await rm(dir, { recursive: true });
    },
  };
}

/** At a port that the kernel may have given to a connection of somebody else meanwhile, which does not keep it for long. */
async function startAgain(config: ApiServerConfig): Promise<ApiServer> {
  for (let tries = 200; ; tries--) {
    try {
      return await startApiServer(config);
    } catch (error) {
      if (tries === 0 || !isSignalboxError(error, 'LISTEN_FAILED')) throw error;
      await sleep(100);
    }
  }
}

function inject(
  server: string,
  agent: Agent,
  { method, url, headers, payload }: InjectedRequest,
): Promise<InjectedAnswer> {
  const { hostname, port } = new URL(server);
  const length = payload === undefined ? {} : { 'content-length': Buffer.byteLength(payload) };
  const options = { agent, hostname, port, method, path: url, headers: { ...headers, ...length } };
  return new Promise((resolve, reject) => {
    const sent = request(options, async (answer) => {
      const pieces: Buffer[] = [];
      try {
        for await (const piece of answer) pieces.push(piece as Buffer);
        // Headers that stand several times stay apart.
        const all = Object.entries(answer.headersDistinct);
        const headers: IncomingHttpHeaders = Object.fromEntries(
          all.map(([name, values = []]) => [name, values.length === 1 ? values[0] : values]),
        );
        const rawPayload = Buffer.concat(pieces);
        resolve({ statusCode: answer.statusCode ?? 0, headers, body: rawPayload.toString(), rawPayload });
      } catch (error) {
        reject(error as Error);
      }
    });
    sent.once('error', reject).end(payload);
  });
}

/** An answer as tests look at it: JSON parsed, everything else as text. */
export interface TestAnswer {
  readonly code: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
  readonly body: any;
  readonly headers: { readonly [name: string]: unknown };
}

/** Sends a request past the network; a body is JSON unless it is a text or a content type says otherwise. */
export async function callServer(
  server: TestServer,
  method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  sent: { readonly body?: unknown; readonly headers?: { readonly [name: string]: string } } = {},
): Promise<TestAnswer> {
  const { body, headers = {} } = sent;
  const answer = await server.inject({
    method,
    url: path,
    ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
  });
  const isJson = String(answer.headers['content-type']).startsWith('application/json') && answer.body !== '';
  return { code: answer.statusCode, body: isJson ? JSON.parse(answer.body) : answer.body, headers: answer.headers };
}
