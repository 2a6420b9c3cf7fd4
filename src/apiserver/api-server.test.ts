import { request as httpsRequest } from 'node:https';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Status } from '../api/generated/types.ts';
import { callServer, startTestServer, type TestAnswer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) });
});
afterAll(() => server.close());

// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
type Body = any;

/** Sends a request past the network. */
const call = (
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  headers: { [name: string]: string } = {},
): Promise<TestAnswer> => callServer(server, method, path, { body, headers });

const patch = (path: string, type: 'json-patch' | 'merge-patch' | 'strategic-merge-patch', body: unknown) =>
  call('PATCH', path, body, { 'content-type': `application/${type}+json` });

const services = '/api/v1/namespaces/default/services';
const pods = '/api/v1/namespaces/default/pods';
const configMaps = '/api/v1/namespaces/default/configmaps';

const service = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, ...metadata },
  spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec },
});
const configMap = (name: string, data: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
});
const pod = (name: string, spec: object = {}, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
});

/** Code, reason and message of a failure. */
function failure({ code, body }: { code: number; body: Status }): unknown[] {
  expect(body).toMatchObject({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code });
  return [code, body.reason, body.message];
}

/** Opens a watch over the network; `events(n)` resolves when `n` have come, `end` when the server ended it. */
function watch(path: string, headers: { readonly [name: string]: string } = {}) {
  const lines: Body[] = [];
  let wake = () => {};
  const { admin } = server;
  const request = httpsRequest(`${admin.server}${path}`, {
    ca: admin.certificateAuthority,
    cert: admin.clientCertificate,
    key: admin.clientKey,
    headers,
  });
  const end = new Promise<number>((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      let rest = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const parts = (rest + chunk).split('\n');
        rest = parts.pop() ?? '';
        lines.push(...parts.map((part) => JSON.parse(part)));
        wake();
      });
      response.on('close', () => resolve(response.statusCode ?? 0));
    });
  });
  request.end();
  const events = async (n: number): Promise<Body[]> => {
    const deadline = Date.now() + 20_000;
    while (lines.length < n) {
      if (Date.now() > deadline) throw new Error(`only ${lines.length} of ${n} events: ${JSON.stringify(lines)}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 50);
      });
    }
    return lines;
  };
  end.catch(() => {});
  return { events, end, close: () => request.destroy() };
}
const brief = (events: Body[]) => events.map((e) => `${e.type} ${e.object.metadata?.name ?? e.object.reason}`);

describe('create', () => {
  test('gives what only the server can, and the defaults', async () => {
    const { code, body } = await call('POST', services, service('create-1'));
    expect(code).toBe(201);
    expect(body).toMatchObject({
      kind: 'Service',
      apiVersion: 'v1',
      metadata: {
        name: 'create-1',
        namespace: 'default',
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        resourceVersion: expect.stringMatching(/^\d+$/),
        creationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
      spec: {
        type: 'ClusterIP',
        sessionAffinity: 'None',
        internalTrafficPolicy: 'Cluster',
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        clusterIP: body.spec.clusterIPs[0],
        ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      },
      status: { loadBalancer: {} },
    });
    expect(body.spec.clusterIP).toMatch(/^10\.(9[6-9]|10\d|11[01])\./);
  });

  test('refuses a name that is taken, a namespace that is not there', async () => {
    await call('POST', configMaps, configMap('taken'));
    expect(failure(await call('POST', configMaps, configMap('taken')))).toEqual([
      409,
      'AlreadyExists',
      'configmaps "taken" already exists',
    ]);
    const path = '/api/v1/namespaces/nowhere/configmaps';
    expect(failure(await call('POST', path, configMap('x')))).toEqual([
      404,
      'NotFound',
      'namespaces "nowhere" not found',
    ]);
  });

  test('says which fields are wrong, as Kubernetes does', async () => {
    const wrong = service('wrong', { ports: [{ port: 70_000 }, { name: 'A', port: 80, protocol: 'tcp' }] });
    const answer = await call('POST', services, wrong);
    expect(answer.code).toBe(422);
    expect(answer.body.details).toMatchObject({ name: 'wrong', kind: 'Service' });
    expect(answer.body.details.causes).toContainEqual({
      reason: 'FieldValueInvalid',
      message: 'Invalid value: 70000: must be between 1 and 65535, inclusive',
      field: 'spec.ports[0].port',
    });
    const fields = answer.body.details.causes.map((c: { field: string; reason: string }) => `${c.field} ${c.reason}`);
    expect(fields).toEqual([
      'spec.ports[0].name FieldValueRequired',
      'spec.ports[0].port FieldValueInvalid',
      'spec.ports[0].targetPort FieldValueInvalid',
      'spec.ports[1].name FieldValueInvalid',
      'spec.ports[1].protocol FieldValueNotSupported',
    ]);
    const [, , message] = failure(
      await call('POST', services, service('one', { ports: [{ port: 70_000, targetPort: 1 }] })),
    );
    expect(message).toBe(
      'Service "one" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
    );
    expect(failure(await call('POST', services, service('Bad_Name')))[2]).toMatch(
      /^Service "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 label must/,
    );
  });

  test('obeys fieldValidation', async () => {
    const unknown = JSON.stringify(configMap('strict')).replace('"data":{}', '"data":{},"dat":{},"kind":"ConfigMap"');
    expect(failure(await call('POST', `${configMaps}?fieldValidation=Strict`, unknown))).toEqual([
      400,
      'BadRequest',
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat", duplicate field "kind"',
    ]);
    const warned = await call('POST', `${configMaps}?fieldValidation=Warn`, unknown);
    expect([warned.code, warned.headers.warning]).toEqual([
      201,
      ['299 - "unknown field \\"dat\\""', '299 - "duplicate field \\"kind\\""'],
    ]);
    const ignored = await call(
      'POST',
      `${configMaps}?fieldValidation=Ignore`,
      unknown.replace('"strict"', '"ignored"'),
    );
    expect([ignored.code, ignored.headers.warning]).toEqual([201, undefined]);
  });

  test('says of a Service what is taken and without effect, however it is written', async () => {
    const warning = '299 - "spec.externalIPs is deprecated"';
    const created = await call('POST', services, service('1st', { externalIPs: ['192.0.2.9'] }));
    expect([created.code, created.headers.warning]).toEqual([201, warning]);
    const replaced = await call('PUT', `${services}/1st`, created.body);
    expect([replaced.code, replaced.headers.warning]).toEqual([200, warning]);
    const patched = await call('PATCH', `${services}/1st`, '{"spec":{"externalName":"x.example"}}', {
      'content-type': 'application/merge-patch+json',
    });
    const ignored = '299 - "spec.externalName is ignored when spec.type is not \\"ExternalName\\""';
    expect([patched.code, patched.headers.warning]).toEqual([200, [warning, ignored]]);
    const applied = await call(
      'PATCH',
      `${services}/1st?fieldManager=m`,
      { apiVersion: 'v1', kind: 'Service', metadata: { name: '1st', labels: { a: 'b' } } },
      { 'content-type': 'application/apply-patch+yaml' },
    );
    expect([applied.code, applied.headers.warning]).toEqual([200, [warning, ignored]]);
    expect((await call('PUT', `${services}/1st/status`, applied.body)).headers.warning).toBeUndefined();
    expect((await call('GET', `${services}/1st`)).headers.warning).toBeUndefined();
    await call('DELETE', `${services}/1st`);
  });

  test('with dryRun stores nothing and takes nothing', async () => {
    const asked = service('dry', { clusterIP: '10.96.0.77' });
    const { code, body } = await call('POST', `${services}?dryRun=All`, asked);
    expect([code, body.spec.clusterIP, body.metadata.resourceVersion]).toEqual([201, '10.96.0.77', undefined]);
    expect((await call('GET', `${services}/dry`)).code).toBe(404);
    expect((await call('POST', services, service('wet', { clusterIP: '10.96.0.77' }))).code).toBe(201);
  });

  test('with generateName finds a name', async () => {
    const { body } = await call('POST', pods, { ...pod(''), metadata: { generateName: 'gen-' } });
    expect(body.metadata.name).toMatch(/^gen-[bcdfghjklmnpqrstvwxz2-9]{5}$/);
  });

  test.each([
    ['{', 400],
    ['[]', 400],
    ['null', 400],
    ['{"kind":"Pod","apiVersion":"v1"}', 400],
    ['{"kind":"ConfigMap","apiVersion":"v2"}', 400],
    ['{"kind":"ConfigMap"}', 422],
    ['{"kind":"ConfigMap","apiVersion":"v1","data":1}', 400],
    ['{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"other"}}', 400],
    ['{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","resourceVersion":"1"}}', 400],
    ['{"kind":"ConfigMap","apiVersion":"v1"}', 422],
    [`${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`, 400],
    [`{"kind":"ConfigMap","apiVersion":"v1","data":{"x":"${'x'.repeat(3 * 1024 * 1024)}"}}`, 413],
  ])('answers %.60s with a Status', async (body, code) => {
    expect(failure(await call('POST', configMaps, body))[0]).toBe(code);
  });

  test('takes YAML, and nothing it does not know', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yaml}\ndata: {a: b}\n';
    const made = await call('POST', configMaps, yaml, { 'content-type': 'application/yaml' });
    expect([made.code, made.body.data]).toEqual([201, { a: 'b' }]);
    expect(failure(await call('POST', configMaps, 'x', { 'content-type': 'text/plain' }))[0]).toBe(415);
    const shown = await call('GET', `${configMaps}/yaml`, undefined, { accept: 'application/yaml' });
    expect(shown.body).toContain('a: b');
  });

  test.each<['PATCH' | 'POST', string, string, string]>([
    ['POST', configMaps, 'application/yaml', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict'],
    ['PATCH', `${configMaps}/twice`, 'application/apply-patch+yaml', 'error strict'],
  ])('tells of keys that YAML has twice, with %s', async (method, path, type, prefix) => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: twice}\ndata:\n  "a": c\n  "a": d\n';
    const send = (validation: string) =>
      call(method, `${path}?fieldManager=m&dryRun=All&fieldValidation=${validation}`, yaml, {
        'content-type': type,
      });
    const strict = await send('Strict');
    expect(failure(strict)[2]).toMatch(new RegExp(`^${prefix} decoding.*: line 6: key "a" already set in map$`));
    const warned = await send('Warn');
    expect([warned.body.data, warned.headers.warning]).toEqual([
      { a: 'd' },
      '299 - "line 6: key \\"a\\" already set in map"',
    ]);
    expect((await send('Ignore')).headers.warning).toBeUndefined();
  });
});

describe('update', () => {
  test('with an old version conflicts; without one wins', async () => {
    const { body: first } = await call('POST', configMaps, configMap('update', { a: '1' }));
    const second = await call('PUT', `${configMaps}/update`, { ...first, data: { a: '2' } });
    expect(second.code).toBe(200);
    expect(Number(second.body.metadata.resourceVersion)).toBeGreaterThan(Number(first.metadata.resourceVersion));
    expect(failure(await call('PUT', `${configMaps}/update`, { ...first, data: { a: '3' } }))).toEqual([
      409,
      'Conflict',
      'Operation cannot be fulfilled on configmaps "update": the object has been modified; please apply your changes to the latest version and try again',
    ]);
    expect((await call('PUT', `${configMaps}/update`, configMap('update', { a: '4' }))).body.data).toEqual({ a: '4' });
  });

  test('that changes nothing makes no new version', async () => {
    const { body } = await call('POST', configMaps, configMap('same', { a: '1', b: '2' }));
    const again = await call('PUT', `${configMaps}/same`, configMap('same', { b: '2', a: '1' }));
    expect(again.body.metadata.resourceVersion).toBe(body.metadata.resourceVersion);
  });

  test('of the main resource leaves the status, of the status all else', async () => {
    const { body } = await call('POST', pods, pod('parts'));
    expect(body.status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
    const main = await call('PUT', `${pods}/parts`, {
      ...body,
      metadata: { ...body.metadata, labels: { a: 'b' } },
      status: { phase: 'Failed' },
    });
    expect([main.body.metadata.labels, main.body.status.phase]).toEqual([{ a: 'b' }, 'Pending']);
    const status = await call('PUT', `${pods}/parts/status`, {
      ...main.body,
      metadata: { name: 'parts', labels: { a: 'b' } },
      spec: { containers: [{ name: 'c', image: 'other' }] },
      status: { phase: 'Running' },
    });
    expect([status.body.spec, status.body.status]).toEqual([main.body.spec, { phase: 'Running' }]);
  });

  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const idle = { replicas: 0, selector: { matchLabels: { a: 'b' } }, template };
  test.each([
    ['the labels of a Namespace', '/api/v1/namespaces', {}, { labels: { l: 'new' }, annotations: { a: 'new' } }],
    [
      'not the labels of a Deployment',
      '/apis/apps/v1/namespaces/default/deployments',
      idle,
      { labels: { l: 'old' }, annotations: { a: 'new' } },
    ],
  ])('of the status takes its metadata: %s', async (_, path, spec, expected) => {
    const name = 'marked-by-status';
    const made = await call('POST', path, { metadata: { name, labels: { l: 'old' } }, spec });
    const { generation } = made.body.metadata;
    const change = { metadata: { labels: { l: 'new' }, annotations: { a: 'new' } }, status: { conditions: [] } };
    const { body } = await call('PATCH', `${path}/${name}/status`, change, {
      'content-type': 'application/merge-patch+json',
    });
    expect(body.metadata).toMatchObject({ ...expected, ...(generation === undefined ? {} : { generation }) });
    const applied = { apiVersion: body.apiVersion, kind: body.kind, metadata: { annotations: { b: 'applied' } } };
    const { body: after } = await call('PATCH', `${path}/${name}/status?fieldManager=m`, applied, {
      'content-type': 'application/apply-patch+yaml',
    });
    expect(after.metadata.annotations).toEqual({ a: 'new', b: 'applied' });
    await call('DELETE', `${path}/${name}`);
  });

  test('of the status of a Service takes what controllers of balancers mark it with, and leaves the spec', async () => {
    await call('POST', services, service('marked', { type: 'LoadBalancer' }));
    const finalizers = ['service.kubernetes.io/load-balancer-cleanup'];
    const marked = await call(
      'PATCH',
      `${services}/marked/status`,
      {
        metadata: { finalizers, annotations: { a: 'b' } },
        spec: { externalName: 'x' },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
      },
      { 'content-type': 'application/strategic-merge-patch+json' },
    );
    expect(marked).toMatchObject({ code: 200, body: { metadata: { finalizers, annotations: { a: 'b' } } } });
    expect([marked.body.spec.externalName, marked.body.status.loadBalancer.ingress]).toEqual([
      undefined,
      [{ ip: '192.0.2.1', ipMode: 'VIP' }],
    ]);
    const cleared = await call('PUT', `${services}/marked/status`, {
      ...marked.body,
      metadata: { ...marked.body.metadata, finalizers: [] },
    });
    expect(cleared.body.metadata.finalizers ?? []).toEqual([]);
    expect((await call('DELETE', `${services}/marked`)).code).toBe(200);
    expect((await call('GET', `${services}/marked`)).code).toBe(404);
  });

  test('counts the templates of a DaemonSet, whatever a client says of their number', async () => {
    const path = '/apis/apps/v1/namespaces/default/daemonsets';
    const annotation = 'deprecated.daemonset.template.generation';
    const { body } = await call('POST', path, { metadata: { name: 'd' }, spec: { selector: idle.selector, template } });
    expect(body.metadata.annotations).toEqual({ [annotation]: '1' });
    const forget = { metadata: { annotations: { [annotation]: null, a: 'b' } } };
    expect((await patch(`${path}/d`, 'merge-patch', forget)).body.metadata.annotations).toEqual({
      [annotation]: '1',
      a: 'b',
    });
    const next = { spec: { template: { metadata: { annotations: { restarted: 'now' } } } } };
    expect((await patch(`${path}/d`, 'merge-patch', next)).body.metadata.annotations[annotation]).toBe('2');
  });

  test('by a patch makes no other kind of an object', async () => {
    await call('POST', configMaps, configMap('kind'));
    const changes = {
      'merge-patch': { kind: 'Secret' },
      'json-patch': [{ op: 'remove', path: '/apiVersion' }],
    } as const;
    for (const type of ['merge-patch', 'json-patch'] as const)
      expect(failure(await patch(`${configMaps}/kind`, type, changes[type])).slice(0, 2)).toEqual([422, 'Invalid']);
  });

  test('counts generations of the spec', async () => {
    const path = '/apis/apps/v1/namespaces/default/replicasets';
    const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const object = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'gen' },
      spec: { selector: { matchLabels: { a: 'b' } }, template },
    };
    expect((await call('POST', path, object)).body.metadata.generation).toBe(1);
    expect(
      (await patch(`${path}/gen`, 'merge-patch', { metadata: { labels: { x: 'y' } } })).body.metadata.generation,
    ).toBe(1);
    expect((await patch(`${path}/gen/scale`, 'merge-patch', { spec: { replicas: 4 } })).body).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 4 },
      status: { selector: 'a=b' },
    });
    expect((await call('GET', `${path}/gen`)).body).toMatchObject({
      metadata: { generation: 2 },
      spec: { replicas: 4 },
    });
    const other = await patch(`${path}/gen`, 'merge-patch', { spec: { selector: { matchLabels: { a: 'c' } } } });
    expect(other.body.details.causes.map((c: { field: string }) => c.field)).toEqual([
      'spec.template.metadata.labels',
      'spec.selector',
    ]);
  });

  test('of a Pod may not change its containers', async () => {
    await call('POST', pods, pod('fixed'));
    const answer = await patch(`${pods}/fixed`, 'strategic-merge-patch', {
      spec: { containers: [{ name: 'c', command: ['x'] }] },
    });
    expect(failure(answer)[2]).toMatch(
      /^Pod "fixed" is invalid: spec: Forbidden: pod updates may not change fields other than/,
    );
    const image = await patch(`${pods}/fixed`, 'strategic-merge-patch', {
      spec: { containers: [{ name: 'c', image: 'j' }] },
    });
    expect(image.code).toBe(200);
  });
});

describe('patch', () => {
  test('applies to the version there is, however many come at once', async () => {
    await call('POST', configMaps, configMap('patched'));
    const many = Array.from({ length: 20 }, (_, i) =>
      patch(`${configMaps}/patched`, 'merge-patch', { data: { [`k${i}`]: 'v' } }),
    );
    expect((await Promise.all(many)).map(({ code }) => code)).toEqual(Array(20).fill(200));
    expect(Object.keys((await call('GET', `${configMaps}/patched`)).body.data)).toHaveLength(20);
  });

  test('that does not fit is 422; of an unknown kind is 415', async () => {
    await call('POST', configMaps, configMap('unfit'));
    const unfit = await patch(`${configMaps}/unfit`, 'json-patch', [{ op: 'remove', path: '/data/none' }]);
    expect(failure(unfit).slice(0, 2)).toEqual([422, 'Invalid']);
    const unknown = await call('PATCH', `${configMaps}/unfit`, '{}', { 'content-type': 'application/json' });
    expect(failure(unknown).slice(0, 2)).toEqual([415, 'UnsupportedMediaType']);
    const strict = await call(
      'PATCH',
      `${configMaps}/unfit?fieldValidation=Strict`,
      { dat: {} },
      { 'content-type': 'application/merge-patch+json' },
    );
    expect(failure(strict)[2]).toContain('strict decoding error: unknown field \\"dat\\"'.replaceAll('\\', ''));
  });
});

describe('delete', () => {
  test('answers with a Status, or with the object where Kubernetes does', async () => {
    await call('POST', configMaps, configMap('gone'));
    const { code, body } = await call('DELETE', `${configMaps}/gone`);
    expect([code, body]).toMatchObject([
      200,
      { kind: 'Status', status: 'Success', details: { name: 'gone', kind: 'configmaps' } },
    ]);
    expect(failure(await call('DELETE', `${configMaps}/gone`))).toEqual([
      404,
      'NotFound',
      'configmaps "gone" not found',
    ]);
    await call('POST', services, service('gone'));
    expect((await call('DELETE', `${services}/gone`)).body.kind).toBe('Service');
  });

  test('of a Pod with scheduling gates is told of from its creation on, and ends at once', async () => {
    const { body } = await call('POST', pods, pod('gated', { schedulingGates: [{ name: 'example.com/wait' }] }));
    expect(body.status.conditions).toMatchObject([
      { type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' },
    ]);
    const table = await call('GET', `${pods}/gated`, undefined, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    expect(table.body.rows[0].cells.slice(0, 3)).toEqual(['gated', '0/1', 'SchedulingGated']);
    const change = (spec: object) => patch(`${pods}/gated`, 'merge-patch', { spec });
    expect(failure(await change({ schedulingGates: [{ name: 'example.com/other' }] }))[2]).toBe(
      'Pod "gated" is invalid: spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate \'example.com/other\'',
    );
    expect((await change({ nodeSelector: { disk: 'fast' } })).body.spec.nodeSelector).toEqual({ disk: 'fast' });
    expect((await change({ nodeSelector: { disk: 'slow' } })).code).toBe(422);
    expect((await change({ schedulingGates: null })).body.spec).not.toHaveProperty('schedulingGates');
    expect((await change({ nodeSelector: { zone: 'a' } })).code).toBe(422);
    expect((await call('DELETE', `${pods}/gated`)).code).toBe(200);
    expect((await call('GET', `${pods}/gated`)).code).toBe(404);
  });

  test('of a Pod on a node waits for the agent', async () => {
    await call('POST', pods, pod('bound', { terminationGracePeriodSeconds: 20 }));
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'bound' },
      target: { kind: 'Node', name: 'node-1' },
    };
    expect((await call('POST', `${pods}/bound/binding`, binding)).code).toBe(201);
    expect(failure(await call('POST', `${pods}/bound/binding`, binding))[2]).toBe(
      'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "node-1"',
    );
    const first = await call('DELETE', `${pods}/bound`);
    expect(first.body.metadata).toMatchObject({
      // One for the Pod, one for its deletion; none for its node.
      generation: 2,
      deletionGracePeriodSeconds: 20,
      deletionTimestamp: expect.any(String),
    });
    expect(first.body.status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
    const longer = await call('DELETE', `${pods}/bound`, { gracePeriodSeconds: 60 });
    expect(longer.body.metadata.deletionGracePeriodSeconds).toBe(20);
    const shorter = await call('DELETE', `${pods}/bound?gracePeriodSeconds=5`);
    expect(shorter.body.metadata.deletionGracePeriodSeconds).toBe(5);
    expect((await call('GET', `${pods}/bound`)).code).toBe(200);
    expect((await call('DELETE', `${pods}/bound?gracePeriodSeconds=0`)).code).toBe(200);
    expect((await call('GET', `${pods}/bound`)).code).toBe(404);
  });

  test('with a body that is no DeleteOptions is refused', async () => {
    const { body } = await call('POST', configMaps, configMap('meant'));
    expect(failure(await call('DELETE', `${configMaps}/meant`, body))[0]).toBe(400);
    expect((await call('DELETE', `${configMaps}/meant`, { kind: 'DeleteOptions', apiVersion: 'v1' })).code).toBe(200);
  });

  test('waits for finalizers, and adds those of its policy', async () => {
    await call('POST', configMaps, configMap('held', {}, { finalizers: ['example.com/hold'] }));
    const marked = await call('DELETE', `${configMaps}/held`, { propagationPolicy: 'Foreground' });
    expect([marked.code, marked.body.metadata.finalizers]).toEqual([202, ['example.com/hold', 'foregroundDeletion']]);
    const added = await patch(`${configMaps}/held`, 'merge-patch', {
      metadata: { finalizers: ['example.com/hold', 'example.com/new'] },
    });
    expect(failure(added)[2]).toContain('no new finalizers can be added if the object is being deleted');
    await patch(`${configMaps}/held`, 'merge-patch', { metadata: { finalizers: null } });
    expect((await call('GET', `${configMaps}/held`)).code).toBe(404);
  });

  test('holds to its preconditions', async () => {
    const { body } = await call('POST', configMaps, configMap('exactly'));
    const wrong = await call('DELETE', `${configMaps}/exactly`, { preconditions: { uid: 'other' } });
    expect(failure(wrong).slice(0, 2)).toEqual([409, 'Conflict']);
    const right = await call('DELETE', `${configMaps}/exactly`, {
      preconditions: { uid: body.metadata.uid, resourceVersion: body.metadata.resourceVersion },
    });
    expect(right.code).toBe(200);
  });

  test('of a collection takes what the selector chooses', async () => {
    for (const name of ['x1', 'x2', 'y1'])
      await call('POST', configMaps, configMap(name, {}, { labels: { set: name[0] } }));
    const { body } = await call('DELETE', `${configMaps}?labelSelector=set%3Dx`);
    expect(body.items.map((i: Body) => i.metadata.name)).toEqual(['x1', 'x2']);
    expect((await call('GET', `${configMaps}?labelSelector=set`)).body.items).toHaveLength(1);
  });
});

describe('namespaces', () => {
  test('terminate: nothing new comes in, and they go when finalized', async () => {
    await call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ends' } });
    const marked = await call('DELETE', '/api/v1/namespaces/ends');
    expect(marked.body.status.phase).toBe('Terminating');
    const late = await call('POST', '/api/v1/namespaces/ends/configmaps', configMap('late'));
    expect(failure(late)).toEqual([
      403,
      'Forbidden',
      'configmaps "late" is forbidden: unable to create new content in namespace ends because it is being terminated',
    ]);
    const finalized = { ...marked.body, spec: { finalizers: [] } };
    expect((await call('PUT', '/api/v1/namespaces/ends/finalize', finalized)).code).toBe(200);
    expect((await call('GET', '/api/v1/namespaces/ends')).code).toBe(404);
    expect(failure(await call('DELETE', '/api/v1/namespaces/default'))[0]).toBe(403);
  });
});

describe('list', () => {
  beforeAll(async () => {
    await call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'lists' } });
    for (let i = 0; i < 7; i++) {
      await call(
        'POST',
        '/api/v1/namespaces/lists/configmaps',
        configMap(`c${i}`, {}, { labels: { odd: String(i % 2) } }),
      );
    }
  });
  const path = '/api/v1/namespaces/lists/configmaps';
  const names = (body: Body) => body.items.map((i: Body) => i.metadata.name).join(' ');

  test('gives pages of one revision, whatever happens between them', async () => {
    const first = await call('GET', `${path}?limit=3`);
    expect(names(first.body)).toBe('c0 c1 c2');
    expect(first.body.metadata.remainingItemCount).toBe(4);
    await call('DELETE', `${path}/c4`);
    await call('POST', path, configMap('c3a'));
    const second = await call('GET', `${path}?limit=3&continue=${first.body.metadata.continue}`);
    expect(names(second.body)).toBe('c3 c4 c5');
    const third = await call('GET', `${path}?limit=3&continue=${second.body.metadata.continue}`);
    expect(names(third.body)).toBe('c6');
    expect(third.body.metadata).toEqual({ resourceVersion: first.body.metadata.resourceVersion });
    const exact = await call(
      'GET',
      `${path}?resourceVersion=${first.body.metadata.resourceVersion}&resourceVersionMatch=Exact`,
    );
    expect(names(exact.body)).toBe('c0 c1 c2 c3 c4 c5 c6');
    expect(names((await call('GET', path)).body)).toBe('c0 c1 c2 c3 c3a c5 c6');
  });

  test('selects by labels and fields', async () => {
    expect(names((await call('GET', `${path}?labelSelector=odd=1`)).body)).toBe('c1 c3 c5');
    expect(
      names((await call('GET', `/api/v1/configmaps?fieldSelector=metadata.name=c1,metadata.namespace=lists`)).body),
    ).toBe('c1');
    expect(failure(await call('GET', `${path}?fieldSelector=data.x=1`))[2]).toBe(
      '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    );
    expect(failure(await call('GET', `${path}?labelSelector=a+in`))[0]).toBe(400);
    expect(failure(await call('GET', `${path}?continue=xx`))[0]).toBe(400);
    expect(failure(await call('GET', `${path}?resourceVersion=x`))[0]).toBe(400);
  });

  test('shows tables and metadata to those who ask, JSON to those who ask for protobuf first', async () => {
    const table = await call('GET', services, undefined, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    expect(table.body.kind).toBe('Table');
    expect(table.body.columnDefinitions.map((c: Body) => c.name)).toEqual([
      'Name',
      'Type',
      'Cluster-IP',
      'External-IP',
      'Port(s)',
      'Age',
      'Selector',
    ]);
    const row = table.body.rows.find((r: Body) => r.object.metadata.name === 'kubernetes');
    expect(row.cells.slice(0, 5)).toEqual(['kubernetes', 'ClusterIP', '10.96.0.1', '<none>', '443/TCP']);
    const partial = await call('GET', `${services}/kubernetes`, undefined, {
      accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
    });
    expect(Object.keys(partial.body)).toEqual(['kind', 'apiVersion', 'metadata']);
    const both = await call('GET', services, undefined, {
      accept: 'application/vnd.kubernetes.protobuf,application/json',
    });
    expect(both.body.kind).toBe('ServiceList');
    expect(failure(await call('GET', services, undefined, { accept: 'application/vnd.kubernetes.protobuf' }))[0]).toBe(
      406,
    );
  });

  test.each([
    ['/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { nonResourceAttributes: { path: '/', verb: 'get' } }],
    ['/api/v1/namespaces/default/serviceaccounts/asked/token', {}],
  ])('are not of %s, which nobody lists', async (path, spec) => {
    await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'asked' } });
    const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const body = { spec };
    expect((await call('POST', path, body, { accept: table })).code).toBe(406);
    expect((await call('POST', path, body, { accept: `${table},application/json` })).body.spec).toBeDefined();
  });

  test('that cannot be given keep the request from being carried out', async () => {
    const html = { accept: 'text/html' };
    expect((await call('POST', configMaps, configMap('unseen'), html)).code).toBe(406);
    expect((await call('GET', `${configMaps}/unseen`)).code).toBe(404);
  });
});

describe('watch', () => {
  const path = '/api/v1/namespaces/watches/configmaps';
  beforeAll(async () => {
    await call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'watches' } });
  });

  test('tells what happens after a revision, and leaving a selection as deletion', async () => {
    const { body } = await call('GET', path);
    const all = watch(`${path}?watch=true&resourceVersion=${body.metadata.resourceVersion}`);
    const some = watch(`${path}?watch=true&resourceVersion=${body.metadata.resourceVersion}&labelSelector=in`);
    await call('POST', path, configMap('a', {}, { labels: { in: '' } }));
    await call('POST', path, configMap('b'));
    await patch(`${path}/a`, 'merge-patch', { metadata: { labels: { in: null } } });
    await patch(`${path}/b`, 'merge-patch', { metadata: { labels: { in: '' } } });
    await patch(`${path}/b`, 'merge-patch', { data: { x: 'y' } });
    const removed = await call('DELETE', `${path}/b`);
    expect(removed.code).toBe(200);
    expect(brief(await all.events(6))).toEqual([
      'ADDED a',
      'ADDED b',
      'MODIFIED a',
      'MODIFIED b',
      'MODIFIED b',
      'DELETED b',
    ]);
    const seen = await some.events(5);
    expect(brief(seen)).toEqual(['ADDED a', 'DELETED a', 'ADDED b', 'MODIFIED b', 'DELETED b']);
    const versions = seen.map((e) => Number(e.object.metadata.resourceVersion));
    expect(versions).toEqual([...versions].sort((x, y) => x - y));
    all.close();
    some.close();
  });

  test('without a revision begins with what is there; sendInitialEvents says where that ends', async () => {
    await call('POST', path, configMap('there'));
    const plain = watch(`${path}?watch=1&fieldSelector=metadata.name=there`);
    expect(brief(await plain.events(1))).toEqual(['ADDED there']);
    plain.close();
    const streaming = watch(
      `${path}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name=there`,
    );
    const [, bookmark] = await streaming.events(2);
    expect(bookmark).toMatchObject({
      type: 'BOOKMARK',
      object: { kind: 'ConfigMap', metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    streaming.close();
  });

  test('ends after its time, with a bookmark', async () => {
    const timed = watch(
      `${path}?watch=1&resourceVersion=1&timeoutSeconds=1&allowWatchBookmarks=true&fieldSelector=metadata.name=none`,
    );
    expect(await timed.end).toBe(200);
    expect((await timed.events(1)).at(-1).type).toBe('BOOKMARK');
  });

  test('sends tables, the columns once', async () => {
    const { body } = await call('GET', path);
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const tables = watch(`${path}?watch=1&resourceVersion=${body.metadata.resourceVersion}`, { accept });
    for (const name of ['t1', 't2']) await call('POST', path, configMap(name));
    const lines = await tables.events(2);
    tables.close();
    expect(
      lines.map((l) => [l.type, l.object.kind, l.object.columnDefinitions?.length, l.object.rows[0].cells[0]]),
    ).toEqual([
      ['ADDED', 'Table', 3, 't1'],
      ['ADDED', 'Table', undefined, 't2'],
    ]);
  });

  test('goes on over a restart of the server, and is refused from before what is known', async () => {
    const { body } = await call('GET', path);
    await call('POST', path, configMap('before-restart'));
    await server.restart();
    await call('POST', path, configMap('after-restart'));
    const resumed = watch(`${path}?watch=1&resourceVersion=${body.metadata.resourceVersion}`);
    expect(brief(await resumed.events(2))).toEqual(['ADDED before-restart', 'ADDED after-restart']);
    resumed.close();
    const future = await call('GET', `${path}?watch=1&resourceVersion=99999999`);
    expect(failure(future).slice(0, 2)).toEqual([504, 'Timeout']);
    expect(future.headers['retry-after']).toBe('1');
  });
});

describe('services', () => {
  test('no address or node port is given twice, and all come back', async () => {
    const made = await Promise.all(
      Array.from({ length: 300 }, (_, i) => call('POST', services, service(`race-${i}`, { type: 'NodePort' }))),
    );
    expect(new Set(made.map(({ code }) => code))).toEqual(new Set([201]));
    expect(new Set(made.map(({ body }) => body.spec.clusterIP)).size).toBe(300);
    expect(new Set(made.map(({ body }) => body.spec.ports[0].nodePort)).size).toBe(300);
    const { clusterIP } = made[0]?.body.spec ?? {};
    const { nodePort } = made[0]?.body.spec.ports[0] ?? {};
    const again = service('again', { clusterIP, type: 'NodePort', ports: [{ port: 80, nodePort }] });
    const taken = await call('POST', services, again);
    expect(taken.body.details.causes).toEqual([
      {
        reason: 'FieldValueInvalid',
        field: 'spec.clusterIPs',
        message: `Invalid value: ["${clusterIP}"]: failed to allocate IP ${clusterIP}: provided IP is already allocated`,
      },
      {
        reason: 'FieldValueInvalid',
        field: 'spec.ports[0].nodePort',
        message: `Invalid value: ${nodePort}: provided port is already allocated`,
      },
    ]);
    await Promise.all(Array.from({ length: 300 }, (_, i) => call('DELETE', `${services}/race-${i}`)));
    expect((await call('POST', services, again)).code).toBe(201);
  }, 30_000);

  test('addresses asked for: one of two gets it, one outside the block nobody', async () => {
    const both = await Promise.all(
      ['one', 'two'].map((name) => call('POST', services, service(name, { clusterIP: '10.96.0.50' }))),
    );
    expect(both.map(({ code }) => code).sort()).toEqual([201, 422]);
    const [, , message] = failure(await call('POST', services, service('far', { clusterIP: '10.0.0.1' })));
    expect(message).toBe(
      'Service "far" is invalid: spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: the provided IP (10.0.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12',
    );
  });

  test('an update that leaves out what was allocated keeps it; one that changes it is refused', async () => {
    const { body } = await call('POST', services, service('kept', { type: 'NodePort' }));
    const put = await call('PUT', `${services}/kept`, service('kept', { type: 'NodePort' }));
    expect(put.body.spec).toEqual(body.spec);
    const moved = await patch(`${services}/kept`, 'merge-patch', {
      spec: { clusterIP: '10.96.0.99', clusterIPs: ['10.96.0.99'] },
    });
    expect(moved.body.details.causes).toMatchObject([{ field: 'spec.clusterIPs[0]', reason: 'FieldValueInvalid' }]);
  });

  test('a change of type takes and gives back what belongs to it', async () => {
    const { body: first } = await call(
      'POST',
      services,
      service('typed', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }),
    );
    expect(first.spec).toMatchObject({ allocateLoadBalancerNodePorts: true, healthCheckNodePort: expect.any(Number) });
    const { body: second } = await patch(`${services}/typed`, 'merge-patch', { spec: { type: 'ClusterIP' } });
    expect(second.spec.ports).toEqual([{ port: 80, protocol: 'TCP', targetPort: 80 }]);
    for (const field of ['healthCheckNodePort', 'externalTrafficPolicy', 'allocateLoadBalancerNodePorts'])
      expect(second.spec).not.toHaveProperty(field);
    const { body: third } = await patch(`${services}/typed`, 'merge-patch', {
      spec: { type: 'ExternalName', externalName: 'example.com' },
    });
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'])
      expect(third.spec).not.toHaveProperty(field);
    const free = {
      clusterIP: first.spec.clusterIP,
      type: 'NodePort',
      ports: [{ port: 80, nodePort: first.spec.ports[0].nodePort }],
    };
    expect((await call('POST', services, service('heir', free))).code).toBe(201);
  });

  test('a balancer says where it is by addresses and names, and only of Services that want one', async () => {
    await call('POST', services, service('balanced', { type: 'LoadBalancer' }));
    const ingress = (path: string, ...all: object[]) =>
      patch(`${services}/${path}/status`, 'merge-patch', { status: { loadBalancer: { ingress: all } } });
    const wrong = await ingress(
      'balanced',
      { ip: '1.2.3' },
      { hostname: '1.2.3.4' },
      { ip: '192.0.2.1', ipMode: 'Magic' },
    );
    expect(wrong.body.details.causes.map(({ field, message }: Body) => [field, message])).toEqual([
      [
        'status.loadBalancer.ingress[0].ip',
        'Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ],
      ['status.loadBalancer.ingress[1].hostname', 'Invalid value: "1.2.3.4": must be a DNS name, not an IP address'],
      ['status.loadBalancer.ingress[2].ipMode', 'Unsupported value: "Magic": supported values: "Proxy", "VIP"'],
    ]);
    expect((await ingress('balanced', { ip: '192.0.2.1' })).body.status.loadBalancer.ingress).toEqual([
      { ip: '192.0.2.1', ipMode: 'VIP' },
    ]);
    await call('POST', services, service('unbalanced'));
    expect((await ingress('unbalanced', { ip: '192.0.2.1' })).body.details.causes).toEqual([
      {
        reason: 'FieldValueForbidden',
        field: 'status.loadBalancer.ingress',
        message: 'Forbidden: may only be used when `spec.type` is "LoadBalancer"',
      },
    ]);
  });

  test('headless Services have no address, and dual stack needs both families', async () => {
    const { body } = await call('POST', services, service('headless', { clusterIP: 'None' }));
    expect(body.spec).toMatchObject({
      clusterIP: 'None',
      clusterIPs: ['None'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
    });
    expect(failure(await call('POST', services, service('dual', { ipFamilyPolicy: 'RequireDualStack' })))[2]).toContain(
      'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
    );
    expect(failure(await call('POST', services, service('six', { ipFamilies: ['IPv6'] })))[2]).toContain(
      'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
    );
  });

  test('TCP and UDP of one port share their node port', async () => {
    const ports = [
      { name: 't', port: 53, protocol: 'TCP' },
      { name: 'u', port: 53, protocol: 'UDP' },
    ];
    const { body } = await call('POST', services, service('twins', { type: 'NodePort', ports }));
    expect(body.spec.ports[0].nodePort).toBe(body.spec.ports[1].nodePort);
  });

  test('the Service kubernetes comes back, with its endpoints', async () => {
    await call('DELETE', '/api/v1/namespaces/default/endpoints/kubernetes');
    await call('DELETE', `${services}/kubernetes`);
    await expect.poll(async () => (await call('GET', `${services}/kubernetes`)).body.spec?.clusterIP).toBe('10.96.0.1');
    await expect
      .poll(async () => (await call('GET', '/api/v1/namespaces/default/endpoints/kubernetes')).body.subsets)
      .toEqual([{ addresses: [{ ip: '192.168.101.2' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] }]);
  });
});

describe('paths', () => {
  test.each([
    ['/nothing', 404],
    ['/api/v1/widgets', 404],
    ['/apis/apiextensions.k8s.io/v1/customresourcedefinitions', 404],
    ['/api/v1/namespaces/default/services/kubernetes/none', 404],
    ['/api/v1/namespaces/default/nodes', 404],
    ['/api/v1/pods/x', 404],
    ['/api/v1/namespaces/%ff/pods', 400],
    ['/apis/apps/v1/namespaces//deployments', 404],
  ])('GET %s is a Status with %i', async (path, code) => {
    expect(failure(await call('GET', path))[0]).toBe(code);
  });

  test('methods that are not served are 405', async () => {
    expect(failure(await call('PUT', services, {}))[0]).toBe(405);
    expect(failure(await call('POST', `${services}/kubernetes`, {}))[0]).toBe(405);
    expect(failure(await call('DELETE', '/api/v1/services'))[0]).toBe(405);
    expect(failure(await call('DELETE', `${services}/kubernetes/status`))[0]).toBe(405);
  });

  test('discovery names what is served, old and new way', async () => {
    const { body } = await call('GET', '/apis/apps/v1');
    expect(body.resources.map((r: Body) => r.name)).toEqual([
      'replicasets',
      'replicasets/status',
      'replicasets/scale',
      'deployments',
      'deployments/status',
      'deployments/scale',
      'statefulsets',
      'statefulsets/status',
      'statefulsets/scale',
      'daemonsets',
      'daemonsets/status',
      'controllerrevisions',
    ]);
    const aggregated = await call('GET', '/apis', undefined, {
      accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json',
    });
    expect(aggregated.headers['content-type']).toBe(
      'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
    );
    expect(aggregated.body.items.map((i: Body) => i.metadata.name)).toEqual([
      'apps',
      'events.k8s.io',
      'authentication.k8s.io',
      'authorization.k8s.io',
      'networking.k8s.io',
      'rbac.authorization.k8s.io',
      'coordination.k8s.io',
      'discovery.k8s.io',
    ]);
    expect((await call('GET', '/api')).body.versions).toEqual(['v1']);
    expect((await call('GET', '/version')).body.gitVersion).toMatch(/^v1\.36\.\d+\+signalbox$/);
  });

  test('openapi refers to nothing that it does not have', async () => {
    const index = await call('GET', '/openapi/v3');
    for (const { serverRelativeURL } of Object.values<Body>(index.body.paths)) {
      const { body } = await call('GET', serverRelativeURL);
      const text = JSON.stringify(body);
      const named = new Set([...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((m) => m[1] ?? ''));
      expect([...named].filter((name) => body.components.schemas[name] === undefined)).toEqual([]);
      expect(text).toContain('"name":"fieldValidation"');
    }
  });

  test('openapi documents have an ETag, and describe their fields', async () => {
    const index = await call('GET', '/openapi/v3');
    const url = index.body.paths['api/v1'].serverRelativeURL as string;
    const document = await call('GET', url);
    expect(document.headers.etag).toBe(`"${url.split('hash=')[1]}"`);
    const { ports } = document.body.components.schemas['io.k8s.api.core.v1.ServiceSpec'].properties;
    expect(ports).toMatchObject({
      type: 'array',
      description: expect.stringMatching(/^The list of ports that are exposed by this service\./),
      'x-kubernetes-list-map-keys': ['port', 'protocol'],
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-patch-merge-key': 'port',
    });
    expect((await call('GET', url, undefined, { 'if-none-match': String(document.headers.etag) })).code).toBe(304);
  });

  test('numbers out of range are refused as Kubernetes refuses them', async () => {
    const { body } = await call('POST', services, service('large', { ports: [{ port: 3_000_000_000 }] }));
    expect(body).toMatchObject({ code: 400, reason: 'BadRequest' });
    expect(body.message).toContain(
      'cannot unmarshal number 3000000000 into Go struct field ServicePort.spec.ports.port of type int32',
    );
  });

  test('metrics count requests', async () => {
    await call('POST', services, service('counted'));
    const { body } = await call('GET', '/metrics');
    expect(body).toMatch(
      /apiserver_request_total\{verb="CREATE",group="",version="v1",resource="services",subresource="",scope="namespace",code="201"\} \d+/,
    );
    expect(body).toMatch(/apiserver_storage_objects\{resource="namespaces"\} \d+/);
  });
});
