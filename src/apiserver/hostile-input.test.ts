import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { apiVersionOf } from '../api/resources.ts';
import { servedResources } from './served.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) });
});
afterAll(() => server.close());

/** Sends a request; the code of an answer that is no server error, and is a Status when it is a failure. */
async function send(
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  body = '',
  type = 'application/json',
): Promise<number> {
  const answer = await server.inject({
    method,
    url,
    ...(body === '' ? {} : { payload: body, headers: { 'content-type': type } }),
  });
  const context = `${method} ${url} ${body}: ${answer.statusCode} ${answer.body}`;
  // Who asks for what is yet to come waits a while, and is told so with a code of this kind, as by Kubernetes.
  if (answer.statusCode === 504 && answer.body.includes('Too large resource version')) return 504;
  if (answer.statusCode >= 500) throw new Error(context);
  if (answer.statusCode >= 400 && JSON.parse(answer.body).kind !== 'Status') throw new Error(context);
  return answer.statusCode;
}

// A request that hangs, and the search for a shorter example of what failed, end before the test's own time: stopped by
// that, it would not tell what was sent.
const runs = { numRuns: 300, timeout: 20_000, interruptAfterTimeLimit: 60_000 };
// Hundreds of requests each, some of which wait for seconds; on a busy machine longer than a test usually may take.
vi.setConfig({ testTimeout: 120_000 });

const subresource = fc.constantFrom('status', 'scale', 'log', 'exec', 'binding', 'eviction', 'finalize', 'token', 'x');
const parameter = fc.constantFrom(
  ...['labelSelector', 'fieldSelector', 'limit', 'continue', 'resourceVersion', 'resourceVersionMatch', 'dryRun'],
  ...['fieldValidation', 'includeObject', 'pretty', 'timeoutSeconds', 'gracePeriodSeconds', 'propagationPolicy'],
  ...['orphanDependents', 'sendInitialEvents', 'fieldManager', 'force', 'tailLines', 'container', 'sinceTime'],
);

const path = '/api/v1/namespaces/default';

/** Bodies that look right in places: a kind's own fields with any values. */
function objectOf(kind: string, apiVersion: string, fields: readonly string[]) {
  const value = fc.jsonValue({ maxDepth: 3 });
  const part = fc.dictionary(fc.constantFrom(...fields), value, { maxKeys: 6 });
  const name = fc.oneof(fc.string({ maxLength: 10 }), fc.constant('x'));
  return fc
    .record({
      metadata: fc.record({ name, labels: value, finalizers: value }, { requiredKeys: ['name'] }),
      spec: part,
      status: value,
      data: value,
    })
    .map((object) => JSON.stringify({ apiVersion, kind, ...object }));
}

test.each([
  [
    'Service',
    'v1',
    `${path}/services`,
    [
      'type',
      'ports',
      'selector',
      'clusterIP',
      'clusterIPs',
      'ipFamilies',
      'ipFamilyPolicy',
      'externalIPs',
      'sessionAffinity',
      'sessionAffinityConfig',
    ],
  ],
  [
    'Pod',
    'v1',
    `${path}/pods`,
    ['containers', 'volumes', 'dnsConfig', 'hostAliases', 'tolerations', 'nodeName', 'restartPolicy'],
  ],
  ['ConfigMap', 'v1', `${path}/configmaps`, ['x']],
  [
    'Deployment',
    'apps/v1',
    '/apis/apps/v1/namespaces/default/deployments',
    ['replicas', 'selector', 'template', 'strategy'],
  ],
] as const)('create of any %s is answered, and never with a server error', async (kind, version, url, fields) => {
  await fc.assert(
    fc.asyncProperty(
      objectOf(kind, version, fields),
      fc.constantFrom('Strict', 'Warn', 'Ignore'),
      async (body, validation) => {
        await send('POST', `${url}?fieldValidation=${validation}`, body);
      },
    ),
    runs,
  );
});

test('any patch is answered, and never with a server error', async () => {
  const base = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'target' }, spec: { ports: [{ port: 80 }] } };
  await send('POST', `${path}/services`, JSON.stringify(base));
  const types = ['json-patch', 'merge-patch', 'strategic-merge-patch'].map((type) => `application/${type}+json`);
  const key = fc.constantFrom(
    'metadata',
    'spec',
    'ports',
    'selector',
    '$patch',
    '$retainKeys',
    '$setElementOrder/ports',
    'name',
    'labels',
    'port',
    '__proto__',
  );
  const { tree } = fc.letrec<{ tree: unknown; leaf: unknown }>((tie) => ({
    leaf: fc.oneof(
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.boolean(),
      fc.constantFrom('delete', 'replace', 'merge'),
    ),
    tree: fc.oneof(
      { maxDepth: 5 },
      tie('leaf'),
      fc.dictionary(key, tie('tree')),
      fc.array(tie('tree'), { maxLength: 3 }),
    ),
  }));
  const operation = fc.record({
    op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
    path: fc.constantFrom('', '/spec', '/spec/ports/0', '/metadata/labels', '/x/y', 'z'),
    from: fc.constantFrom('/spec', ''),
    value: tree,
  });
  await fc.assert(
    fc.asyncProperty(fc.oneof(tree, fc.array(operation)), fc.constantFrom(...types), async (body, type) => {
      await send('PATCH', `${path}/services/target`, JSON.stringify(body), type);
    }),
    runs,
  );
});

test('anything applied, and any managed fields, are answered, and never with a server error', async () => {
  const step = fc.constantFrom('.', 'f:spec', 'f:metadata', 'k:{"port":80}', 'k:[1]', 'v:1', 'i:x', '__proto__', '');
  const { fields } = fc.letrec<{ fields: unknown }>((tie) => ({
    fields: fc.oneof({ maxDepth: 4 }, fc.constantFrom<unknown>(null, 1, 'x', {}), fc.dictionary(step, tie('fields'))),
  }));
  const managedFields = fc.array(
    fc.record(
      {
        manager: fc.string(),
        operation: fc.constantFrom('Apply', 'Update', 'Other'),
        apiVersion: fc.constantFrom('v1', ''),
        fieldsType: fc.constantFrom('FieldsV1', 'V2'),
        fieldsV1: fields,
        time: fc.string(),
      },
      { requiredKeys: [] },
    ),
    { maxLength: 3 },
  );
  const value = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant({}), fc.constant([]));
  const port = fc.dictionary(fc.constantFrom('port', 'protocol', 'name', 'targetPort'), value);
  const object = fc.record(
    {
      metadata: fc.record({ name: fc.constant('target'), managedFields, labels: value }, { requiredKeys: ['name'] }),
      spec: fc.record({ ports: fc.array(port, { maxLength: 3 }), selector: value }, { requiredKeys: [] }),
      status: fc.record({ conditions: fc.array(fc.dictionary(fc.constantFrom('type', 'status'), value)) }),
    },
    { requiredKeys: ['metadata'] },
  );
  const types = ['application/apply-patch+yaml', 'application/merge-patch+json'];
  const query = fc.constantFrom('?fieldManager=m&force=true', '?fieldManager=n', '/status?fieldManager=s&force=1', '');
  await fc.assert(
    fc.asyncProperty(object, fc.constantFrom(...types), query, async (body, type, rest) => {
      const typed = JSON.stringify({ apiVersion: 'v1', kind: 'Service', ...body });
      await send('PATCH', `${path}/services/target${rest}`, typed, type);
    }),
    runs,
  );
});

test('any path and query is answered, and never with a server error', async () => {
  const segment = fc.oneof(
    fc.constantFrom(
      'api',
      'apis',
      'v1',
      'apps',
      'namespaces',
      'default',
      'pods',
      'services',
      'status',
      '..',
      '%00',
      '',
    ),
    fc.webSegment(),
  );
  const of = fc.tuple(
    fc.constantFrom(...servedResources),
    fc.option(segment),
    fc.option(segment),
    fc.option(subresource),
  );
  const resourcePath = of.map(([resource, namespace, name, sub]) => {
    const version = apiVersionOf(resource);
    const group = `/${version.includes('/') ? 'apis' : 'api'}/${version}`;
    const scope = namespace === null || !resource.namespaced ? '' : `/namespaces/${namespace}`;
    return `${group}${scope}/${resource.plural}${name === null ? '' : `/${name}${sub === null ? '' : `/${sub}`}`}`;
  });
  const anyPath = fc.array(segment, { maxLength: 7 }).map((segments) => `/${segments.join('/')}`);
  const value = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.constantFrom('0', '-1', '99', 'true', 'All', 'Exact', 'NotOlderThan', 'Orphan', 'x in (a,b)', 'spec.type!=X'),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(anyPath, resourcePath),
      fc.array(fc.tuple(parameter, value), { maxLength: 4 }),
      fc.constantFrom('GET', 'DELETE', 'POST', 'PUT'),
      async (pathname, parameters, method) => {
        // Deleting every Service at random would only make the others shorter.
        if (method === 'DELETE' && pathname.split('/').length < 8) return;
        await send(method, `${pathname}?${new URLSearchParams(parameters)}`);
      },
    ),
    runs,
  );
});

test('a revision that does not exist yet is waited for, not for ever, and the answer says so', async () => {
  const { code, reason } = await sendRaw('GET', `${path}/services?resourceVersion=999999999`, 'x', '');
  expect({ code, reason }).toEqual({ code: 504, reason: 'Timeout' });
});

test('any bytes are answered, whatever they claim to be', async () => {
  const types = [
    'application/json',
    'application/yaml',
    'application/vnd.kubernetes.protobuf',
    'application/merge-patch+json',
    'x',
  ];
  const bytes = fc.oneof(
    fc.string({ minLength: 1, unit: 'binary', maxLength: 200 }),
    fc.string({ minLength: 1, unit: fc.constantFrom(...'{}[]:,"&*-!|> \nab1') }),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.constantFrom(...types), async (body, type) => {
      expect(await send('POST', `${path}/configmaps`, body, type)).toBeGreaterThanOrEqual(400);
    }),
    runs,
  );
});

/** The code and reason of the answer. That it comes soon, the tests' time limits tell. */
async function sendRaw(method: 'POST' | 'PATCH' | 'GET', url: string, type: string, body: string) {
  const { statusCode, body: text } = await server.inject({
    ...{ method, url, headers: { 'content-type': type } },
    ...(body === '' ? {} : { payload: Buffer.from(body, 'latin1') }),
  });
  const { reason } = JSON.parse(text) as { reason?: string };
  return { code: statusCode, reason };
}
const many = (count: number, item: (i: number) => unknown) =>
  JSON.stringify(Array.from({ length: count }, (_, i) => item(i)));
const spread = (count: number) => many(count, (i) => ({ op: 'add', path: '/data/0', value: i }));
const doubling = many(60, (i) => ({ op: 'copy', from: '/data', path: `/data/${i}` }));
const inserting = `[{"op":"add","path":"/data","value":${many(400_000, () => 1)}},${spread(9_000).slice(1)}`;
const json = 'application/json-patch+json';
const strategic = 'application/strategic-merge-patch+json';

test.each([
  ['a JSON patch that doubles itself', json, doubling, 413],
  ['a JSON patch of too many operations', json, spread(10_001), 413],
  ['a JSON patch that moves a long list again and again', json, inserting, 413],
  [
    'a JSON patch that nests too deeply',
    json,
    `[{"op":"add","path":"/x","value":${'['.repeat(5_000)}${']'.repeat(5_000)}}]`,
    400,
  ],
  [
    'a merge patch that nests too deeply',
    'application/merge-patch+json',
    `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
    400,
  ],
  ['an endless list of finalizers', strategic, `{"metadata":{"finalizers":${many(150_000, (i) => `x${i}`)}}}`, 422],
  [
    'an endless list of elements',
    strategic,
    `{"metadata":{"ownerReferences":${many(40_000, (i) => ({ uid: `${i}` }))}}}`,
    422,
  ],
  [
    'an endless order of elements',
    strategic,
    `{"metadata":{"$setElementOrder/finalizers":${many(100_000, (i) => `x${i}`)},"finalizers":${many(100_000, (i) => `x${100_000 - i}`)}}}`,
    422,
  ],
])('%s is refused, soon', { timeout: 60_000 }, async (name, type, body, code) => {
  const map = `bomb-${name.replaceAll(/[^a-z]/gi, '-').toLowerCase()}`.slice(0, 60).replace(/-$/, '');
  await send(
    'POST',
    `${path}/configmaps`,
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: map }, data: { a: 'b' } }),
  );
  const answer = await sendRaw('PATCH', `${path}/configmaps/${map}`, type, body);
  expect(answer.code).toBe(code);
});

test.each([
  ['nests too deeply', 'application/json', `{"a":${'['.repeat(200_000)}`, 400],
  [
    'has a field a hundred thousand times',
    'application/json',
    `{"kind":"ConfigMap","apiVersion":"v1",${'"data":{},'.repeat(100_000)}"metadata":{"name":"twice"}}`,
    201,
  ],
  [
    'has a hundred thousand unknown fields',
    'application/json',
    `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"odd"},${many(100_000, (i) => i)
      .slice(1, -1)
      .replaceAll(/(\d+)/g, '"x$1":1')}}`,
    201,
  ],
  [
    'has aliases of aliases',
    'application/yaml',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghij'[i]}`)}]`).join('\n')}\n`,
    400,
  ],
  ['nests too deeply in YAML', 'application/yaml', '['.repeat(50_000), 400],
  ['is a NUL byte', 'application/json', '\0', 400],
  ['is not UTF-8', 'application/json', '{"kind":"\xff\xfe"}', 400],
])('a body that %s is answered, soon', { timeout: 60_000 }, async (_, type, body, code) => {
  const answer = await sendRaw('POST', `${path}/configmaps`, type, body);
  expect(answer.code).toBe(code);
});

test('names that JavaScript objects have already are names like others, in bodies and patches', async () => {
  const url = `${path}/configmaps/names`;
  const data = '"__proto__":"a","constructor":"b","toString":"c"';
  const read = async (): Promise<string> => (await server.inject({ method: 'GET', url })).body;
  await send(
    'POST',
    `${path}/configmaps`,
    `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"names"},"data":{${data}}}`,
  );
  expect(await read()).toContain(`"data":{${data}}`);
  for (const [type, patch] of [
    ['application/merge-patch+json', '{"data":{"__proto__":"m"}}'],
    [strategic, '{"data":{"__proto__":"s","constructor":null}}'],
    [
      json,
      '[{"op":"add","path":"/data/constructor","value":"j"},{"op":"copy","from":"/data/__proto__","path":"/data/valueOf"}]',
    ],
  ] as const) {
    expect(await send('PATCH', url, patch, type)).toBe(200);
  }
  const { data: found } = JSON.parse(await read()) as { data: object };
  expect(Object.entries(found).toSorted()).toEqual([
    ['__proto__', 's'],
    ['constructor', 'j'],
    ['toString', 'c'],
    ['valueOf', 's'],
  ]);
  expect(
    await send(
      'PATCH',
      url,
      '{"__proto__":{"polluted":1},"metadata":{"__proto__":{"labels":{"a":"b"}}}}',
      'application/merge-patch+json',
    ),
  ).toBeLessThan(500);
  expect('polluted' in {}).toBe(false);
  expect(await read()).not.toContain('labels');
});

test('a selector of very many requirements is answered, soon', async () => {
  const selector = Array.from({ length: 5_000 }, (_, i) => `!k${i}`).join();
  const { code } = await sendRaw('GET', `${path}/configmaps?labelSelector=${encodeURIComponent(selector)}`, 'x', '');
  expect(code).toBe(200);
});
