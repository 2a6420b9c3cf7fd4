import { execFile, spawn, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
if (!hasKubectl) console.warn('skipped: the tests with kubectl, because there is no kubectl on the path');

let server: TestServer;
let environment: NodeJS.ProcessEnv;
let tests = 0;
/** Of the test that runs: what one leaves behind no other meets. */
let namespace: string;

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

/** Runs kubectl, in the test's namespace where the line names none; `input` is its standard input. */
function kubectl(line: string, input = ''): Promise<{ status: number; out: string; err: string }> {
  const args = ['--namespace', namespace, ...line.split(' ')];
  return new Promise((resolve) => {
    const child = execFile('kubectl', args, { env: environment, timeout: 30_000 }, (error, out, err) => {
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

describe.skipIf(!hasKubectl)('kubectl', { timeout: 120_000 }, () => {
  beforeEach(async () => {
    namespace = `test-${++tests}`;
    await ok(`create namespace ${namespace}`);
  });

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
    await ok('apply -f -', hello);
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
    await ok('apply -f -', hello);
    await ok('create service clusterip another --tcp=443:8443');
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
    expect(lines(await ok('get endpointslices -n default'))[1]).toEqual([
      'kubernetes',
      'IPv4',
      '6443',
      '192.168.101.2',
      expect.any(String),
    ]);
    expect((await ok('get svc -A -o name')).split('\n')).toEqual(
      expect.arrayContaining(['service/another', 'service/hello-service', 'service/kubernetes']),
    );
    expect((await ok('get all')).match(/^service\/hello-service/m)).not.toBeNull();
    const sorted = await ok('get svc --sort-by=.spec.ports[0].port --no-headers -o custom-columns=N:.metadata.name');
    expect(sorted.trim().split('\n')).toEqual(['hello-service', 'another']);
    expect(lines(await ok('get svc --sort-by=.metadata.name')).map(([name]) => name)).toEqual([
      'NAME',
      'another',
      'hello-service',
    ]);
    expect(await ok('api-resources -o name --api-group=apps')).toBe(
      ['controllerrevisions', 'daemonsets', 'deployments', 'replicasets', 'statefulsets']
        .map((n) => `${n}.apps\n`)
        .join(''),
    );
  });

  test('scale, label, annotate, patch, set image, describe', async () => {
    await ok('apply -f -', hello);
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
    await ok('create configmap there --from-literal=a=b');
    const args = ['get', 'cm', '-w', '--no-headers', '--namespace', namespace];
    const watcher = spawn('kubectl', args, { env: environment });
    for (const stream of [watcher.stdout, watcher.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    await expect.poll(() => said, { timeout: 20_000 }).not.toBe('');
    await ok('create configmap watched --from-literal=a=b');
    await expect.poll(() => said, { timeout: 20_000 }).toMatch(/^watched +1 /m);
    watcher.kill();
    const waiting = ok('wait --for=delete cm/watched --timeout=20s');
    expect(await ok('delete cm watched')).toBe('configmap "watched" deleted\n');
    await waiting;
    await ok('run lonely --image=nginx');
    expect(await ok('delete pod lonely')).toBe('pod "lonely" deleted\n');
    await ok('create service clusterip gone --tcp=80:8080');
    expect(await ok('delete svc -l app=gone')).toBe('service "gone" deleted\n');
    expect((await kubectl('get svc gone')).err).toBe('Error from server (NotFound): services "gone" not found\n');
    await ok('apply -f -', hello);
    expect(await ok('wait --for=jsonpath={.spec.replicas}=3 rs/hello --timeout=15s')).toBe(
      'replicaset.apps/hello condition met\n',
    );
  });

  test('explain and replace', async () => {
    expect(await ok('explain service.spec.ports.targetPort')).toMatch(/^FIELD: targetPort <IntOrString>$/m);
    expect(await ok('explain service.spec --recursive')).toContain('sessionAffinityConfig\t<SessionAffinityConfig>');
    const explained = await ok('explain service.spec.clusterIP');
    expect(explained).toContain('clusterIP is the IP address of the service and is usually assigned randomly.');
    await ok('create configmap cm --from-literal=a=b');
    const object = JSON.parse(await ok('get cm cm -o json'));
    expect(await ok('replace -f -', JSON.stringify({ ...object, data: { a: 'c' } }))).toBe('configmap/cm replaced\n');
    const stale = await kubectl('replace -f -', JSON.stringify({ ...object, data: { a: 'd' } }));
    expect(stale.err).toContain('Operation cannot be fulfilled on configmaps "cm": the object has been modified');
  });

  test('explain knows every kind there is, by OpenAPI 3 and by the protobuf of OpenAPI 2', async () => {
    const lines = (await ok('api-resources --no-headers')).trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(25);
    for (const line of lines) {
      const columns = line.trim().split(/ +/);
      const [apiVersion, , kind] = columns.slice(-3);
      const explain = `explain ${columns[0]} --api-version=${apiVersion}`;
      const [explained, older] = await Promise.all([ok(explain), ok(`${explain} --output=plaintext-openapiv2`)]);
      expect(explained).toMatch(new RegExp(`^KIND: +${kind}$`, 'm'));
      expect(explained).toMatch(/^ {2}apiVersion\t<string>$/m);
      expect(older).toMatch(new RegExp(`^KIND: +${kind}$`, 'm'));
      expect(older).toMatch(/^ {3}apiVersion\t<string>$/m);
    }
  });

  test('events of both versions, of one object', async () => {
    const event = (name: string) =>
      JSON.stringify({
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name },
        eventTime: new Date().toISOString().replace('Z', '000Z'),
        reportingController: 'example.com/watcher',
        reportingInstance: 'watcher-1',
        action: 'Watching',
        reason: 'Seen',
        regarding: { apiVersion: 'v1', kind: 'Service', name: 'hello-service', namespace },
        note: 'it was there',
        type: 'Normal',
      });
    expect(await ok('create -f -', event('seen'))).toBe('event.events.k8s.io/seen created\n');
    expect(await ok('events --for=service/hello-service')).toMatch(
      /Normal +Seen +Service\/hello-service +it was there/,
    );
    expect(await ok('get events.events.k8s.io seen -o jsonpath={.note}')).toBe('it was there');
    expect(await ok('get events.v1. seen -o jsonpath={.message}')).toBe('it was there');
    expect(await ok('delete events.events.k8s.io seen')).toBe('event.events.k8s.io "seen" deleted\n');
  });

  test('apply on the server: owners, conflicts, force', async () => {
    const map = (data: object, labels: object = {}) =>
      JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'owned', labels }, data });
    const apply = 'apply --server-side -f -';
    expect(await ok(apply, map({ a: '1', b: '1' }))).toBe('configmap/owned serverside-applied\n');
    expect(await ok(`${apply} --field-manager=other`, map({ c: '1' }))).toBe('configmap/owned serverside-applied\n');
    const refused = await kubectl(`${apply} --field-manager=other`, map({ a: '2' }));
    expect(refused.status).toBe(1);
    expect(refused.err).toContain('Apply failed with 1 conflict: conflict with "kubectl": .data.a');
    expect(await ok(`${apply} --field-manager=other --force-conflicts`, map({ a: '2' }))).toBe(
      'configmap/owned serverside-applied\n',
    );
    // Gone is what it applied before and does not any more; what another has stays.
    expect(JSON.parse(await ok('get cm owned -o jsonpath={.data}'))).toEqual({ a: '2', b: '1' });
    expect(await ok('get cm owned -o yaml')).not.toContain('managedFields');
    const shown = JSON.parse(await ok('get cm owned -o json --show-managed-fields'));
    const byName = (a: { manager: string }, b: { manager: string }) => (a.manager < b.manager ? -1 : 1);
    expect(shown.metadata.managedFields.sort(byName)).toMatchObject([
      {
        manager: 'kubectl',
        operation: 'Apply',
        apiVersion: 'v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:data': { 'f:b': {} } },
      },
      { manager: 'other', operation: 'Apply', fieldsV1: { 'f:data': { 'f:a': {} } } },
    ]);
    const { resourceVersion } = shown.metadata;
    await ok(`${apply} --field-manager=other`, map({ a: '2' }));
    expect(await ok('get cm owned -o jsonpath={.metadata.resourceVersion}')).toBe(resourceVersion);
    const unknown = await kubectl(apply, map({ a: '1' }).replace('"data"', '"dat"'));
    expect(unknown.err).toContain(
      `failed to create typed patch object (${namespace}/owned; v1, Kind=ConfigMap): .dat: field not declared in schema`,
    );
    expect(await ok(`${apply} --dry-run=server --force-conflicts`, map({ a: '9' }))).toBe(
      'configmap/owned serverside-applied (server dry run)\n',
    );
    expect(await ok('get cm owned -o jsonpath={.data.a}')).toBe('2');
  });

  test('apply on the server takes over what was applied by kubectl itself', async () => {
    const service = (targetPort: number, label: string) => `
apiVersion: v1
kind: Service
metadata: {name: moved, labels: {${label}: moved}}
spec:
  selector: {app: moved}
  ports: [{name: http, port: 80, targetPort: ${targetPort}}]
`;
    await ok('apply -f -', service(8080, 'app'));
    const managers = 'get svc moved --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}';
    expect(await ok(managers)).toBe('kubectl-client-side-apply');
    expect(await ok('apply --server-side -f -', service(8081, 'app'))).toBe('service/moved serverside-applied\n');
    // Those of one operation are in the order of their times.
    expect((await ok(managers)).split(' ').sort()).toEqual(['kubectl', 'kubectl-last-applied']);
    expect(await ok('get svc moved -o jsonpath={.spec.ports[*].targetPort}')).toBe('8081');
    await ok('apply --server-side -f -', service(8081, 'other'));
    expect(await ok('get svc moved -o jsonpath={.metadata.labels}')).toBe('{"other":"moved"}');
  });

  test('scale has its own owner; who applies the same number meets it', async () => {
    expect(await ok('create deployment scaled --image=nginx --replicas=0')).toBe('deployment.apps/scaled created\n');
    await ok('scale deploy scaled --replicas=2');
    const owners = JSON.parse(await ok('get deploy scaled -o json --show-managed-fields')).metadata.managedFields;
    // Entries of one second are in the order of their names.
    owners.sort((a: { manager: string }, b: { manager: string }) => (a.manager < b.manager ? -1 : 1));
    expect(owners).toMatchObject([
      { manager: 'kubectl', operation: 'Update', subresource: 'scale', fieldsV1: { 'f:spec': { 'f:replicas': {} } } },
      { manager: 'kubectl-create', operation: 'Update', apiVersion: 'apps/v1' },
    ]);
    const applied = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'scaled' }, spec: { replicas: 5 } };
    const refused = await kubectl('apply --server-side -f -', JSON.stringify(applied));
    expect(refused.err).toContain(
      'Apply failed with 1 conflict: conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas',
    );
  });

  test('StatefulSets and DaemonSets have their defaults, columns and rules', async () => {
    const template = { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'db', image: 'db:1' }] } };
    const spec = { selector: { matchLabels: { app: 'db' } }, template };
    const stateful = {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'db' },
      spec: { ...spec, serviceName: 'db' },
    };
    expect(await ok('apply -f -', JSON.stringify(stateful))).toBe('statefulset.apps/db created\n');
    expect(JSON.parse(await ok('get sts db -o json')).spec).toMatchObject({
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      revisionHistoryLimit: 10,
    });
    expect(await ok('scale sts db --replicas=3')).toBe('statefulset.apps/db scaled\n');
    expect(await ok('get sts')).toMatch(/^NAME +READY +AGE\ndb +0\/3 +\d+s\n$/);
    const renamed = { ...stateful, spec: { ...stateful.spec, serviceName: 'other' } };
    expect((await kubectl('apply -f -', JSON.stringify(renamed))).err).toContain(
      "The StatefulSet \"db\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    );
    const daemons = { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'agent' }, spec };
    await ok('apply -f -', JSON.stringify(daemons));
    expect(await ok('get ds agent -o jsonpath={.spec.updateStrategy}')).toBe(
      '{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1},"type":"RollingUpdate"}',
    );
    expect(await ok('get ds')).toMatch(
      /^NAME +DESIRED +CURRENT +READY +UP-TO-DATE +AVAILABLE +NODE SELECTOR +AGE\nagent +0 +0 +0 +0 +0 +<none> +\d+s\n$/,
    );
    const both = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } };
    const greedy = { ...daemons, metadata: { name: 'greedy' }, spec: { ...spec, updateStrategy: both } };
    expect((await kubectl('create -f -', JSON.stringify(greedy))).err).toContain(
      'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero',
    );
    await ok('delete sts/db ds/agent');
  });

  test('drain evicts the Pods of a node', async () => {
    await ok('create -f -', JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'old' } }));
    const pod = { metadata: { name: 'evicted' }, spec: { nodeName: 'old', containers: [{ name: 'c', image: 'i' }] } };
    await ok('create -f -', JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }));
    expect(await ok('drain old --force --grace-period=0')).toBe(
      `node/old cordoned\nevicting pod ${namespace}/evicted\npod/evicted evicted\nnode/old drained\n`,
    );
    expect(await ok('get nodes')).toMatch(/^old +Unknown,SchedulingDisabled /m);
    expect((await kubectl('get pod evicted')).err).toBe('Error from server (NotFound): pods "evicted" not found\n');
    await ok('uncordon old');
  });
});
