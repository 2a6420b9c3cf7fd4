import { createHash } from 'node:crypto';
import { type FieldType, fieldsOf } from '../api/decode.ts';
import { descriptions } from '../api/generated/descriptions.ts';
import { schema } from '../api/generated/schema.ts';
import { atomicMaps, atomicTypes, listRules } from '../api/list-types.ts';
import { mergeRules } from '../api/merge-rules.ts';
import { otherVersions } from '../api/other-versions.ts';
import { apiVersionOf, type Resource, resources } from '../api/resources.ts';
import { type ApiAnswer, type ApiRequest, jsonAnswer } from './requests.ts';
import { version } from './version.ts';

type Json = { [field: string]: unknown };

const all: readonly Resource[] = [...Object.values(resources), ...otherVersions.map(({ resource }) => resource)];
const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';

/** Go packages of types, first match; all others are core/v1. Clients know the types by these names. */
const packages: readonly (readonly [RegExp, string])[] = [
  [/^(ObjectMeta|ListMeta|OwnerReference|ManagedFieldsEntry|LabelSelector(Requirement)?|Condition)$/, meta],
  [/^(Status(Cause|Details)?|DeleteOptions|Preconditions|API\w+)$/, meta],
  [/^(Deployment|ReplicaSet|DaemonSet|StatefulSet|RollingUpdate|ControllerRevision)\w*$/, 'io.k8s.api.apps.v1'],
  [/^(Endpoint(Conditions|Hints|Port|Slice)?|For(Zone|Node))$/, 'io.k8s.api.discovery.v1'],
  [/^Event(Series)?$/, 'io.k8s.api.events.v1'],
  [/^Lease(Spec)?$/, 'io.k8s.api.coordination.v1'],
  [/^((Cluster)?Role(Binding|Ref)?|PolicyRule|AggregationRule|Subject)$/, 'io.k8s.api.rbac.v1'],
  [/^(Token(Review|Request)|SelfSubjectReview|UserInfo|BoundObjectReference)/, 'io.k8s.api.authentication.v1'],
  [
    /^((Self|Local)?Subject|ResourceAttributes|NonResource|(Field|Label)SelectorAttributes|ResourceRule)/,
    'io.k8s.api.authorization.v1',
  ],
  [/^Scale(Spec|Status)?$/, 'io.k8s.api.autoscaling.v1'],
];

function schemaName(type: string): string {
  const found = packages.find(([form]) => form.test(type))?.[1];
  return found === undefined ? `io.k8s.api.core.v1.${type.replace(/^Core(?=[A-Z])/, '')}` : `${found}.${type}`;
}

const documents = new Map<string, { readonly text: string; readonly hash: string }>();

/**
 * Answers `/openapi/v3` and what is below it; nothing for any other path. A document has the hash of its text as its
 * ETag, so that clients that keep it are spared it.
 */
export function describeApi({ path, headers }: Pick<ApiRequest, 'path' | 'headers'>): ApiAnswer | undefined {
  const groupVersions = [...new Set(all.map(apiVersionOf))];
  const pathOf = (groupVersion: string) =>
    groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;
  if (path === '/openapi/v3' || path === '/openapi/v3/') {
    const paths = groupVersions.map((groupVersion) => {
      const place = pathOf(groupVersion);
      return [place, { serverRelativeURL: `/openapi/v3/${place}?hash=${documentOf(groupVersion).hash}` }];
    });
    return jsonAnswer(200, { paths: Object.fromEntries(paths) });
  }
  const asked = groupVersions.find((groupVersion) => path === `/openapi/v3/${pathOf(groupVersion)}`);
  if (asked === undefined) return undefined;
  const { text, hash } = documentOf(asked);
  const etag = `"${hash}"`;
  const known = (headers['if-none-match'] ?? '').split(',').some((one) => one.trim() === etag);
  return { code: known ? 304 : 200, type: 'application/json', body: known ? '' : text, headers: { etag } };
}

/** The OpenAPI document of one group version, made when first asked for. */
function documentOf(groupVersion: string): { readonly text: string; readonly hash: string } {
  let document = documents.get(groupVersion);
  if (document === undefined) {
    const served = all.filter((resource) => apiVersionOf(resource) === groupVersion);
    const text = JSON.stringify({
      openapi: '3.0.0',
      info: { title: 'Kubernetes', version: version.gitVersion },
      paths: Object.assign({}, ...served.map(pathsOf)) as Json,
      components: { schemas: schemasOf(served) },
    });
    document = { text, hash: createHash('sha256').update(text).digest('hex').slice(0, 32).toUpperCase() };
    documents.set(groupVersion, document);
  }
  return document;
}

const parameter = (name: string, type: 'string' | 'integer' | 'boolean', description: string): Json => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
});

const writeParameters = [
  parameter('dryRun', 'string', 'All: nothing is stored.'),
  parameter('fieldManager', 'string', 'Who makes the change.'),
  parameter('fieldValidation', 'string', 'Strict, Warn or Ignore: what becomes of unknown and duplicate fields.'),
];
const listParameters = [
  parameter('labelSelector', 'string', 'Only objects with such labels.'),
  parameter('fieldSelector', 'string', 'Only objects with such fields.'),
  parameter('limit', 'integer', 'At most so many in one answer.'),
  parameter('continue', 'string', 'From where the last answer ended.'),
  parameter('resourceVersion', 'string', 'At least as new as this version.'),
  parameter('resourceVersionMatch', 'string', 'How the version is meant.'),
  parameter('timeoutSeconds', 'integer', 'For how long to watch.'),
  parameter('watch', 'boolean', 'Follow changes.'),
];
const deleteParameters = [
  parameter('dryRun', 'string', 'All: nothing is deleted.'),
  parameter('gracePeriodSeconds', 'integer', 'Time to finish.'),
  parameter('propagationPolicy', 'string', 'Background, Foreground or Orphan: what becomes of dependents.'),
];
const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

function pathsOf(resource: Resource): Json {
  const { group, version: v, kind, plural, namespaced } = resource;
  const root = group === '' ? `/api/${v}` : `/apis/${group}/${v}`;
  const base = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const inPath = (name: string): Json => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', uniqueItems: true },
  });
  const common = namespaced ? [inPath('namespace')] : [];
  const one = [inPath('name'), ...common];
  const object = schemaName(resource.schema);
  const operation = (action: string, parameters: readonly Json[], body?: Json): Json => ({
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': { group, version: v, kind },
    parameters,
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { 200: { description: 'OK', content: { 'application/json': { schema: reference(object) } } } },
  });
  const sent = {
    content: { 'application/json': { schema: reference(object) }, 'application/yaml': { schema: reference(object) } },
  };
  const patched = { content: Object.fromEntries(patchTypes.map((type) => [type, { schema: { type: 'object' } }])) };
  const change = {
    get: operation('get', []),
    put: operation('put', writeParameters, sent),
    patch: operation('patch', writeParameters, patched),
  };
  const paths: Json = {
    [base]: {
      parameters: common,
      get: operation('list', listParameters),
      post: operation('post', writeParameters, sent),
      delete: operation('deletecollection', [...listParameters, ...deleteParameters]),
    },
    [`${base}/{name}`]: { parameters: one, ...change, delete: operation('delete', deleteParameters) },
  };
  if (resource.subresources.includes('status')) paths[`${base}/{name}/status`] = { parameters: one, ...change };
  if (namespaced) paths[`${root}/${plural}`] = { parameters: [], get: operation('list', listParameters) };
  return paths;
}

/** The schemas of the resources' objects, their lists, and all they are made of. */
function schemasOf(served: readonly Resource[]): Json {
  const schemas: Json = {};
  const add = (type: string) => {
    if (schemas[schemaName(type)] !== undefined) return;
    schemas[schemaName(type)] = objectSchema(type);
    for (const field of fieldsOf(type).values()) {
      const inner = innermost(field);
      if (inner.form === 'object') add(inner.name);
    }
  };
  for (const resource of served) {
    add(resource.schema);
    const { group, version: v, kind } = resource;
    const own = schemas[schemaName(resource.schema)] as Json;
    own['x-kubernetes-group-version-kind'] = [{ group, version: v, kind }];
    schemas[`${schemaName(resource.schema)}List`] = listSchema(resource);
  }
  add('ListMeta');
  schemas[quantity] = {
    description: 'A number with a unit: 100m, 1.5Gi.',
    oneOf: [{ type: 'string' }, { type: 'number' }],
  };
  schemas[intOrString] = {
    description: 'A number or a text.',
    format: 'int-or-string',
    oneOf: [{ type: 'integer' }, { type: 'string' }],
  };
  return schemas;
}

function objectSchema(type: string): Json {
  const required = schema[type]?.required ?? [];
  const properties = [...fieldsOf(type)].map(([field, fieldType]) => [
    field,
    {
      ...description(type, field),
      ...fieldSchema(fieldType),
      ...listExtensions(type, field),
      ...mergeExtensions(`${type}.${field}`),
    },
  ]);
  return {
    ...description(type, ''),
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length > 0 ? { required } : {}),
    ...(atomicTypes.has(type) ? { 'x-kubernetes-map-type': 'atomic' } : {}),
  };
}

function description(type: string, field: string): Json {
  const text = descriptions[type]?.[field];
  return text === undefined ? {} : { description: text };
}

/** What clients need that know by themselves who owns what. */
function listExtensions(type: string, field: string): Json {
  if (atomicMaps.has(`${type}.${field}`)) return { 'x-kubernetes-map-type': 'atomic' };
  const rule = listRules[`${type}.${field}`];
  if (rule?.type === 'map') return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': rule.keys };
  if (fieldsOf(type).get(field)?.form !== 'list') return {};
  return { 'x-kubernetes-list-type': rule === undefined ? 'atomic' : 'set' };
}

function listSchema(resource: Resource): Json {
  const { group, version: v, kind } = resource;
  return {
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { allOf: [reference(`${meta}.ListMeta`)], default: {} },
      items: { type: 'array', items: { allOf: [reference(schemaName(resource.schema))], default: {} } },
    },
    'x-kubernetes-group-version-kind': [{ group, version: v, kind: `${kind}List` }],
  };
}

/** What kubectl needs to make strategic merge patches of two manifests. */
function mergeExtensions(field: string): Json {
  const rule = mergeRules[field];
  if (rule === undefined) return {};
  const isList = rule.retainKeys !== true || rule.key !== undefined;
  const strategy = [...(isList ? ['merge'] : []), ...(rule.retainKeys === true ? ['retainKeys'] : [])].join(',');
  return {
    'x-kubernetes-patch-strategy': strategy,
    ...(rule.key === undefined ? {} : { 'x-kubernetes-patch-merge-key': rule.key }),
  };
}

const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

function innermost(type: FieldType): FieldType {
  if (type.form === 'list') return innermost(type.element);
  return type.form === 'map' ? innermost(type.value) : type;
}

function fieldSchema(type: FieldType): Json {
  if (type.form === 'list') return { type: 'array', items: fieldSchema(type.element) };
  if (type.form === 'map') return { type: 'object', additionalProperties: fieldSchema(type.value) };
  if (type.form === 'object') return { allOf: [reference(schemaName(type.name))], default: {} };
  return scalarSchemas[type.name] ?? { type: type.name };
}

const scalarSchemas: { readonly [name: string]: Json } = {
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  number: { type: 'number', format: 'double' },
  time: { type: 'string', format: 'date-time' },
  bytes: { type: 'string', format: 'byte' },
  any: { type: 'object' },
  quantity: reference(quantity),
  'int-or-string': reference(intOrString),
};
