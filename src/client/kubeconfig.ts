import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import { type ExecPlugin, execCredentials } from './exec-credential.ts';
import { inClusterConfig, tokenFromFile } from './service-account.ts';
import type { ClientConfig } from './types.ts';

/** The parts of a kubeconfig that are read; field names as in the file (`kubectl config view`). */
interface Kubeconfig {
  'current-context'?: string;
  clusters?: readonly { name: string; cluster?: Cluster }[] | null;
  users?: readonly { name: string; user?: User | null }[] | null;
  contexts?: readonly { name: string; context?: { cluster?: string; user?: string; namespace?: string } }[] | null;
}

interface Cluster {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  'tls-server-name'?: string;
  'proxy-url'?: string;
  extensions?: readonly { name?: string; extension?: unknown }[] | null;
}

/** The extension of a kubeconfig's cluster that names further servers of the same API; kubectl leaves it as it is. */
const otherServersExtension = 'signalbox/other-servers';

interface User {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  username?: string;
  password?: string;
  as?: string;
  exec?: ExecPlugin;
  'auth-provider'?: { name?: string };
}

/** A kubeconfig or an entry of one, with the file it is from. */
interface From<T> {
  readonly file: string;
  readonly value: T;
}

/**
 * Reads how to reach an API server, from the first of these that is there: `path`; the files of `KUBECONFIG`, merged
 * (the first file that has an entry wins); `~/.kube/config`; the service account of the Pod this runs in. Files may be
 * YAML or JSON; paths in them start at their folder.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`
 */
export async function loadKubeconfig(
  path?: string,
  options: { readonly context?: string } = {},
): Promise<ClientConfig> {
  const files = await readFiles(path);
  if (files.length === 0) {
    const config = await inClusterConfig();
    if (config !== undefined) return config;
    throw notFound('a kubeconfig', 'is not there', 'pass --kubeconfig or set KUBECONFIG to the path of one');
  }
  const where = files.map((f) => f.file).join(', ');
  const current = options.context ?? files.map((f) => f.value['current-context']).find((name) => name);
  if (current === undefined)
    throw notFound(where, 'has no current context', 'run `kubectl config use-context NAME` or pass a context');
  const context = findEntry(files, 'contexts', current).value.context ?? {};
  const cluster = findEntry(files, 'clusters', context.cluster ?? '');
  const fromCluster = await readCluster({ file: cluster.file, value: cluster.value.cluster ?? {} });
  const config = { ...fromCluster, ...(context.namespace ? { namespace: context.namespace } : {}) };
  if (!context.user) return config;
  const user = findEntry(files, 'users', context.user);
  return { ...config, ...(await readUser({ file: user.file, value: user.value.user ?? {} }, fromCluster)) };
}

/** What goes into a kubeconfig with one context. Certificates and key are PEM. */
export interface KubeconfigEntry {
  /** Of the cluster, the user and the context. */
  readonly name: string;
  readonly server: string;
  readonly certificateAuthority: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  readonly namespace?: string;
}

/**
 * Writes a kubeconfig that only its owner can read (mode 0600), as JSON, which is YAML. Readers see the old file or the
 * whole new one. The folder is made if it is missing.
 */
export function writeKubeconfig(path: string, entry: KubeconfigEntry): void {
  const { name } = entry;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [
      { name, cluster: { server: entry.server, 'certificate-authority-data': base64(entry.certificateAuthority) } },
    ],
    users: [
      {
        name,
        user: {
          'client-certificate-data': base64(entry.clientCertificate),
          'client-key-data': base64(entry.clientKey),
        },
      },
    ],
    contexts: [
      {
        name,
        context: {
          cluster: name,
          user: name,
          ...(entry.namespace === undefined ? {} : { namespace: entry.namespace }),
        },
      },
    ],
  };
  replaceFile(path, `${JSON.stringify(kubeconfig, null, 2)}\n`);
}

async function readFiles(path: string | undefined): Promise<From<Kubeconfig>[]> {
  const listed = process.env.KUBECONFIG?.split(delimiter).filter((file) => file !== '') ?? [];
  const paths = path !== undefined ? [path] : listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')];
  const files: From<Kubeconfig>[] = [];
  for (const file of paths) {
    const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
      // As kubectl does: a file that is named alone must be there, one of a list need not.
      if (cause.code === 'ENOENT' && path === undefined) return undefined;
      throw notFound(
        `kubeconfig ${file}`,
        `cannot be read (${cause.message})`,
        'pass the path of a readable kubeconfig',
      );
    });
    if (text !== undefined) files.push({ file, value: await parseKubeconfig(file, text) });
  }
  return files;
}

async function parseKubeconfig(file: string, text: string): Promise<Kubeconfig> {
  let value: unknown;
  try {
    // Those we write are JSON: the YAML parser, slow to load, is for others'.
    value = text.trimStart().startsWith('{')
      ? JSON.parse(text)
      : (await import('../component/yaml.ts')).yaml.parse(text);
  } catch (cause) {
    throw invalid(
      `kubeconfig ${file}`,
      `is not YAML (${cause instanceof Error ? cause.message : cause})`,
      'correct it',
    );
  }
  if (value === null || value === undefined) return {};
  const lists = ['clusters', 'users', 'contexts'] as const;
  const isList = (list: unknown) =>
    list == null || (Array.isArray(list) && list.every((e) => typeof e?.name === 'string'));
  if (typeof value !== 'object' || !lists.every((list) => isList((value as Kubeconfig)[list])))
    throw invalid(
      `kubeconfig ${file}`,
      'is not a kubeconfig',
      'clusters, users and contexts must be lists of named entries',
    );
  return value;
}

function findEntry<L extends 'clusters' | 'users' | 'contexts'>(
  files: readonly From<Kubeconfig>[],
  list: L,
  name: string,
): From<NonNullable<Kubeconfig[L]>[number]> {
  for (const { file, value } of files) {
    const found = value[list]?.find((entry) => entry.name === name);
    if (found !== undefined) return { file, value: found };
  }
  const known = files.flatMap(({ value }) => value[list]?.map((entry) => entry.name) ?? []);
  throw notFound(
    `${list.slice(0, -1)} ${JSON.stringify(name)}`,
    `is not in ${files.map((f) => f.file).join(', ')}`,
    known.length === 0 ? 'there is none' : `there are ${known.join(', ')}`,
  );
}

async function readCluster({ file, value: cluster }: From<Cluster>): Promise<ClientConfig> {
  if (!cluster.server)
    throw invalid(`kubeconfig ${file}`, 'has a cluster without server', 'add server: https://host:port');
  if (cluster['proxy-url'])
    throw invalid(`kubeconfig ${file}`, 'asks for a proxy (proxy-url)', 'reach the API server directly');
  const authority = await dataOrFile(file, cluster['certificate-authority-data'], cluster['certificate-authority']);
  const otherServers = readOtherServers(file, cluster);
  return {
    server: cluster.server,
    ...(otherServers.length === 0 ? {} : { otherServers }),
    ...(authority === undefined ? {} : { certificateAuthority: authority }),
    ...(cluster['insecure-skip-tls-verify'] === true ? { insecureSkipTlsVerify: true } : {}),
    ...(cluster['tls-server-name'] ? { tlsServerName: cluster['tls-server-name'] } : {}),
  };
}

/** `extensions: [{name: signalbox/other-servers, extension: {servers: [https://host:port]}}]` */
function readOtherServers(file: string, { extensions }: Cluster): readonly string[] {
  const found = extensions?.find(({ name }) => name === otherServersExtension)?.extension;
  if (found === undefined || found === null) return [];
  const { servers } = found as { servers?: unknown };
  if (Array.isArray(servers) && servers.every((server) => typeof server === 'string')) return servers;
  throw invalid(
    `kubeconfig ${file}`,
    `has an extension ${otherServersExtension} that names no servers`,
    'write it as {servers: ["https://host:port"]}',
  );
}

async function readUser({ file, value: user }: From<User>, cluster: ClientConfig): Promise<Partial<ClientConfig>> {
  refuseUnsupported(file, user);
  if (user.exec !== undefined) return execCredentials(user.exec, { folder: dirname(file), cluster });
  const certificate = await dataOrFile(file, user['client-certificate-data'], user['client-certificate']);
  const key = await dataOrFile(file, user['client-key-data'], user['client-key']);
  if ((certificate === undefined) !== (key === undefined))
    throw invalid(`kubeconfig ${file}`, 'has one of client certificate and key without the other', 'give both');
  const { token, tokenFile } = user;
  return {
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: certificate, clientKey: key }),
    // The file wins, as with kubectl: it is the one that is renewed.
    ...(tokenFile ? tokenFromFile(resolve(dirname(file), tokenFile)) : token ? { token: () => token } : {}),
  };
}

function refuseUnsupported(file: string, user: User): void {
  if (user.username || user.password)
    throw invalid(
      `kubeconfig ${file}`,
      'has a user with user name and password',
      'use a client certificate, a token or an exec plugin: Kubernetes dropped passwords in 1.19',
    );
  if (user['auth-provider'] !== undefined)
    throw invalid(
      `kubeconfig ${file}`,
      `has a user with the auth-provider ${user['auth-provider'].name ?? ''}`,
      'use the exec plugin that took its place: Kubernetes dropped auth-provider in 1.26',
    );
  if (user.as) throw invalid(`kubeconfig ${file}`, `asks to act as ${user.as}`, 'use that user’s own credentials');
}

async function dataOrFile(
  file: string,
  data: string | undefined,
  path: string | undefined,
): Promise<string | undefined> {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  if (!path) return undefined;
  const absolute = resolve(dirname(file), path);
  return readFile(absolute, 'utf8').catch((cause: Error) => {
    throw invalid(
      `kubeconfig ${file}`,
      `names ${absolute}, which cannot be read (${cause.message})`,
      'correct the path',
    );
  });
}

function notFound(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('KUBECONFIG_NOT_FOUND', { object, problem, remedy });
}

function invalid(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('INVALID_KUBECONFIG', { object, problem, remedy });
}
