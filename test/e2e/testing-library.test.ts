import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCluster, type TestCluster } from '../../src/library/main.ts';
import { bundleTypeScript } from '../run-typescript.ts';
import { processesOf } from './processes.ts';
import { eventually, root, run } from './signalbox.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster({ publish: true });
});
afterAll(() => cluster.stop());

/** A Service of the same name and node port always, whose Pod answers with its own name. */
const published = (pod: string): string => `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080, nodePort: 32123}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ${pod}, labels: {app: web}}
spec:
  containers:
    - name: netexec
      image: registry.k8s.io/e2e-test-images/agnhost:2.53
      args: [netexec, --http-port=8080]
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
`;

/** The rules may take a moment to follow. */
const textAt = (url: string) => eventually(`an answer at ${url}`, async () => (await fetch(`${url}/hostname`)).text());

describe('startCluster', () => {
  test('as the example has it', async () => {
    const { status, stdout, stderr } = await run(process.execPath, ['--test', 'examples/testing/'], {
      cwd: root,
      timeoutMs: 280_000,
    });
    expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringMatching(/^# pass 2$/m) });
  });

  test.each([
    [{ proxymode: 'ipvs' }, 'proxymode is no field of the options of startCluster: did you mean proxyMode?'],
    [{ proxyMode: 'ebpf' }, 'proxyMode "ebpf" is not among what there is'],
    [{ nodes: 0 }, 'nodes 0 is not a whole number from 1 to 64'],
  ])('refuses %j', async (options, said) => {
    const start = startCluster(options as object);
    await expect(start).rejects.toThrow(said);
    await expect(start).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  test('gives clusters that know nothing of each other', async () => {
    const other = await startCluster({ publish: true });
    try {
      await cluster.client.create('configMaps', { metadata: { name: 'mine', namespace: 'default' }, data: { a: '1' } });
      const { items } = await other.client.list('configMaps', { namespace: 'default' });
      expect(items.map(({ metadata }) => metadata.name)).not.toContain('mine');
      // Both want the same node port of this machine; each has its own Services at its own.
      await Promise.all([cluster.apply(published('one')), other.apply(published('two'))]);
      expect(await textAt(await cluster.url('web'))).toBe('one');
      expect(await textAt(await other.url('default/web', 'http'))).toBe('two');
    } finally {
      await other.stop();
    }
    expect(existsSync(other.home)).toBe(false);
    expect(processesOf(other.home)).toEqual([]);
  });

  test('leaves nothing when the process that has it is killed', async () => {
    const source = `
      import { startCluster } from './src/library/main.ts';
      startCluster({ publish: true }).then((cluster) => console.log(cluster.home));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(bundleTypeScript(source));
    const home = String((await once(child.stdout, 'data'))[0]).trim();
    expect(processesOf(home).length).toBeGreaterThan(3);
    child.kill('SIGKILL');
    await eventually('the folder is gone', async () => (existsSync(home) ? undefined : true), 30_000);
    await eventually('its processes are gone', async () => (processesOf(home).length > 0 ? undefined : true));
  });

  test('refuses an impossible cluster, and leaves nothing', async () => {
    await expect(startCluster({ nodes: 0 })).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });
});

describe('TestCluster', () => {
  test('url says what was waited for when there is no such Service', async () => {
    await expect(cluster.url('absent', undefined, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'WAIT_TIMED_OUT',
      object: 'an address of default/absent on this machine',
    });
  });

  test('apply takes objects, texts and paths, and waits for Pods', async () => {
    await cluster.apply([
      join(root, 'examples/hello.yaml'),
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'object' } },
      'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: text\n',
    ]);
    const names = (await cluster.client.list('configMaps')).items.map(({ metadata }) => metadata.name);
    expect(names).toEqual(expect.arrayContaining(['object', 'text']));
    const { items: pods } = await cluster.client.list('pods', { namespace: 'default', labelSelector: 'app=hello' });
    const ready = pods.filter((pod) => pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'));
    expect(ready).toHaveLength(3);
  });

  test('apply says which manifest is wrong', async () => {
    await expect(cluster.apply('kind: Service\nmetadata:\n  name: x\n')).rejects.toThrow(
      /a manifest:1 has no apiVersion/,
    );
    await expect(cluster.apply('/nowhere.yaml')).rejects.toMatchObject({ code: 'MANIFEST_UNREADABLE' });
  });

  test('exec gives output and exit status, and passes input', async () => {
    expect(await cluster.exec('client', ['sh', '-c', 'cat; echo oops >&2; exit 7'], { input: 'hello' })).toEqual({
      status: 7,
      stdout: 'hello',
      stderr: 'oops\n',
    });
    expect((await cluster.exec('node/node-1', ['sh', '-c', 'kill -9 $$'])).status).toBe(137);
  });

  test('exec names a target that is not there, and ends what takes too long', async () => {
    await expect(cluster.exec('node/node-9', ['true'])).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND' });
    await expect(cluster.exec('somewhere', ['true'])).rejects.toThrow(/somewhere is no target/);
    await expect(cluster.exec('client', ['sleep', '60'], { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'COMMAND_TIMED_OUT',
    });
  });

  test('waitFor gives what it found, or says what was missing and why', async () => {
    const found = cluster.waitFor('the Service kubernetes', (client) =>
      client.get('services', { namespace: 'default', name: 'kubernetes' }),
    );
    expect((await found).spec?.clusterIP).toBe('10.96.0.1');
    const missing = cluster.waitFor(
      'a Service nobody makes',
      (client) => client.get('services', { namespace: 'default', name: 'nobody' }),
      { timeoutMs: 200 },
    );
    await expect(missing).rejects.toThrow(/a Service nobody makes did not come about within 0.2 s .*not found/);
  });

  test('kubeconfig is for kubectl', async () => {
    const { stdout } = await run('kubectl', ['get', 'nodes', '-o', 'name'], {
      env: { KUBECONFIG: cluster.kubeconfig },
    });
    expect(stdout).toBe('node/node-1\n');
  });
});
