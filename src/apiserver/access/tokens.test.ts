import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { TokenReview } from '../../api/generated/types.ts';
import { startTestServer, type TestServer } from '../test-server.ts';

let server: TestServer;
let kubeconfig: string;
beforeAll(async () => {
  server = await startTestServer({ disabledAdmission: [] });
  kubeconfig = join(server.dir, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigOf(server), { mode: 0o600 });
  await createAccount('robot');
});
afterAll(() => server.close());

/** What an answer's body has, as far as tests look. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
type Body = any;

interface Asked {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  /** In place of the administrator's certificate. */
  readonly token?: string;
}

function ask({ method = 'GET', path, body, token }: Asked): Promise<{ readonly code: number; readonly body: Body }> {
  const { server: url, certificateAuthority: ca, clientCertificate: cert, clientKey: key } = server.admin;
  const who = token === undefined ? { cert, key } : { headers: { authorization: `Bearer ${token}` } };
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { method, ca, ...who, agent: false, timeout: 10_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ code: answer.statusCode ?? 0, body: JSON.parse(text) }));
    });
    sent.once('error', reject);
    sent.end(body === undefined ? '' : JSON.stringify(body));
  });
}

const core = '/api/v1/namespaces/default';

async function createAccount(name: string): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } };
  expect((await ask({ method: 'POST', path: `${core}/serviceaccounts`, body })).code).toBe(201);
}

async function createPod(name: string, serviceAccountName: string): Promise<void> {
  const spec = { serviceAccountName, containers: [{ name: 'c', image: 'i' }] };
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
  expect((await ask({ method: 'POST', path: `${core}/pods`, body })).code).toBe(201);
}

function kubeconfigOf({ admin: client }: TestServer): string {
  const data = (text: string) => Buffer.from(text).toString('base64');
  const cluster = { server: client.server, 'certificate-authority-data': data(client.certificateAuthority) };
  const user = {
    'client-certificate-data': data(client.clientCertificate),
    'client-key-data': data(client.clientKey),
  };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [
      { name: 'admin', user },
      { name: 'nobody', user: {} },
    ],
    contexts: [
      { name: 'x', context: { cluster: 'c', user: 'admin' } },
      { name: 'nobody', context: { cluster: 'c', user: 'nobody' } },
    ],
    'current-context': 'x',
  });
}

async function requestToken(account: string, spec: object = {}) {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [], ...spec } };
  return ask({ method: 'POST', path: `${core}/serviceaccounts/${account}/token`, body });
}

async function tokenOf(account: string, spec: object = {}): Promise<string> {
  return (await requestToken(account, spec)).body.status.token;
}

async function codeOf(token: string): Promise<number> {
  return (await ask({ path: '/version', token })).code;
}

async function review(token: string, audiences?: string[]): Promise<TokenReview['status']> {
  const spec = { token, ...(audiences === undefined ? {} : { audiences }) };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec };
  return (await ask({ method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', body })).body.status;
}

describe('a service account’s token', () => {
  test('says who it is', async () => {
    const status = await review(await tokenOf('robot'));
    expect(status).toEqual({
      authenticated: true,
      audiences: ['https://kubernetes.default.svc.cluster.local'],
      user: {
        username: 'system:serviceaccount:default:robot',
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
        extra: { 'authentication.kubernetes.io/credential-id': [expect.stringMatching(/^JTI=/)] },
      },
    });
  });

  test('for somebody else is not for the API', async () => {
    const token = await tokenOf('robot', { audiences: ['vault'] });
    expect(await codeOf(token)).toBe(401);
    expect(await review(token)).toEqual({ user: {}, error: 'invalid bearer token' });
    expect((await review(token, ['vault', 'other']))?.audiences).toEqual(['vault']);
  });

  test('ends when its time is over', async () => {
    const token = await tokenOf('robot', { expirationSeconds: 600 });
    expect(await codeOf(token)).toBe(200);
    vi.useFakeTimers({ now: Date.now() + 601_000, toFake: ['Date'] });
    try {
      expect((await review(token))?.authenticated).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
    expect((await requestToken('robot', { expirationSeconds: 60 })).body.message).toBe(
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
    );
  });

  test('dies with its Pod, and with its account, though others take their names', async () => {
    await createAccount('mortal');
    await createPod('p', 'mortal');
    const bound = await tokenOf('mortal', { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p' } });
    const free = await tokenOf('mortal');
    expect((await review(bound))?.user?.extra?.['authentication.kubernetes.io/pod-name']).toEqual(['p']);
    expect([await codeOf(bound), await codeOf(free)]).toEqual([200, 200]);
    await ask({ method: 'DELETE', path: `${core}/pods/p?gracePeriodSeconds=0` });
    expect([await codeOf(bound), await codeOf(free)]).toEqual([401, 200]);
    await createPod('p', 'mortal');
    expect(await codeOf(bound)).toBe(401);
    await ask({ method: 'DELETE', path: `${core}/serviceaccounts/mortal` });
    expect(await codeOf(free)).toBe(401);
    await createAccount('mortal');
    expect(await codeOf(free)).toBe(401);
  });

  test('is bound only to what is there and what is the account’s', async () => {
    const bind = async (ref: object) =>
      (await requestToken('robot', { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', ...ref } })).body.message;
    await createAccount('other');
    await createPod('of-other', 'other');
    expect(await bind({ name: 'of-other' })).toContain('to pod running with different serviceaccount name');
    expect(await bind({ name: 'none' })).toBe('pods "none" not found');
    expect(await bind({ kind: 'Service', name: 'kubernetes' })).toContain('cannot bind token to object of type');
  });

  test('outlives a restart of the API server', async () => {
    const token = await tokenOf('robot');
    await server.restart();
    expect(await codeOf(token)).toBe(200);
    expect(await codeOf(`${token.slice(0, -6)}AAAAAA`)).toBe(401);
  });

  test('can be checked by the issuer’s documents', async () => {
    const token = await tokenOf('robot');
    const issuer = await ask({ path: '/.well-known/openid-configuration', token });
    expect(issuer.body).toMatchObject({
      issuer: 'https://kubernetes.default.svc.cluster.local',
      jwks_uri: expect.any(String),
    });
    const { body } = await ask({ path: '/openid/v1/jwks', token });
    expect(body.keys).toEqual([expect.objectContaining({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })]);
  });
});

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
if (!hasKubectl) console.warn('skipped: the tests with kubectl, because there is no kubectl on the path');

/** Runs kubectl; what it printed, errors too. */
function kubectl(line: string): Promise<string> {
  const env = { ...process.env, KUBECONFIG: kubeconfig, KUBECACHEDIR: join(server.dir, 'cache') };
  return new Promise((resolve) => {
    execFile('kubectl', line.split(' '), { env, timeout: 20_000 }, (_, out, err) => resolve(out + err));
  });
}

describe.skipIf(!hasKubectl)('kubectl', { timeout: 60_000 }, () => {
  test('creates roles and bindings, and asks what they allow', async () => {
    expect(await kubectl('create role reader --verb=get,list --resource=pods,pods/log')).toBe(
      'role.rbac.authorization.k8s.io/reader created\n',
    );
    expect(await kubectl('create rolebinding reads --role=reader --serviceaccount=default:robot')).toBe(
      'rolebinding.rbac.authorization.k8s.io/reads created\n',
    );
    expect(await kubectl('create clusterrole metrics --verb=get --non-resource-url=/metrics')).toContain('created');
    expect(await kubectl('create clusterrolebinding metrics --clusterrole=metrics --user=ann --group=dev')).toContain(
      'created',
    );
    const robot = '--as=system:serviceaccount:default:robot';
    expect(await kubectl(`auth can-i list pods ${robot}`)).toBe('yes\n');
    expect(await kubectl(`auth can-i get pods --subresource=log ${robot}`)).toBe('yes\n');
    expect(await kubectl(`auth can-i delete pods ${robot}`)).toBe('no\n');
    expect(await kubectl(`auth can-i list pods -n kube-system ${robot}`)).toBe('no\n');
    expect(await kubectl('auth can-i get /metrics --as=ann')).toBe('yes\n');
    expect(await kubectl('auth can-i get /metrics --as=bob --as-group=dev')).toBe('yes\n');
    expect(await kubectl('auth can-i * * --all-namespaces')).toBe('yes\n');
    const list = await kubectl(`auth can-i --list ${robot}`);
    expect(list).toMatch(/^pods\/log +\[\] +\[\] +\[get list\]$/m);
    expect(list).toMatch(/^ +\[\/api\/\*\] +\[\] +\[get\]$/m);
    expect(await kubectl('get rolebindings -o wide')).toMatch(/^reads +Role\/reader +\S+ +default\/robot$/m);
    expect(await kubectl('get roles')).toMatch(/^NAME +CREATED AT\n(.*\n)?reader +\d{4}-\d\d-\d\dT/);
    expect(await kubectl('describe role reader')).toMatch(/pods\/log +\[\] +\[\] +\[get list\]/);
  });

  test('uses a token that it created', async () => {
    await createAccount('user');
    await createPod('of-user', 'user');
    await kubectl('create role lister --verb=list --resource=pods');
    await kubectl('create rolebinding lists --role=lister --serviceaccount=default:user');
    const token = (await kubectl('create token user --duration=20m')).trim();
    expect(token).toMatch(/^ey[\w-]+\.[\w-]+\.[\w-]+$/);
    const nobody = `--context=nobody --token=${token}`;
    const who = await kubectl(`${nobody} auth whoami`);
    expect(who).toMatch(/^Username +system:serviceaccount:default:user$/m);
    expect(who).toMatch(/^Groups +\[system:serviceaccounts system:serviceaccounts:default system:authenticated\]$/m);
    expect(await kubectl(`${nobody} get pods -o name`)).toMatch(/^pod\/of-user$/m);
    expect(await kubectl(`${nobody} get services`)).toBe(
      'Error from server (Forbidden): services is forbidden: User "system:serviceaccount:default:user" cannot list resource "services" in API group "" in the namespace "default"\n',
    );
    expect(await kubectl(`${nobody} get pods --as=admin`)).toBe(
      'Error from server (Forbidden): users "admin" is forbidden: User "system:serviceaccount:default:user" cannot impersonate resource "users" in API group "" at the cluster scope\n',
    );
    expect(await kubectl('--context=nobody --token=nonsense get pods')).toBe(
      'error: You must be logged in to the server (Unauthorized)\n',
    );
  });
});
