import { join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import type { ClientConfig } from './types.ts';

/** How a credential plugin is run: the `exec` entry of a kubeconfig's user (client.authentication.k8s.io/v1). */
export interface ExecPlugin {
  readonly apiVersion?: string;
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly installHint?: string;
  readonly provideClusterInfo?: boolean;
  readonly interactiveMode?: string;
}

/** What a plugin answers with. */
interface Credential {
  readonly token: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** Milliseconds since the epoch; infinite when the plugin names no end. */
  readonly expires: number;
}

const versions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];
const timeoutMs = 60_000;
const maxOutput = 1024 * 1024;
/** Asked again this long before the end, so that no request carries a token that expires on its way. */
const renewMs = 10_000;

/**
 * Credentials from a plugin, which runs at the first request and again when they expire or the server refuses them. A
 * relative `command` with a slash starts at `folder`, that of the kubeconfig. Plugins cannot ask the user anything.
 * @throws SignalboxError `INVALID_KUBECONFIG`; later, from a request, `CREDENTIAL_FAILED`
 */
export function execCredentials(
  plugin: ExecPlugin,
  { folder, cluster }: { readonly folder: string; readonly cluster: ClientConfig },
): Required<Pick<ClientConfig, 'token' | 'clientIdentity' | 'onUnauthorized'>> {
  const checked = checkPlugin(plugin);
  const command = checked.command.includes('/')
    ? join(checked.command.startsWith('/') ? '/' : folder, checked.command)
    : checked.command;
  let current: Promise<Credential> | undefined;
  let expires = 0;
  const credential = async () => {
    if (current === undefined || Date.now() > expires - renewMs) {
      // Shared by all requests that wait; a failure is not kept.
      expires = Number.POSITIVE_INFINITY;
      current = runPlugin({ ...plugin, command, apiVersion: checked.apiVersion }, cluster);
      current.then(
        (got) => {
          expires = got.expires;
        },
        () => {
          current = undefined;
        },
      );
    }
    return current;
  };
  return {
    token: async () => (await credential()).token ?? '',
    clientIdentity: async () => {
      const { certificate, key } = await credential();
      return certificate === undefined || key === undefined ? undefined : { certificate, key };
    },
    onUnauthorized: () => {
      current = undefined;
    },
  };
}

function checkPlugin(plugin: ExecPlugin): { readonly command: string; readonly apiVersion: string } {
  const { command, apiVersion, interactiveMode } = plugin;
  const wrong = (problem: string, remedy: string) =>
    new SignalboxError('INVALID_KUBECONFIG', { object: `credential plugin ${command ?? ''}`, problem, remedy });
  if (!command) throw wrong('has no command', 'add exec.command');
  if (apiVersion === undefined || !versions.includes(apiVersion))
    throw wrong(`has apiVersion ${apiVersion ?? 'missing'}`, `write ${versions[0]}`);
  if (interactiveMode === 'Always')
    throw wrong('must ask its user (interactiveMode: Always)', 'log in with it beforehand');
  return { command, apiVersion };
}

async function runPlugin(
  plugin: ExecPlugin & { readonly command: string; readonly apiVersion: string },
  cluster: ClientConfig,
): Promise<Credential> {
  const { execFile } = await import('node:child_process');
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.provideClusterInfo === true ? { cluster: clusterInfo(cluster) } : {}) },
  };
  const extra = Object.fromEntries((plugin.env ?? []).map(({ name, value }) => [name, value]));
  const env = { ...process.env, ...extra, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  const output = await new Promise<string>((resolve, reject) => {
    const options = { env, timeout: timeoutMs, maxBuffer: maxOutput };
    const child = execFile(plugin.command, [...(plugin.args ?? [])], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      const said =
        stderr.trim().split('\n').at(-1) || (error.killed === true ? 'no answer in a minute' : error.message);
      reject(
        failed(
          plugin.command,
          missing ? 'is not installed' : `failed (${said})`,
          missing ? plugin.installHint : undefined,
        ),
      );
    });
    child.stdin?.end();
  });
  return parseCredential(plugin, output);
}

function clusterInfo(cluster: ClientConfig): object {
  return {
    server: cluster.server,
    ...(cluster.certificateAuthority === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(cluster.certificateAuthority).toString('base64') }),
    ...(cluster.insecureSkipTlsVerify === true ? { 'insecure-skip-tls-verify': true } : {}),
    ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
  };
}

function parseCredential(
  plugin: { readonly command: string; readonly apiVersion: string },
  output: string,
): Credential {
  let answer: { apiVersion?: string; kind?: string; status?: { [field: string]: string | undefined } } | null;
  try {
    answer = JSON.parse(output);
  } catch {
    throw failed(plugin.command, 'printed no JSON');
  }
  if (answer?.kind !== 'ExecCredential' || answer.apiVersion !== plugin.apiVersion)
    throw failed(plugin.command, `printed no ExecCredential of ${plugin.apiVersion}`);
  const { token, clientCertificateData: certificate, clientKeyData: key, expirationTimestamp } = answer.status ?? {};
  if (token === undefined && (certificate === undefined || key === undefined))
    throw failed(plugin.command, 'printed neither a token nor a certificate with its key');
  const expires = expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp);
  if (Number.isNaN(expires)) throw failed(plugin.command, `printed the time ${expirationTimestamp}, which is none`);
  return { token, certificate, key, expires };
}

function failed(command: string, problem: string, hint?: string): SignalboxError {
  return new SignalboxError('CREDENTIAL_FAILED', {
    object: `credential plugin ${command}`,
    problem,
    remedy: hint?.trim() || 'run it by hand to see what it says; its settings are in the kubeconfig’s user entry',
  });
}
