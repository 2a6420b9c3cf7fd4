import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadKubeconfig } from '../../src/client/kubeconfig.ts';
import { freePort } from '../free-port.ts';
import { root, run } from './signalbox.ts';

let dir: string;
let server: ChildProcess | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'signalbox-standalone-'));
});
afterEach(() => {
  server?.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

test('signalbox apiserver --kubeconfig makes all that kubectl needs, and keeps it over a restart', async () => {
  const config = join(dir, 'config.yaml');
  const kubeconfig = join(dir, 'admin.kubeconfig');
  const listen = [{ host: '0.0.0.0', port: await freePort() }];
  const places = { pkiDir: join(dir, 'pki'), store: { lmdb: { dir: join(dir, 'data') } } };
  // What people write by hand is YAML.
  writeFileSync(config, stringify({ ...places, listen, serviceCidrs: ['10.96.0.0/12'] }));
  let said = '';
  const start = async () => {
    const args = [join(root, 'bin/signalbox'), 'apiserver', '--config', config, '--kubeconfig', kubeconfig];
    server = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] });
    server.stderr?.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    await expect.poll(() => existsSync(kubeconfig), { timeout: 30_000 }).toBe(true);
  };
  const stop = async () => {
    server?.kill('SIGTERM');
    expect(server === undefined ? [] : await once(server, 'exit')).toEqual([0, null]);
  };
  const kubectl = (...args: string[]) => run('kubectl', ['--kubeconfig', kubeconfig, ...args]);

  await start();
  expect(statSync(kubeconfig).mode & 0o777).toBe(0o600);
  const made = await kubectl('create', 'service', 'clusterip', 'alone', '--tcp=80');
  expect(made).toEqual({ status: 0, stdout: 'service/alone created\n', stderr: '' });
  expect((await kubectl('auth', 'whoami', '-o', 'jsonpath={.status.userInfo.groups}')).stdout).toContain(
    'system:masters',
  );
  // Node's debugger would be a listener that anyone on the machine may use.
  server?.kill('SIGUSR1');
  await applyYaml(kubeconfig);
  await stop();
  expect(said).not.toContain('Debugger');
  rmSync(kubeconfig);
  await start();
  expect((await kubectl('get', 'service', 'alone', '-o', 'name')).stdout).toBe('service/alone\n');
  await stop();
});

/** A client that speaks YAML alone, as the bundled program has to understand it. */
async function applyYaml(kubeconfig: string): Promise<void> {
  const config = await loadKubeconfig(kubeconfig);
  const options = {
    ca: config.certificateAuthority,
    cert: config.clientCertificate,
    key: config.clientKey,
    method: 'POST',
  };
  const headers = { 'content-type': 'application/yaml', accept: 'application/yaml' };
  const sent = request(new URL('/api/v1/namespaces/default/configmaps', config.server), { ...options, headers });
  sent.end('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: by-hand}\ndata: {a: b}\n');
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of answer.setEncoding('utf8')) text += piece;
  expect(answer.statusCode).toBe(201);
  expect(parse(text)).toMatchObject({ kind: 'ConfigMap', metadata: { name: 'by-hand' }, data: { a: 'b' } });
}

test('signalbox apiserver without --kubeconfig makes no certificates, and says which is missing', async () => {
  const config = join(dir, 'config.yaml');
  const listen = [{ host: '127.0.0.1', port: 6443 }];
  const pkiDir = join(dir, 'pki');
  writeFileSync(config, JSON.stringify({ pkiDir, dataDir: dir, listen, serviceCidrs: ['10.96.0.0/12'] }));
  const { status, stderr } = await run(process.execPath, [
    join(root, 'bin/signalbox'),
    'apiserver',
    '--config',
    config,
  ]);
  expect(status).toBe(1);
  expect(stderr).toContain(`${join(pkiDir, 'ca.crt')} cannot be read`);
  expect(stderr).toContain('[INVALID_CONFIG]');
});
