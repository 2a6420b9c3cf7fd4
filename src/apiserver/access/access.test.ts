import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../test-server.ts';

/** What an answer's body has, as far as tests look. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
type Body = any;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    disabledAdmission: [],
    // Who one is stands in a header, so that one test can be many.
    authenticate: ({ headers }) => {
      const [name = '', ...groups] = String(headers['x-user'] ?? '').split(' ');
      return name === '' ? undefined : { name, groups: [...groups, 'system:authenticated'] };
    },
  });
  await as(root, 'POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
});
afterAll(() => server.close());

const root = 'root system:masters';
const core = '/api/v1/namespaces/default';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const kinds: { readonly [plural: string]: readonly [string, string] } = {
  serviceaccounts: ['v1', 'ServiceAccount'],
  configmaps: ['v1', 'ConfigMap'],
  pods: ['v1', 'Pod'],
  nodes: ['v1', 'Node'],
  roles: ['rbac.authorization.k8s.io/v1', 'Role'],
  rolebindings: ['rbac.authorization.k8s.io/v1', 'RoleBinding'],
  clusterroles: ['rbac.authorization.k8s.io/v1', 'ClusterRole'],
  clusterrolebindings: ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding'],
};

async function as(user: string, method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, object?: object) {
  const plural =
    url
      .split('?')[0]
      ?.split('/')
      .find((part) => part in kinds) ?? '';
  const [apiVersion, kind] = kinds[plural] ?? [];
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await server.inject({
    method,
    url,
    headers: { ...(user === '' ? {} : { 'x-user': user }), 'content-type': type },
    ...(object === undefined ? {} : { payload: JSON.stringify({ apiVersion, kind, ...object }) }),
  });
  return { code: answer.statusCode, body: JSON.parse(answer.body) as Body };
}

const readPods = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] };

async function grant(user: string, rules: readonly object[], name: string): Promise<void> {
  const made = await as(root, 'POST', `${rbac}/clusterroles`, { metadata: { name }, rules });
  expect(made.code).toBe(201);
  const subjects = [{ kind: 'User', name: user }];
  const roleRef = { kind: 'ClusterRole', name };
  const bound = await as(root, 'POST', `${rbac}/clusterrolebindings`, { metadata: { name }, subjects, roleRef });
  expect(bound.code).toBe(201);
}

describe('authorization', () => {
  test.each([
    [
      'GET',
      '/api/v1/pods',
      'pods is forbidden: User "eve" cannot list resource "pods" in API group "" at the cluster scope',
    ],
    [
      'GET',
      `${core}/pods`,
      'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"',
    ],
    [
      'GET',
      `${core}/pods?watch=1`,
      'pods is forbidden: User "eve" cannot watch resource "pods" in API group "" in the namespace "default"',
    ],
    [
      'GET',
      `${core}/pods/p`,
      'pods "p" is forbidden: User "eve" cannot get resource "pods" in API group "" in the namespace "default"',
    ],
    [
      'DELETE',
      '/apis/apps/v1/namespaces/x/deployments/d',
      'deployments.apps "d" is forbidden: User "eve" cannot delete resource "deployments" in API group "apps" in the namespace "x"',
    ],
    [
      'GET',
      '/apis/apps/v1/namespaces/x/deployments/d/scale',
      'deployments.apps "d" is forbidden: User "eve" cannot get resource "deployments/scale" in API group "apps" in the namespace "x"',
    ],
    [
      'GET',
      '/api/v1/namespaces/x',
      'namespaces "x" is forbidden: User "eve" cannot get resource "namespaces" in API group "" in the namespace "x"',
    ],
    ['GET', '/metrics', 'forbidden: User "eve" cannot get path "/metrics"'],
  ] as const)('%s %s is refused in Kubernetes’ words', async (method, url, message) => {
    const { code, body } = await as('eve', method, url);
    expect([code, body.reason, body.message]).toEqual([403, 'Forbidden', message]);
  });

  test('everybody with a name sees what is served, and nobody without one', async () => {
    for (const path of ['/api', '/apis', '/version', '/openapi/v3']) {
      expect((await as('eve', 'GET', path)).code).toBe(200);
      expect((await as('', 'GET', path)).code).toBe(401);
    }
    expect((await server.inject({ method: 'GET', url: '/readyz' })).body).toBe('ok');
  });

  test('who may only get streams of Pods opens none: a WebSocket begins with a GET, but is a create', async () => {
    const rule = (verb: string) => [{ verbs: [verb], apiGroups: [''], resources: ['pods/exec', 'pods/portforward'] }];
    await grant('looker', rule('get'), 'streams-get');
    await grant('runner', [...rule('get'), ...rule('create')], 'streams-create');
    for (const stream of ['exec', 'portforward']) {
      const url = `/api/v1/namespaces/default/pods/none/${stream}`;
      const refused = await as('looker', 'GET', url);
      expect(refused.code).toBe(403);
      expect(refused.body.message).toContain(`cannot create resource "pods/${stream}"`);
      expect((await as('runner', 'GET', url)).code).toBe(404);
    }
  });

  test('a role counts where its binding is, from the moment it is there until it goes', async () => {
    await as(root, 'POST', `${rbac}/namespaces/default/roles`, { metadata: { name: 'r' }, rules: [readPods] });
    const binding = {
      metadata: { name: 'b' },
      roleRef: { kind: 'Role', name: 'r' },
      subjects: [{ kind: 'Group', name: 'readers' }],
    };
    const made = await as(root, 'POST', `${rbac}/namespaces/default/rolebindings`, binding);
    expect(made.body.roleRef).toEqual({ apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' });
    expect((await as('ann readers', 'GET', `${core}/pods`)).code).toBe(200);
    expect((await as('ann', 'GET', `${core}/pods`)).code).toBe(403);
    expect((await as('ann readers', 'GET', '/api/v1/namespaces/kube-system/pods')).code).toBe(403);
    const other = { ...binding, roleRef: { kind: 'ClusterRole', name: 'cluster-admin' } };
    const changed = await as(root, 'PUT', `${rbac}/namespaces/default/rolebindings/b`, other);
    expect([changed.code, changed.body.message]).toEqual([422, expect.stringContaining('cannot change roleRef')]);
    await as(root, 'DELETE', `${rbac}/namespaces/default/rolebindings/b`);
    expect((await as('ann readers', 'GET', `${core}/pods`)).code).toBe(403);
  });

  test('a name in a rule lets one object be read, and listed by its name', async () => {
    await grant('one', [{ ...readPods, resources: ['configmaps'], resourceNames: ['mine'] }], 'one');
    await as(root, 'POST', `${core}/configmaps`, { metadata: { name: 'mine' } });
    expect((await as('one', 'GET', `${core}/configmaps/mine`)).code).toBe(200);
    expect((await as('one', 'GET', `${core}/configmaps/other`)).code).toBe(403);
    expect((await as('one', 'GET', `${core}/configmaps`)).code).toBe(403);
    expect((await as('one', 'GET', `${core}/configmaps?fieldSelector=metadata.name%3Dmine`)).body.items).toHaveLength(
      1,
    );
  });
});

test('a PUT creates nothing for whoever may only change', async () => {
  const rule = { verbs: ['update'], apiGroups: [''], resources: ['endpoints'] };
  await grant('changer', [rule], 'changer');
  const put = () =>
    as('changer', 'PUT', `${core}/endpoints/e`, { apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'e' } });
  expect((await put()).body.message).toBe(
    'endpoints "e" is forbidden: User "changer" cannot create resource "endpoints" in API group "" in the namespace "default"',
  );
  await grant('changer', [{ ...rule, verbs: ['create'] }], 'maker');
  expect((await put()).code).toBe(201);
});

describe('roles that others are made of', () => {
  test('admin has what edit has, and edit what view has', async () => {
    const rulesOf = async (name: string) =>
      (await as(root, 'GET', `${rbac}/clusterroles/${name}`)).body.rules as object[];
    const [view, edit, admin] = await Promise.all(['view', 'edit', 'admin'].map(rulesOf));
    expect(view?.length).toBeGreaterThan(5);
    expect(edit).toEqual(expect.arrayContaining(view ?? []));
    expect(admin).toEqual(expect.arrayContaining(edit ?? []));
    expect(JSON.stringify(view)).not.toContain('secrets');
  });

  test('a role with the label of one adds to it, and takes away when it goes', async () => {
    const labels = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' };
    const rule = { verbs: ['get'], apiGroups: ['example.com'], resources: ['things'] };
    await as(root, 'POST', `${rbac}/clusterroles`, { metadata: { name: 'things', labels }, rules: [rule] });
    const rules = async (name: string) =>
      JSON.stringify((await as(root, 'GET', `${rbac}/clusterroles/${name}`)).body.rules);
    await expect.poll(() => rules('admin')).toContain('things');
    await as(root, 'DELETE', `${rbac}/clusterroles/things`);
    await expect.poll(() => rules('admin')).not.toContain('things');
  });
});

describe('giving rights', () => {
  const all = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
  const writeRoles = {
    verbs: ['create', 'update', 'patch'],
    apiGroups: ['rbac.authorization.k8s.io'],
    resources: ['*'],
  };

  test('nobody gives what it does not have', async () => {
    await grant('lender', [readPods, writeRoles], 'lender');
    const held = await as('lender', 'POST', `${rbac}/clusterroles`, { metadata: { name: 'lent' }, rules: [readPods] });
    expect(held.code).toBe(201);
    const more = await as('lender', 'PATCH', `${rbac}/clusterroles/lent`, { rules: [all] });
    expect([more.code, more.body.message]).toEqual([
      403,
      'clusterroles.rbac.authorization.k8s.io "lent" is forbidden: user "lender" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
    ]);
    // What gives nothing more may be changed by whoever may write it.
    await as(root, 'PATCH', `${rbac}/clusterroles/lent`, { rules: [all] });
    const labelled = await as('lender', 'PATCH', `${rbac}/clusterroles/lent`, { metadata: { labels: { a: 'b' } } });
    expect(labelled.code).toBe(200);
    const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] };
    const sum = await as('lender', 'POST', `${rbac}/clusterroles`, { metadata: { name: 'sum' }, aggregationRule });
    expect(sum.body.message).toContain('must have cluster-admin privileges to use an aggregationRule');
  });

  test('nobody binds a role that has more, unless it has the verb bind on it', async () => {
    await grant('binder', [writeRoles], 'binder');
    const binding = (name: string, role: string) => ({
      metadata: { name },
      roleRef: { kind: 'ClusterRole', name: role },
      subjects: [{ kind: 'User', name: 'binder' }],
    });
    const tries = async (name: string, role: string) =>
      as('binder', 'POST', `${rbac}/clusterrolebindings`, binding(name, role));
    expect((await tries('a', 'cluster-admin')).code).toBe(403);
    expect((await tries('a', 'nothing')).code).toBe(404);
    const bind = {
      verbs: ['bind'],
      apiGroups: ['rbac.authorization.k8s.io'],
      resources: ['clusterroles'],
      resourceNames: ['view'],
    };
    await grant('binder', [bind], 'binder-of-view');
    expect((await tries('a', 'edit')).code).toBe(403);
    expect((await tries('a', 'view')).code).toBe(201);
    const escalate = { verbs: ['escalate'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] };
    await grant('binder', [escalate], 'escalator');
    const role = { metadata: { name: 'everything' }, rules: [all] };
    expect((await as('binder', 'POST', `${rbac}/clusterroles`, role)).code).toBe(201);
  });

  test.each([
    [
      'roles',
      { rules: [{ verbs: [], apiGroups: [''], resources: ['pods'] }] },
      'rules[0].verbs: Required value: verbs must contain at least one value',
    ],
    [
      'roles',
      { rules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }] },
      'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
    ],
    [
      'rolebindings',
      { roleRef: { kind: 'Thing', name: 'x' } },
      'roleRef.kind: Unsupported value: "Thing": supported values: "Role", "ClusterRole"',
    ],
    ['rolebindings', {}, 'roleRef.name: Required value'],
    [
      'rolebindings',
      { roleRef: { kind: 'Role', name: 'x' }, subjects: [{ kind: 'ServiceAccount', name: 'x' }] },
      'subjects[0].namespace: Required value',
    ],
  ])('%s %j is invalid', async (plural, object, message) => {
    const { code, body } = await as(root, 'POST', `${rbac}/namespaces/default/${plural}`, {
      metadata: { name: 'bad' },
      ...object,
    });
    expect([code, body.message]).toEqual([422, expect.stringContaining(message)]);
  });
});

describe('the default roles', () => {
  test('come back at the next start as far as they lost something, and keep what was added', async () => {
    const path = `${rbac}/clusterroles/system:discovery`;
    const extra = { verbs: ['get'], nonResourceURLs: ['/extra'] };
    const wanted = (await as(root, 'GET', path)).body.rules as object[];
    await as(root, 'PATCH', path, { rules: [extra] });
    await as(root, 'DELETE', `${rbac}/clusterrolebindings/system:basic-user`);
    const left = `${rbac}/clusterroles/system:monitoring`;
    await as(root, 'PATCH', left, {
      metadata: { annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } },
      rules: [],
    });
    expect((await as('eve', 'GET', '/api')).code).toBe(403);
    await server.restart();
    expect((await as('eve', 'GET', '/api')).code).toBe(200);
    const { rules } = (await as(root, 'GET', path)).body as { rules: { nonResourceURLs: string[] }[] };
    expect(rules).toContainEqual(extra);
    const paths = (wanted as { nonResourceURLs: string[] }[]).flatMap((rule) => rule.nonResourceURLs);
    expect(rules.flatMap((rule) => rule.nonResourceURLs)).toEqual(expect.arrayContaining(paths));
    expect((await as(root, 'GET', `${rbac}/clusterrolebindings/system:basic-user`)).code).toBe(200);
    expect((await as(root, 'GET', left)).body.rules ?? []).toEqual([]);
  });
});

describe('a node’s agent', () => {
  const node = 'system:node:n1 system:nodes';
  const container = { name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'of-p1' } }] };
  const pod = (name: string, nodeName: string) => ({ metadata: { name }, spec: { nodeName, containers: [container] } });

  beforeAll(async () => {
    for (const name of ['n1', 'n2']) await as(root, 'POST', '/api/v1/nodes', { metadata: { name } });
    await as(root, 'POST', `${core}/pods`, pod('p1', 'n1'));
    await as(root, 'POST', `${core}/pods`, {
      ...pod('p2', 'n2'),
      spec: { nodeName: 'n2', containers: [{ ...container, envFrom: [{ secretRef: { name: 'of-p2' } }] }] },
    });
  });

  test.each([
    ['GET', `${core}/secrets/of-p1`, 404],
    ['GET', `${core}/secrets/of-p2`, 403],
    ['GET', `${core}/secrets`, 403],
    ['GET', `${core}/configmaps/kube-root-ca.crt`, 404],
    ['GET', `${core}/configmaps/mine`, 403],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1', 200],
    ['GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn2', 403],
    ['GET', '/api/v1/pods', 403],
    ['GET', `${core}/pods/p1`, 200],
    ['GET', `${core}/pods/p2`, 403],
    ['GET', '/api/v1/services', 200],
    ['GET', '/apis/apps/v1/deployments', 403],
    ['DELETE', '/api/v1/nodes/n2', 403],
    ['GET', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1', 404],
    ['GET', '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2', 403],
  ] as const)('%s %s is answered with %i', async (method, url, code) => {
    expect((await as(node, method, url)).code).toBe(code);
  });

  test('writes its own Node and the state of its own Pods', async () => {
    const status = (name: string) => as(node, 'PATCH', `${core}/pods/${name}/status`, { status: { message: 'hi' } });
    expect((await status('p1')).code).toBe(200);
    const [refused, gone] = [await status('p2'), await status('p3')];
    expect([refused.code, refused.body.message]).toEqual([
      403,
      'pods "p2" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself',
    ]);
    expect(gone.code).toBe(404);
    expect((await as(node, 'DELETE', `${core}/pods/p2`)).code).toBe(403);
    const label = (name: string, labels: object) =>
      as(node, 'PATCH', `/api/v1/nodes/${name}`, { metadata: { labels } });
    expect((await label('n1', { a: 'b', 'kubernetes.io/hostname': 'n1' })).code).toBe(200);
    expect((await label('n2', { a: 'b' })).body.message).toBe(
      'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    );
    expect((await label('n1', { 'node-restriction.kubernetes.io/x': '' })).code).toBe(403);
    const spec = { taints: [{ key: 'a', effect: 'NoSchedule' }] };
    expect((await as(node, 'PATCH', '/api/v1/nodes/n1', { spec })).code).toBe(403);
  });

  test('creates no Pod: it would open to it what is not its own', async () => {
    const { code, body } = await as(node, 'POST', `${core}/pods`, pod('p4', 'n1'));
    expect([code, body.message]).toEqual([
      403,
      'pods "p4" is forbidden: node "n1" can only create mirror pods, which are not served here',
    ]);
  });

  test('gets tokens for its own Pods, bound to them', async () => {
    const ask = async (name: string | undefined) => {
      const bound = name === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name } };
      const request = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [], ...bound },
      };
      return as(node, 'POST', `${core}/serviceaccounts/default/token`, request);
    };
    expect((await ask('p1')).body.status.token).toMatch(/^ey/);
    expect((await ask('p2')).body.message).toContain(
      'node requested token bound to a pod scheduled on a different node',
    );
    expect((await ask(undefined)).body.message).toContain('node "n1" requested token not bound to a pod');
  });
});

describe('the service account of a Pod', () => {
  const container = { name: 'c', image: 'i' };
  const create = (spec: object, namespace = 'default') =>
    as(root, 'POST', `/api/v1/namespaces/${namespace}/pods`, {
      metadata: { generateName: 'p-' },
      spec: { containers: [container], ...spec },
    });

  test('is there, and its token is mounted unless that is not wanted', async () => {
    const { body } = await create({ initContainers: [{ name: 'i', image: 'i' }] });
    const [volume] = body.spec.volumes as [{ name: string }];
    const mount = { name: volume.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    expect(volume.name).toMatch(/^kube-api-access-[a-z0-9]{5}$/);
    expect(body.spec.containers[0].volumeMounts).toEqual([mount]);
    expect(body.spec.initContainers[0].volumeMounts).toEqual([mount]);
    expect((await create({ automountServiceAccountToken: false })).body.spec.volumes).toBeUndefined();
    await as(root, 'POST', `${core}/serviceaccounts`, {
      metadata: { name: 'quiet' },
      automountServiceAccountToken: false,
    });
    expect((await create({ serviceAccountName: 'quiet' })).body.spec.volumes).toBeUndefined();
    const own = { ...container, volumeMounts: [{ name: 'v', mountPath: mount.mountPath }] };
    const kept = (await create({ containers: [own], volumes: [{ name: 'v' }] })).body.spec;
    expect(kept.volumes).toHaveLength(1);
  });

  test('that does not exist is an error; the default one is waited for', async () => {
    const { code, body } = await create({ serviceAccountName: 'nobody' });
    expect([code, body.message]).toEqual([
      403,
      expect.stringMatching(
        /^pods "p-\w+" is forbidden: error looking up service account default\/nobody: serviceaccount "nobody" not found$/,
      ),
    ]);
    const early = create({}, 'kube-public');
    await as(root, 'POST', '/api/v1/namespaces/kube-public/serviceaccounts', { metadata: { name: 'default' } });
    expect((await early).code).toBe(201);
    expect((await create({}, 'kube-system')).code).toBe(403);
  });
});
