import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callServer, startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) });
});
afterAll(() => server.close());

const asked = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
const answered = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Raw, because an answer in protobuf is no text. */
async function fetchV2(headers: { [name: string]: string } = {}) {
  return server.inject({ method: 'GET', url: '/openapi/v2', headers });
}

/** Field numbers of OpenAPIv2.proto (github.com/google/gnostic): number, name, and the message it holds, with `*` for many. */
const proto: { readonly [message: string]: string } = {
  Document: '1 swagger; 2 info Info; 8 paths Paths; 9 definitions Definitions',
  Info: '1 title; 2 version',
  Paths: '2 path NamedPathItem*',
  NamedPathItem: '1 name; 2 value PathItem',
  PathItem:
    '2 get Operation; 3 put Operation; 4 post Operation; 5 delete Operation; 8 patch Operation; 9 parameters ParametersItem*',
  Operation:
    '5 operation_id; 6 produces *; 7 consumes *; 8 parameters ParametersItem*; 9 responses Responses; 13 vendor_extension NamedAny*',
  ParametersItem: '1 parameter Parameter',
  Parameter: '1 body_parameter BodyParameter; 2 non_body_parameter NonBodyParameter',
  BodyParameter: '1 description; 2 name; 3 in; 4 required; 5 schema Schema',
  NonBodyParameter: '3 query_parameter_sub_schema Query; 4 path_parameter_sub_schema Path',
  Query: '1 required; 2 in; 3 description; 4 name; 6 type; 20 unique_items',
  Path: '1 required; 2 in; 3 description; 4 name; 5 type; 19 unique_items',
  Responses: '1 response_code NamedResponseValue*',
  NamedResponseValue: '1 name; 2 value ResponseValue',
  ResponseValue: '1 response Response',
  Response: '1 description; 2 schema SchemaItem',
  SchemaItem: '1 schema Schema',
  Definitions: '1 additional_properties NamedSchema*',
  NamedSchema: '1 name; 2 value Schema',
  Schema:
    '1 _ref; 2 format; 4 description; 5 default Any; 19 required *; 21 additional_properties AdditionalPropertiesItem; 22 type TypeItem; 23 items ItemsItem; 25 properties Definitions; 31 vendor_extension NamedAny*',
  AdditionalPropertiesItem: '1 schema Schema',
  TypeItem: '1 value *',
  ItemsItem: '1 schema Schema*',
  NamedAny: '1 name; 2 value Any',
  Any: '2 yaml',
};

// biome-ignore lint/suspicious/noExplicitAny: a decoded message is of any shape.
type Message = any;

/** Reads a message by the table; throws on a field that the table does not have. */
function decode(type: string, bytes: Buffer): Message {
  const rules = new Map(
    (proto[type] ?? '').split('; ').map((rule) => {
      const [number = '', name = '', of = ''] = rule.split(' ');
      return [Number(number), { name, of: of.replace('*', ''), isMany: of.endsWith('*') }];
    }),
  );
  const message: Message = {};
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const rule = rules.get(Math.floor(tag / 8));
    if (rule === undefined) throw new Error(`${type} has no field ${Math.floor(tag / 8)}`);
    let value: unknown = varint() as unknown;
    if (tag % 8 === 2) {
      const content = bytes.subarray(at, at + Number(value));
      at += Number(value);
      value = rule.of === '' ? content.toString() : decode(rule.of, content);
    }
    if (rule.isMany) message[rule.name] = [...(message[rule.name] ?? []), value];
    else message[rule.name] = value;
  }
  expect(at).toBe(bytes.length);
  return message;
}

/** The schema that a decoded message says, as JSON writes it. */
function schemaJson(message: Message): Message {
  const { _ref, type, items, properties, additional_properties, vendor_extension = [], ...rest } = message;
  return {
    ...rest,
    ...(_ref && { $ref: _ref }),
    ...(type && { type: type.value[0] }),
    ...(items && { items: schemaJson(items.schema[0]) }),
    ...(additional_properties && { additionalProperties: schemaJson(additional_properties.schema) }),
    ...(properties && { properties: namedSchemas(properties) }),
    ...Object.fromEntries(vendor_extension.map(({ name, value }: Message) => [name, JSON.parse(value.yaml)])),
  };
}

function namedSchemas({ additional_properties = [] }: Message): Message {
  return Object.fromEntries(additional_properties.map(({ name, value }: Message) => [name, schemaJson(value)]));
}

describe('openapi/v2', () => {
  test('says the same in protobuf as in JSON', async () => {
    const json = JSON.parse((await fetchV2()).body);
    const answer = await fetchV2({ accept: asked });
    expect(answer.headers['content-type']).toBe(answered);
    const document = decode('Document', answer.rawPayload);
    expect([document.swagger, document.info.title]).toEqual([json.swagger, 'Kubernetes']);
    expect(namedSchemas(document.definitions)).toEqual(json.definitions);
    expect(document.paths.path.map(({ name }: Message) => name)).toEqual(Object.keys(json.paths));
    const { value } = document.paths.path.find(
      ({ name }: Message) => name === '/api/v1/namespaces/{namespace}/services/{name}',
    );
    expect(value.patch.vendor_extension.map(({ name, value: any }: Message) => [name, JSON.parse(any.yaml)])).toEqual([
      ['x-kubernetes-action', 'patch'],
      ['x-kubernetes-group-version-kind', { group: '', version: 'v1', kind: 'Service' }],
    ]);
    expect(value.put.parameters[0].parameter.body_parameter).toEqual({
      name: 'body',
      in: 'body',
      required: 1,
      schema: { _ref: '#/definitions/io.k8s.api.core.v1.Service' },
    });
    expect(value.parameters[0].parameter.non_body_parameter.path_parameter_sub_schema).toMatchObject({
      name: 'name',
      required: 1,
    });
    const fieldValidation = value.put.parameters
      .map(({ parameter }: Message) => parameter.non_body_parameter?.query_parameter_sub_schema.name)
      .filter((name: unknown) => name === 'fieldValidation');
    expect(fieldValidation).toHaveLength(1);
  });

  test('refers to nothing that it does not have, and names every operation once', async () => {
    const text = (await fetchV2()).body;
    const { definitions, paths } = JSON.parse(text);
    const named = new Set([...text.matchAll(/"#\/definitions\/([^"]+)"/g)].map((m) => m[1] ?? ''));
    expect([...named].filter((name) => definitions[name] === undefined)).toEqual([]);
    const ids = Object.values<Message>(paths).flatMap((path) =>
      Object.values<Message>(path).flatMap(({ operationId }) => operationId ?? []),
    );
    expect(ids.length).toBeGreaterThan(100);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(
      expect.arrayContaining([
        'listCoreV1NamespacedService',
        'listCoreV1ServiceForAllNamespaces',
        'deleteAppsV1CollectionNamespacedDeployment',
        'patchCoreV1NamespacedServiceStatus',
        'createCoreV1NamespacedPodEviction',
      ]),
    );
  });

  test('is the same schema as that of openapi/v3', async () => {
    const v2 = JSON.parse((await fetchV2()).body).definitions;
    const { body } = await callServer(server, 'GET', '/openapi/v3/apis/discovery.k8s.io/v1');
    const v3 = body.components.schemas;
    const name = 'io.k8s.api.discovery.v1.EndpointSlice';
    expect(Object.keys(v2[name].properties)).toEqual(Object.keys(v3[name].properties));
    expect(v2[name]['x-kubernetes-group-version-kind']).toEqual([
      { group: 'discovery.k8s.io', version: 'v1', kind: 'EndpointSlice' },
    ]);
  });

  test.each([
    [undefined, 'application/json'],
    ['*/*', 'application/json'],
    ['application/json;q=0.5, application/*;q=0.1', 'application/json'],
    [asked, answered],
    [answered, answered],
    [`${asked};q=0.9,application/json`, 'application/json'],
    [`${asked}, application/json;q=0.8`, answered],
  ])('Accept: %s is answered with %s', async (accept, type) => {
    const answer = await fetchV2(accept === undefined ? {} : { accept });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, type]);
  });

  test('has an ETag for each form; refuses a form that it does not have', async () => {
    const json = await fetchV2();
    const protobuf = await fetchV2({ accept: asked });
    expect(json.headers.etag).not.toBe(protobuf.headers.etag);
    expect((await fetchV2({ 'if-none-match': String(json.headers.etag) })).statusCode).toBe(304);
    expect((await fetchV2({ accept: asked, 'if-none-match': String(json.headers.etag) })).statusCode).toBe(200);
    const refused = await fetchV2({ accept: 'text/html' });
    expect([refused.statusCode, JSON.parse(refused.body).reason]).toEqual([406, 'NotAcceptable']);
  });
});
