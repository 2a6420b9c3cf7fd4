import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, root, Signalbox } from './signalbox.ts';

const box = new Signalbox();
const cluster = join(box.home, 'clusters/default');
const folder = '/var/run/secrets/kubernetes.io/serviceaccount';
const pod = 'pod/reader';

beforeAll(async () => {
  await box.must('up', '-f', join(root, 'examples/hello.yaml'));
  await box.kubectlMust('create', 'serviceaccount', 'reader');
  await box.kubectlMust('create', 'rolebinding', 'reader', '--clusterrole=view', '--serviceaccount=default:reader');
  const spec = JSON.stringify({ spec: { serviceAccountName: 'reader' } });
  await box.kubectlMust('run', 'reader', '--image=registry.k8s.io/pause:3.10', `--overrides=${spec}`);
  await box.kubectlMust('wait', '--for=condition=Ready', pod, '--timeout=60s');
});
afterAll(() => box.close());

function token(): Promise<string> {
  return box.must('exec', pod, '--', 'cat', `${folder}/token`);
}

/** The API as a program in the Pod reaches it that knows nothing but what every Pod has. */
function curl(path: string): Promise<string> {
  const script = `curl -sS --max-time 20 --cacert ${folder}/ca.crt -H "Authorization: Bearer $(cat ${folder}/token)" "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT${path}"`;
  return box.must('exec', pod, '--', 'sh', '-c', script);
}

describe('a Pod with a service account', () => {
  test('reaches the API by the Service kubernetes, as itself', async () => {
    expect(await box.must('exec', pod, '--', 'cat', `${folder}/namespace`)).toBe('default');
    expect(JSON.parse(await curl('/api/v1/namespaces/default/services/hello-service')).kind).toBe('Service');
    expect(JSON.parse(await curl('/api/v1/namespaces/default/secrets')).message).toBe(
      'secrets is forbidden: User "system:serviceaccount:default:reader" cannot list resource "secrets" in API group "" in the namespace "default"',
    );
    expect(JSON.parse(await curl('/api/v1/namespaces/kube-system/pods')).code).toBe(403);
  });

  test('is itself to the real kubectl in its place, by in-cluster configuration alone', async () => {
    const args = ['exec', pod, '--', 'env', '-u', 'KUBECONFIG', `HOME=${box.home}`, 'kubectl'];
    expect(await box.must(...args, 'get', 'service', 'hello-service', '-o', 'name')).toBe('service/hello-service\n');
    expect(await box.must(...args, 'auth', 'whoami')).toContain('system:serviceaccount:default:reader');
  });

  test('has a token that dies with it', async () => {
    const text = await token();
    const me = [
      '--kubeconfig=/dev/null',
      `--server=${await server()}`,
      '--insecure-skip-tls-verify',
      `--token=${text}`,
    ];
    expect((await box.kubectl(...me, 'get', 'services')).status).toBe(0);
    await box.kubectlMust('delete', 'pod', 'reader', '--grace-period=0', '--force');
    await eventually('the token is refused', async () => {
      const { stderr } = await box.kubectl(...me, 'get', 'services');
      return stderr.includes('Unauthorized') ? true : undefined;
    });
  });
});

async function server(): Promise<string> {
  return box.kubectlMust('config', 'view', '--raw', '-o', 'jsonpath={.clusters[0].cluster.server}');
}

describe('the cluster’s own parts', () => {
  test('never ask for what they may not have', () => {
    expect(
      logs().filter(({ text }) => /forbidden|cannot (get|list|watch|create|update|patch|delete)/i.test(text)),
    ).toEqual([]);
  });

  test('DNS speaks to the API as its service account', async () => {
    const spec = await box.kubectlMust('-n', 'kube-system', 'get', 'deployment', 'cluster-dns', '-o', 'yaml');
    expect(spec).toContain('serviceAccountName: coredns');
    expect(spec).not.toContain('secretName');
    expect(await box.kubectlMust('-n', 'kube-system', 'get', 'secrets', '-o', 'name')).toBe('');
  });

  test('write no token and no key into their logs', async () => {
    const issued = await box.kubectlMust('create', 'token', 'reader');
    await box.kubectlMust('create', 'secret', 'generic', 'hidden', '--from-literal=password=correct-horse');
    await box.kubectl('--token', issued.trim(), 'get', 'pods');
    await box.kubectl('--token', `${issued.trim()}x`, 'get', 'pods');
    const all = logs();
    expect(all.length).toBeGreaterThan(8);
    for (const { file, text } of all) {
      // A signed token, a PEM key, what a header carries, a Secret's value plain or encoded.
      expect(text, file).not.toMatch(/eyJ[\w-]{10,}\.[\w-]{10,}|PRIVATE KEY|Bearer |correct-horse|Y29ycmVjdC1ob3JzZ/);
      for (const key of keys()) expect(text, file).not.toContain(key);
    }
  });
});

interface Log {
  readonly file: string;
  readonly text: string;
}

/** What every component, and every container, has written. */
function logs(): Log[] {
  const files = ['components', 'nodes', '.'].flatMap((part) =>
    readdirSync(join(cluster, part), { recursive: part !== '.', encoding: 'utf8' }).map((file) =>
      join(cluster, part, file),
    ),
  );
  return files.filter((file) => file.endsWith('.log')).map((file) => ({ file, text: readFileSync(file, 'utf8') }));
}

/** A line out of the middle of each private key. */
function keys(): string[] {
  const pki = join(cluster, 'pki');
  const files = readdirSync(pki).filter((file) => file.endsWith('.key'));
  expect(files).toContain('sa.key');
  return files.map((file) => readFileSync(join(pki, file), 'utf8').split('\n')[1] ?? 'none');
}
