import { execFile, spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
if (!hasKubectl) console.warn('skipped: the tests with kubectl, because there is no kubectl on the path');

let server: TestServer;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  server = await startTestServer();
  const { admin } = server;
  const data = (text: string) => Buffer.from(text).toString('base64');
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'c', cluster: { server: admin.server, 'certificate-authority-data': data(admin.certificateAuthority) } },
    ],
    users: [
      {
        name: 'u',
        user: { 'client-certificate-data': data(admin.clientCertificate), 'client-key-data': data(admin.clientKey) },
      },
    ],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  const path = join(server.dir, 'kubeconfig');
  await writeFile(path, JSON.stringify(kubeconfig), { mode: 0o600 });
  environment = { ...process.env, KUBECONFIG: path, KUBECACHEDIR: join(server.dir, 'cache') };
});
afterAll(() => server.close());

/** Runs kubectl; `input` is its standard input. */
function kubectl(line: string, input = ''): Promise<{ status: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile('kubectl', line.split(' '), { env: environment, timeout: 20_000 }, (error, out, err) => {
      const status = error === null ? 0 : Number(error.code ?? 1);
      resolve({ status, out, err: err.replace(/^WARNING: version difference.*\n/m, '') });
    });
    child.stdin?.end(input);
  });
}

/** The standard output of a kubectl that has to succeed. */
async function ok(line: string, input?: string): Promise<string> {
  const { status, out, err } = await kubectl(line, input);
  if (status !== 0) throw new Error(`kubectl ${line}: ${err}${out}`);
  return out;
}

const hello = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: hello, labels: {app: hello}}
spec:
  replicas: 3
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
      - name: hello
        image: gcr.io/google-samples/node-hello:1.0
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: hello-service}
spec:
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
`;

describe.skipIf(!hasKubectl)('kubectl', { timeout: 60_000 }, () => {
  test('apply creates, leaves alone and configures', async () => {
    expect(await ok('apply -f -', hello)).toBe('replicaset.apps/hello created\nservice/hello-service created\n');
    expect(await ok('apply -f -', hello)).toBe('replicaset.apps/hello unchanged\nservice/hello-service unchanged\n');
    const changed = hello.replace('replicas: 3', 'replicas: 4').replace('port: 80,', 'port: 81,');
    expect(await ok('diff -f -', hello)).toBe('');
    expect(await ok('apply -f -', changed)).toBe(
      'replicaset.apps/hello configured\nservice/hello-service configured\n',
    );
    expect(await ok('get svc hello-service -o jsonpath={.spec.ports[*].port}')).toBe('81');
    await ok('apply -f -', hello);
  });

  test('apply says which document has an unknown or a wrong field, and does the others', async () => {
    const bad = hello.replace('selector: {app: hello}\n  ports', 'selektor: {app: hello}\n  ports');
    const { status, out, err } = await kubectl('apply -f -', bad);
    expect([status, out]).toEqual([1, 'replicaset.apps/hello unchanged\n']);
    expect(err).toContain('strict decoding error: unknown field "spec.selektor"');
    const wrong = await kubectl('apply -f -', hello.replace('port: 80,', 'port: 70000,'));
    expect(wrong.err).toContain(
      'The Service "hello-service" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
    );
  });

  test('get prints the columns that people know', async () => {
    const lines = (text: string) =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/));
    expect(lines(await ok('get svc'))[0]).toEqual(['NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)', 'AGE']);
    const [, row] = lines(await ok('get svc hello-service -o wide'));
    expect(row).toEqual([
      'hello-service',
      'ClusterIP',
      expect.stringMatching(/^10\./),
      '<none>',
      '80/TCP',
      expect.any(String),
      'app=hello',
    ]);
    expect(lines(await ok('get rs -o wide'))).toEqual([
      ['NAME', 'DESIRED', 'CURRENT', 'READY', 'AGE', 'CONTAINERS', 'IMAGES', 'SELECTOR'],
      ['hello', '3', '0', '0', expect.any(String), 'hello', 'gcr.io/google-samples/node-hello:1.0', 'app=hello'],
    ]);
    expect(lines(await ok('get ns'))[0]).toEqual(['NAME', 'STATUS', 'AGE']);
    expect(lines(await ok('get endpointslices'))[1]).toEqual([
      'kubernetes',
      'IPv4',
      '6443',
      '192.168.101.2',
      expect.any(String),
    ]);
    expect(await ok('get svc -A -o name')).toBe('service/hello-service\nservice/kubernetes\n');
    expect((await ok('get all')).match(/^service\/hello-service/m)).not.toBeNull();
    const sorted = await ok('get svc --sort-by=.spec.ports[0].port --no-headers -o custom-columns=N:.metadata.name');
    expect(sorted.trim().split('\n')).toEqual(['hello-service', 'kubernetes']);
    expect(lines(await ok('get svc --sort-by=.metadata.name')).map(([name]) => name)).toEqual([
      'NAME',
      'hello-service',
      'kubernetes',
    ]);
    expect(lines(await ok('api-resources -o name --api-group=apps')).flat()).toEqual([
      'controllerrevisions.apps',
      'daemonsets.apps',
      'deployments.apps',
      'replicasets.apps',
      'statefulsets.apps',
    ]);
  });

  test('scale, label, annotate, patch, set image, describe', async () => {
    expect(await ok('scale rs hello --replicas=5')).toBe('replicaset.apps/hello scaled\n');
    expect(await ok('get rs hello -o jsonpath={.spec.replicas}')).toBe('5');
    expect(await ok('scale rs hello --replicas=2 --current-replicas=5')).toBe('replicaset.apps/hello scaled\n');
    expect(await ok('label svc hello-service tier=web')).toBe('service/hello-service labeled\n');
    expect(await ok('get svc -l tier=web -o name')).toBe('service/hello-service\n');
    expect(await ok('label svc hello-service tier-')).toBe('service/hello-service unlabeled\n');
    expect(await ok('annotate svc hello-service a=b')).toBe('service/hello-service annotated\n');
    expect(await ok('patch svc hello-service -p {"spec":{"type":"NodePort"}}')).toBe('service/hello-service patched\n');
    expect(await ok('set image rs/hello hello=other:2')).toBe('replicaset.apps/hello image updated\n');
    const described = await ok('describe svc hello-service');
    expect(described).toMatch(/^NodePort: +<unset> +3\d{4}\/TCP$/m);
    expect(described).toMatch(/^Selector: +app=hello$/m);
    expect(await ok('describe rs hello')).toMatch(/^Replicas: +0 current \/ 2 desired$/m);
  });

  test('create of every sort, in the protobuf that it speaks', async () => {
    expect(await ok('create deployment web --image=nginx --replicas=0 --port=80')).toBe(
      'deployment.apps/web created\n',
    );
    const deployment = JSON.parse(await ok('get deploy web -o json'));
    expect(deployment.spec).toMatchObject({
      replicas: 0,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      template: {
        spec: {
          containers: [
            {
              name: 'nginx',
              image: 'nginx',
              ports: [{ containerPort: 80, protocol: 'TCP' }],
              imagePullPolicy: 'Always',
            },
          ],
        },
      },
    });
    await ok('create service nodeport np --tcp=80:8080 --node-port=30080');
    expect(JSON.parse(await ok('get svc np -o json')).spec).toMatchObject({
      type: 'NodePort',
      ports: [{ name: '80-8080', port: 80, targetPort: 8080, nodePort: 30080 }],
      selector: { app: 'np' },
    });
    await ok('create service externalname ext --external-name=example.com');
    await ok('create configmap cm --from-literal=a=b');
    await ok('create secret generic s --from-literal=password=x');
    expect(await ok('get secret s -o jsonpath={.data.password}')).toBe('eA==');
    await ok('create serviceaccount sa');
    await ok('create namespace other');
    await ok('run lonely --image=nginx --env=A=b --labels=x=y');
    expect(await ok('expose pod lonely --port=80 --name=lonely-service')).toBe('service/lonely-service exposed\n');
    expect(await ok('get svc lonely-service -o jsonpath={.spec.selector}')).toBe('{"x":"y"}');
    const taken = await kubectl('create service nodeport np2 --tcp=80:8080 --node-port=30080');
    expect(taken.err).toContain('spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated');
  });

  test('delete, wait and get -w', async () => {
    // All it says, as it comes: a line may arrive in pieces, and an error says why one does not.
    let said = '';
    const watcher = spawn('kubectl', ['get', 'cm', '-w', '--no-headers'], { env: environment });
    for (const stream of [watcher.stdout, watcher.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    await expect.poll(() => said, { timeout: 20_000 }).not.toBe('');
    await ok('create configmap watched --from-literal=a=b');
    await expect.poll(() => said, { timeout: 20_000 }).toMatch(/^watched +1 /m);
    watcher.kill();
    const waiting = ok('wait --for=delete cm/watched --timeout=10s');
    expect(await ok('delete cm watched')).toBe('configmap "watched" deleted\n');
    await waiting;
    expect(await ok('delete pod lonely')).toBe('pod "lonely" deleted\n');
    expect(await ok('delete svc -l app=np')).toBe('service "np" deleted\n');
    expect((await kubectl('get svc np')).err).toBe('Error from server (NotFound): services "np" not found\n');
    expect(await ok('wait --for=jsonpath={.spec.replicas}=2 rs/hello --timeout=5s')).toBe(
      'replicaset.apps/hello condition met\n',
    );
  });

  test('explain and replace', async () => {
    expect(await ok('explain service.spec.ports.targetPort')).toMatch(/^FIELD: targetPort <IntOrString>$/m);
    expect(await ok('explain service.spec --recursive')).toContain('sessionAffinityConfig\t<SessionAffinityConfig>');
    const object = JSON.parse(await ok('get cm cm -o json'));
    expect(await ok('replace -f -', JSON.stringify({ ...object, data: { a: 'c' } }))).toBe('configmap/cm replaced\n');
    const stale = await kubectl('replace -f -', JSON.stringify({ ...object, data: { a: 'd' } }));
    expect(stale.err).toContain('Operation cannot be fulfilled on configmaps "cm": the object has been modified');
  });
});
