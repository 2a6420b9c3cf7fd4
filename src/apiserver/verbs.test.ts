import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callServer, startTestServer, type TestAnswer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) });
});
afterAll(() => server.close());

const configMaps = '/api/v1/namespaces/default/configmaps';
const pods = '/api/v1/namespaces/default/pods';

type Headers = { readonly [name: string]: string };
const get = (path: string, headers: Headers = {}) => callServer(server, 'GET', path, { headers });
const post = (path: string, body: unknown) => callServer(server, 'POST', path, { body });
const put = (path: string, body: unknown) => callServer(server, 'PUT', path, { body });
const configMap = (name: string, data: object = {}) => ({ metadata: { name }, data });
const pod = (name: string) => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }] } });

/** Code and causes of a refusal. */
const causes = ({ code, body }: TestAnswer) => [
  code,
  ...(body.details?.causes ?? []).map((c: { field: string; message: string }) => `${c.field}: ${c.message}`),
];

describe('list options', () => {
  test.each([
    [
      'resourceVersionMatch=Exact',
      'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
    ],
    [
      'resourceVersionMatch=Exact&resourceVersion=0',
      'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    ],
    [
      'resourceVersionMatch=Newest&resourceVersion=1',
      'resourceVersionMatch: Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", ""',
    ],
    [
      'resourceVersionMatch=NotOlderThan&resourceVersion=1&continue=x',
      'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided',
    ],
    ['sendInitialEvents=true', 'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list'],
    [
      'watch=1&resourceVersionMatch=NotOlderThan',
      'resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    ],
    [
      'watch=1&sendInitialEvents=true',
      'resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    ],
  ])('%s is 422', async (query, cause) => {
    const answer = await get(`${configMaps}?${query}`);
    expect(causes(answer)).toEqual([422, cause]);
    expect(answer.body.message).toMatch(/^ListOptions\.meta\.k8s\.io "" is invalid: /);
  });

  test('field selectors: what a kind cannot be selected by is 400, in the words of its kind', async () => {
    const message = async (path: string) => {
      const { code, body } = await get(path);
      return [code, body.message];
    };
    expect(await message(`${pods}?fieldSelector=spec.nope=1`)).toEqual([400, 'field label not supported: spec.nope']);
    expect(await message(`${configMaps}?fieldSelector=data.x=1`)).toEqual([
      400,
      '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ]);
  });

  test('a version that is yet to come is waited for, then 504', async () => {
    const answer = await get(`${configMaps}/none?resourceVersion=99999999`);
    expect([answer.code, answer.body.details.causes[0].reason]).toEqual([504, 'ResourceVersionTooLarge']);
  });
});

describe('create and update', () => {
  test('the path says the kind when the body does not; an apply has to say it', async () => {
    expect((await post(configMaps, configMap('bare', { a: 'b' }))).body).toMatchObject({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      data: { a: 'b' },
    });
    expect((await put(`${configMaps}/bare`, configMap('bare', { a: 'c' }))).code).toBe(200);
    expect((await post(configMaps, { ...configMap('odd'), kind: 'Secret' })).code).toBe(400);
    const applied = await callServer(server, 'PATCH', `${configMaps}/bare?fieldManager=me`, {
      body: configMap('bare'),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    });
    expect([applied.code, applied.body.message]).toEqual([400, expect.stringContaining("'Kind' is missing")]);
  });

  test('who does not say who he is has one entry of managed fields, however often he writes', async () => {
    await post(configMaps, configMap('nobodys', { a: '1' }));
    const { body } = await put(`${configMaps}/nobodys`, configMap('nobodys', { a: '1', b: '2' }));
    const fieldsV1 = { 'f:data': { '.': {}, 'f:a': {}, 'f:b': {} } };
    expect(body.metadata.managedFields).toEqual([expect.objectContaining({ manager: 'unknown', fieldsV1 })]);
  });

  test('a fieldValidation that there is not is 422', async () => {
    expect(causes(await post(`${configMaps}?fieldValidation=Lax`, configMap('x')))).toEqual([
      422,
      'fieldValidation: Unsupported value: "Lax": supported values: "Ignore", "Strict", "Warn"',
    ]);
  });

  test('nothing is created on the path of all namespaces', async () => {
    expect((await post('/api/v1/configmaps', { metadata: { name: 'x', namespace: 'default' } })).code).toBe(405);
    expect((await callServer(server, 'OPTIONS', configMaps)).code).toBe(405);
  });

  test('an update creates Services and roles that are not there, and no Pods', async () => {
    const service = { metadata: { name: 'put' }, spec: { ports: [{ port: 80 }] } };
    const created = await put('/api/v1/namespaces/default/services/put', service);
    expect([created.code, created.body.spec.clusterIP]).toEqual([201, expect.stringMatching(/^10\./)]);
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/put';
    expect((await put(rbac, { metadata: { name: 'put' }, rules: [] })).code).toBe(201);
    expect((await put(`${pods}/put`, pod('put'))).code).toBe(404);
  });

  test('a Lease is updated from a version that is named', async () => {
    const leases = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
    const lease = { metadata: { name: 'l' }, spec: { holderIdentity: 'a' } };
    expect((await put(`${leases}/l`, lease)).code).toBe(201);
    expect(causes(await put(`${leases}/l`, lease))).toEqual([
      422,
      'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    ]);
  });

  test('an update says whose it is, and a patch leaves that as it is', async () => {
    await post(configMaps, configMap('named'));
    const nameless = 'the name of the object (named based on URL) was undeterminable: name must be provided';
    expect((await put(`${configMaps}/named`, { metadata: {}, data: {} })).body).toMatchObject({ message: nameless });
    const headers = { 'content-type': 'application/json-patch+json' };
    const body = [{ op: 'remove', path: '/metadata/name' }];
    expect((await callServer(server, 'PATCH', `${configMaps}/named`, { headers, body })).code).toBe(400);
  });

  test('a deadline of a Pod may be set, and come nearer', async () => {
    await post(pods, pod('late'));
    const headers = { 'content-type': 'application/merge-patch+json' };
    const patch = async (activeDeadlineSeconds: number | null) =>
      causes(await callServer(server, 'PATCH', `${pods}/late`, { headers, body: { spec: { activeDeadlineSeconds } } }));
    expect(await patch(0)).toEqual([422, expect.stringContaining('must be between 1 and 2147483647, inclusive')]);
    expect([await patch(60), await patch(50)]).toEqual([[200], [200]]);
    expect(await patch(51)).toEqual([422, expect.stringContaining('must be less than or equal to previous value')]);
    expect(await patch(null)).toEqual([422, expect.stringContaining('must not update from a positive integer')]);
  });

  test('a binding is for the Pod of its path', async () => {
    await post(pods, pod('bound'));
    const binding = { metadata: { name: 'another' }, target: { kind: 'Node', name: 'node-1' } };
    expect((await post(`${pods}/bound/binding`, binding)).body).toMatchObject({
      code: 400,
      message: 'name in URL does not match name in Binding object',
    });
    expect((await get(`${pods}/bound`)).body.spec.nodeName).toBeUndefined();
  });

  test('a binding with dryRun binds nothing', async () => {
    await post(pods, pod('unbound'));
    const binding = { metadata: { name: 'unbound' }, target: { kind: 'Node', name: 'n' } };
    expect((await post(`${pods}/unbound/binding?dryRun=All`, binding)).code).toBe(201);
    expect((await get(`${pods}/unbound`)).body.spec.nodeName).toBeUndefined();
    expect((await post(`${pods}/unbound/binding`, binding)).code).toBe(201);
    expect((await get(`${pods}/unbound`)).body.spec.nodeName).toBe('n');
  });
});

describe('delete options', () => {
  test('preconditions that do not hold say which', async () => {
    await post(configMaps, configMap('kept'));
    const refuse = async (preconditions: object) =>
      (await callServer(server, 'DELETE', `${configMaps}/kept`, { body: { preconditions } })).body;
    expect(await refuse({ uid: 'u' })).toMatchObject({
      code: 409,
      message: expect.stringMatching(/the UID in the precondition \(u\) .* deleted and then recreated$/),
    });
    expect(await refuse({ resourceVersion: '1' })).toMatchObject({
      code: 409,
      message: expect.stringMatching(/the ResourceVersion in the precondition \(1\) .* have been modified$/),
    });
  });

  test('two policies at once are refused', async () => {
    await post(configMaps, configMap('torn'));
    const answer = await callServer(server, 'DELETE', `${configMaps}/torn`, {
      body: { propagationPolicy: 'Orphan', orphanDependents: true },
    });
    expect(causes(answer)).toEqual([
      422,
      'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
    ]);
  });
});

describe('deletecollection', () => {
  test('is for one namespace at a time, and never for namespaces themselves', async () => {
    const remove = async (path: string) => (await callServer(server, 'DELETE', path)).code;
    await post(configMaps, configMap('one-of-many'));
    expect([await remove('/api/v1/namespaces'), await remove('/api/v1/configmaps')]).toEqual([405, 405]);
    expect((await get(`${configMaps}/one-of-many`)).code).toBe(200);
    const { resources } = (await get('/api/v1')).body;
    const verbs = resources.find(({ name }: { name: string }) => name === 'namespaces').verbs;
    expect(verbs).toEqual(['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']);
  });
});

describe('watch by its old path', () => {
  test.each([
    '/api/v1/watch/configmaps',
    '/api/v1/watch/namespaces/default/configmaps',
    '/api/v1/watch/namespaces/default/configmaps/old-watch',
  ])('%s', async (path) => {
    await put(`${configMaps}/old-watch`, configMap('old-watch')).then(({ code }) =>
      code === 404 ? post(configMaps, configMap('old-watch')) : undefined,
    );
    const { body } = await get(`${path}?timeoutSeconds=1&fieldSelector=metadata.name=old-watch`);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    expect(JSON.parse(text.split('\n')[0] ?? '')).toMatchObject({
      type: 'ADDED',
      object: { metadata: { name: 'old-watch' } },
    });
  });

  test('is only for watching', async () => {
    expect((await post('/api/v1/watch/namespaces/default/configmaps', configMap('x'))).code).toBe(404);
  });
});

describe('presentation', () => {
  test('pretty when asked for, and for people', async () => {
    await post(configMaps, configMap('printed'));
    const lines = async (query: string, agent: string) => {
      const { headers } = await get(`${configMaps}/printed${query}`);
      const answer = await server.inject({
        method: 'GET',
        url: `${configMaps}/printed${query}`,
        headers: { 'user-agent': agent },
      });
      expect(headers['content-type']).toBe('application/json');
      return answer.body.split('\n').length > 3;
    };
    expect(await lines('', 'kubectl/v1.32.4')).toBe(false);
    expect(await lines('?pretty=true', 'kubectl/v1.32.4')).toBe(true);
    expect(await lines('', 'curl/8.0')).toBe(true);
    expect(await lines('?pretty=false', 'curl/8.0')).toBe(false);
  });

  test('a scale is shown as every object is', async () => {
    const deployments = '/apis/apps/v1/namespaces/default/deployments';
    const template = { metadata: { labels: { a: 'b' } }, spec: pod('p').spec };
    const spec = { replicas: 3, selector: { matchLabels: { a: 'b' } }, template };
    const { body } = await post(deployments, { metadata: { name: 'scaled' }, spec });
    const path = `${deployments}/scaled/scale`;
    expect((await get(path)).body).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: { name: 'scaled', uid: body.metadata.uid, resourceVersion: body.metadata.resourceVersion },
      spec: { replicas: 3 },
      status: { replicas: 0, selector: 'a=b' },
    });
    const table = await get(path, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    expect(table.body.columnDefinitions.map((c: { name: string }) => c.name)).toEqual([
      'Name',
      'Desired',
      'Available',
      'Age',
    ]);
    expect(table.body.rows[0].cells.slice(0, 3)).toEqual(['scaled', 3, 0]);
    expect((await get(path, { accept: 'application/yaml' })).body).toMatch(/^kind: Scale$/m);
  });

  test('large answers are compressed for who takes that, small ones and errors are not', async () => {
    await post(configMaps, configMap('large', { text: 'x'.repeat(200_000) }));
    const raw = (name: string, headers: Headers) =>
      server.inject({ method: 'GET', url: `${configMaps}/${name}`, headers });
    const compressed = await raw('large', { 'accept-encoding': 'br, gzip;q=0.8' });
    expect(compressed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(compressed.rawPayload.length).toBeLessThan(10_000);
    const plain = await raw('large', {});
    expect(plain.headers['content-encoding']).toBeUndefined();
    expect(gunzipSync(compressed.rawPayload).toString()).toBe(plain.body);
    expect((await raw('large', { 'accept-encoding': 'gzip;q=0' })).headers['content-encoding']).toBeUndefined();
    await post(configMaps, configMap('small'));
    expect((await raw('small', { 'accept-encoding': 'gzip' })).headers['content-encoding']).toBeUndefined();
  });

  test('HEAD has the headers and no body', async () => {
    await post(configMaps, configMap('headed'));
    const answer = await callServer(server, 'HEAD', `${configMaps}/headed`);
    expect([answer.code, answer.body]).toEqual([200, '']);
    expect(Number(answer.headers['content-length'])).toBeGreaterThan(100);
  });

  test('Endpoints say that they go', async () => {
    const warning = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"';
    expect((await get('/api/v1/endpoints')).headers.warning).toBe(warning);
    expect((await get('/api/v1/namespaces/default/endpoints/none')).headers.warning).toBe(warning);
    expect((await get('/api/v1/endpoints?watch=1&timeoutSeconds=1')).headers.warning).toBe(warning);
    expect((await get('/api/v1/services')).headers.warning).toBeUndefined();
  });
});

describe('health', () => {
  test('is ok, or a line for each check', async () => {
    expect((await get('/livez')).body).toBe('ok');
    expect((await get('/livez?verbose')).body).toBe('[+]ping ok\nlivez check passed\n');
    expect((await get('/readyz?verbose=true')).body).toBe('[+]ping ok\n[+]etcd ok\nreadyz check passed\n');
    expect((await get('/healthz?verbose&exclude=etcd&exclude=none')).body).toBe(
      '[+]ping ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for "none"\nhealthz check passed\n',
    );
    expect((await get('/readyz/etcd')).body).toBe('ok');
    expect((await get('/livez/none')).code).toBe(404);
  });
});

describe('discovery', () => {
  test('has the storage version hashes that Kubernetes has', async () => {
    const hashes = async (path: string) =>
      Object.fromEntries(
        (await get(path)).body.resources
          .filter(({ storageVersionHash }: { storageVersionHash?: string }) => storageVersionHash !== undefined)
          .map((r: { name: string; storageVersionHash: string }) => [r.name, r.storageVersionHash]),
      );
    expect(await hashes('/api/v1')).toMatchObject({ pods: 'xPOwRZ+Yhw8=', services: '0/CO1lhkEBI=' });
    expect(await hashes('/apis/apps/v1')).toMatchObject({ deployments: '8aSe+NMegvE=' });
    // Stored as those of the core group.
    expect(await hashes('/apis/events.k8s.io/v1')).toEqual({ events: 'r2yiGXH7wu8=' });
    expect(await hashes('/apis/authorization.k8s.io/v1')).toEqual({});
  });

  test('begins at the root, and each path there answers', async () => {
    const { paths } = (await get('/')).body;
    expect(paths).toEqual(expect.arrayContaining(['/api/v1', '/apis/apps/v1', '/openapi/v3/apis/apps/v1', '/version']));
    for (const path of paths) expect([path, (await get(path)).code]).toEqual([path, 200]);
  });

  test.each(['v2', 'v2beta1'])('aggregated as %s has an ETag', async (version) => {
    const accept = `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;
    const answer = await get('/apis', { accept });
    expect(answer.body.apiVersion).toBe(`apidiscovery.k8s.io/${version}`);
    expect(answer.headers['content-type']).toBe(
      `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
    );
    expect((await get('/apis', { accept, 'if-none-match': String(answer.headers.etag) })).code).toBe(304);
  });
});
