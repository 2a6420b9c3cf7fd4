import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { loadKubeconfig, writeKubeconfig } from './kubeconfig.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  vi.stubEnv('HOME', folder);
  vi.stubEnv('KUBECONFIG', '');
  vi.stubEnv('KUBERNETES_SERVICE_HOST', '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const base64 = (text: string) => Buffer.from(text).toString('base64');

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
}

/** A kubeconfig in YAML with one context `main` of a user with these lines. */
function withUser(...lines: string[]): string {
  return `
apiVersion: v1
kind: Config
current-context: main
clusters:
- name: main
  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: ${base64('CA')}}
users:
- name: main
  user:
${lines.map((line) => `    ${line}`).join('\n')}
contexts:
- name: main
  context: {cluster: main, user: main, namespace: team}
`;
}

describe('writeKubeconfig', () => {
  const entry = {
    name: 'signalbox',
    server: 'https://127.0.0.1:6443',
    certificateAuthority: 'CA',
    clientCertificate: 'CERT',
    clientKey: 'KEY',
  };

  test('writeKubeconfig writes what loadKubeconfig reads', async () => {
    const path = join(folder, 'new/folder/config');
    writeKubeconfig(path, { ...entry, namespace: 'team' });
    const { name: _, ...rest } = entry;
    expect(await loadKubeconfig(path)).toEqual({ ...rest, namespace: 'team' });
  });

  test('writeKubeconfig lets only the owner read, also over a file that others could read, and leaves no other file', async () => {
    const path = await file('config', '{}');
    await chmod(path, 0o644);
    await file(`config.${process.pid}.tmp`, 'left by a killed process');
    await chmod(`${path}.${process.pid}.tmp`, 0o666);
    writeKubeconfig(path, entry);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['config']);
  });
});

describe('loadKubeconfig', () => {
  test('loadKubeconfig reads YAML with certificates in files beside it', async () => {
    await file('pki/client.crt', 'CERT');
    await file('pki/client.key', 'KEY');
    const path = await file('config', withUser('client-certificate: pki/client.crt', 'client-key: pki/client.key'));
    expect(await loadKubeconfig(path)).toEqual({
      server: 'https://10.0.0.1:6443',
      certificateAuthority: 'CA',
      clientCertificate: 'CERT',
      clientKey: 'KEY',
      namespace: 'team',
    });
  });

  test('loadKubeconfig takes the first file of KUBECONFIG that has an entry, and skips files that are not there', async () => {
    const one = await file('one', withUser('token: first').replace('current-context: main', ''));
    const two = await file('two', withUser('token: second').replace('10.0.0.1', '10.0.0.2'));
    vi.stubEnv('KUBECONFIG', [join(folder, 'absent'), one, two].join(':'));
    const config = await loadKubeconfig();
    expect(config.server).toBe('https://10.0.0.1:6443');
    expect(await config.token?.()).toBe('first');
  });

  test('loadKubeconfig reads ~/.kube/config without KUBECONFIG', async () => {
    await file('.kube/config', withUser('token: home'));
    expect(await (await loadKubeconfig()).token?.()).toBe('home');
  });

  test('loadKubeconfig takes the context asked for, and names those there are when it is missing', async () => {
    const path = await file(
      'config',
      withUser('token: t').replaceAll('current-context: main', 'current-context: other'),
    );
    expect((await loadKubeconfig(path, { context: 'main' })).server).toBe('https://10.0.0.1:6443');
    await expect(loadKubeconfig(path)).rejects.toMatchObject({
      code: 'KUBECONFIG_NOT_FOUND',
      message: expect.stringMatching(/^context "other" is not in .*: there are main \[/),
    });
  });

  test('loadKubeconfig reads the service account of a Pod', async () => {
    const { inClusterConfig } = await import('./service-account.ts');
    await Promise.all([file('sa/ca.crt', 'CA'), file('sa/token', 'tok\n'), file('sa/namespace', 'team')]);
    vi.stubEnv('KUBERNETES_SERVICE_HOST', 'fd00::1');
    vi.stubEnv('KUBERNETES_SERVICE_PORT', '443');
    const config = await inClusterConfig(join(folder, 'sa'));
    expect(config).toMatchObject({ server: 'https://[fd00::1]:443', certificateAuthority: 'CA', namespace: 'team' });
    expect(await config?.token?.()).toBe('tok');
  });

  test('loadKubeconfig reads a token file again when the server refused the token', async () => {
    await file('token', 'old');
    const config = await loadKubeconfig(await file('config', withUser('tokenFile: token', 'token: ignored')));
    expect(await config.token?.()).toBe('old');
    await file('token', 'new');
    expect(await config.token?.()).toBe('old');
    config.onUnauthorized?.();
    expect(await config.token?.()).toBe('new');
  });

  test.each([
    ['passwords', ['username: u', 'password: p'], /user name and password: .*1\.19/],
    ['auth providers', ['auth-provider: {name: gcp}'], /auth-provider gcp: .*exec plugin/],
    ['impersonation', ['token: t', 'as: root'], /act as root/],
    ['half a key pair', [`client-key-data: ${base64('KEY')}`], /without the other/],
    ['a missing file', ['client-certificate: none.crt', 'client-key: none.key'], /none\.crt, which cannot be read/],
    ['an unknown plugin version', ['exec: {apiVersion: v2, command: x}'], /has apiVersion v2/],
    [
      'an interactive plugin',
      ['exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}'],
      /must ask its user/,
    ],
  ])('loadKubeconfig refuses %s', async (_what, lines, message) => {
    const path = await file('config', withUser(...lines));
    await expect(loadKubeconfig(path)).rejects.toMatchObject({
      code: 'INVALID_KUBECONFIG',
      message: expect.stringMatching(message),
    });
  });

  test.each([
    ['what is not YAML', 'a: [', /is not YAML/],
    ['what is another file', 'clusters: 3', /must be lists/],
    ['a cluster by proxy', withUser('token: t').replace('{server', '{proxy-url: http://p, server'), /proxy-url/],
    ['a cluster without server', withUser('token: t').replace(/server: '[^']*',/, ''), /without server/],
  ])('loadKubeconfig refuses %s', async (_what, text, message) => {
    await expect(loadKubeconfig(await file('config', text))).rejects.toMatchObject({
      code: 'INVALID_KUBECONFIG',
      message: expect.stringMatching(message),
    });
  });

  test('loadKubeconfig says what to do when there is none', async () => {
    await expect(loadKubeconfig()).rejects.toMatchObject({ code: 'KUBECONFIG_NOT_FOUND' });
    await expect(loadKubeconfig(join(folder, 'absent'))).rejects.toThrow(/absent cannot be read/);
  });
});

describe('execCredentials', () => {
  async function plugin(script: string, more = ''): Promise<string> {
    const path = await file('bin/plugin', `#!/bin/sh\necho run >> ${folder}/runs\n${script}\n`);
    await chmod(path, 0o755);
    const exec = `{apiVersion: client.authentication.k8s.io/v1, command: bin/plugin, args: [one], env: [{name: FROM, value: config}]${more}}`;
    return file('config', withUser(`exec: ${exec}`));
  }
  const runs = async () => (await readFile(join(folder, 'runs'), 'utf8')).trim().split('\n').length;
  const answer = (status: string) =>
    `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":${status}}'`;

  test('execCredentials runs the plugin once for many requests, with its arguments and environment', async () => {
    const path = await plugin(answer(`{"token":"'$1-$FROM'"}`));
    const config = await loadKubeconfig(path);
    expect(await Promise.all([config.token?.(), config.token?.(), config.token?.()])).toEqual(
      Array(3).fill('one-config'),
    );
    expect(await runs()).toBe(1);
    config.onUnauthorized?.();
    await config.token?.();
    expect(await runs()).toBe(2);
  });

  test('execCredentials runs the plugin again when the credentials expire', async () => {
    const soon = new Date(Date.now() + 5_000).toISOString();
    const config = await loadKubeconfig(await plugin(answer(`{"token":"t","expirationTimestamp":"${soon}"}`)));
    await config.token?.();
    await config.token?.();
    expect(await runs()).toBe(2);
  });

  test('execCredentials passes the cluster to a plugin that wants it, and takes certificates', async () => {
    const path = await plugin(
      `echo "$KUBERNETES_EXEC_INFO" > ${folder}/info\n${answer('{"clientCertificateData":"CERT","clientKeyData":"KEY"}')}`,
      ', provideClusterInfo: true',
    );
    const config = await loadKubeconfig(path);
    expect(await config.clientIdentity?.()).toEqual({ certificate: 'CERT', key: 'KEY' });
    expect(JSON.parse(await readFile(join(folder, 'info'), 'utf8'))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://10.0.0.1:6443', 'certificate-authority-data': base64('CA') },
      },
    });
  });

  test.each([
    ['fails', 'echo no luck >&2; exit 3', /failed \(no luck\)/],
    ['prints nonsense', 'echo hello', /printed no JSON/],
    ['prints another kind', `echo '{"kind":"Pod"}'`, /printed no ExecCredential/],
    ['prints nothing to use', answer('{}'), /neither a token nor/],
  ])(
    'execCredentials tells when the plugin %s, and runs it again at the next request',
    async (_what, script, message) => {
      const config = await loadKubeconfig(await plugin(script));
      await expect(config.token?.()).rejects.toMatchObject({
        code: 'CREDENTIAL_FAILED',
        message: expect.stringMatching(message),
      });
      await expect(config.token?.()).rejects.toThrow();
      expect(await runs()).toBe(2);
    },
  );

  test('execCredentials gives the hint of the kubeconfig when the plugin is not installed', async () => {
    const exec =
      '{apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: get it from example.com}';
    const config = await loadKubeconfig(await file('config', withUser(`exec: ${exec}`)));
    await expect(config.token?.()).rejects.toThrow(/no-such-plugin is not installed: get it from example\.com/);
  });
});

describe('loadKubeconfig of a cluster with several servers', () => {
  const withServers = (extension: string) =>
    withUser('{}').replace(
      "server: 'https://10.0.0.1:6443'",
      `server: 'https://10.0.0.1:6443', extensions: [{name: elsewhere, extension: 1}, {name: signalbox/other-servers, extension: ${extension}}]`,
    );

  test('loadKubeconfig reads further servers from an extension of the cluster', async () => {
    const path = await file('config', withServers("{servers: ['https://10.0.0.2:6443', 'https://10.0.0.3:6443']}"));
    expect(await loadKubeconfig(path)).toMatchObject({
      server: 'https://10.0.0.1:6443',
      otherServers: ['https://10.0.0.2:6443', 'https://10.0.0.3:6443'],
    });
  });

  test('loadKubeconfig refuses such an extension that names no servers', async () => {
    for (const wrong of ['{}', '{servers: https://10.0.0.2}', '{servers: [1]}', 'text']) {
      const path = await file('config', withServers(wrong));
      await expect(loadKubeconfig(path)).rejects.toMatchObject({ code: 'INVALID_KUBECONFIG' });
    }
  });
});
