import { type FieldType, fieldsOf } from '../api/decode.ts';
import { descriptions } from '../api/generated/descriptions.ts';
import { schema } from '../api/generated/schema.ts';
import { atomicMaps, atomicTypes, listRules } from '../api/list-types.ts';
import { mergeRules } from '../api/merge-rules.ts';
import type { Resource } from '../api/resources.ts';
import { verbsOf } from './served.ts';

export type Json = { [field: string]: unknown };

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
  [/^Eviction$/, 'io.k8s.api.policy.v1'],
  [/^(ServiceCIDR|IPAddress|ParentReference)/, 'io.k8s.api.networking.v1'],
  [/^Lease(Spec)?$/, 'io.k8s.api.coordination.v1'],
  [/^((Cluster)?Role(Binding|Ref)?|PolicyRule|AggregationRule|Subject)$/, 'io.k8s.api.rbac.v1'],
  [/^(Token(Review|Request)|SelfSubjectReview|UserInfo|BoundObjectReference)/, 'io.k8s.api.authentication.v1'],
  [
    /^((Self|Local)?Subject|ResourceAttributes|NonResource|(Field|Label)SelectorAttributes|ResourceRule)/,
    'io.k8s.api.authorization.v1',
  ],
  [/^Scale(Spec|Status)?$/, 'io.k8s.api.autoscaling.v1'],
];

/** The name under which clients know a type of the schema: `io.k8s.api.core.v1.Pod`. */
export function schemaName(type: string): string {
  const found = packages.find(([form]) => form.test(type))?.[1];
  return found === undefined ? `io.k8s.api.core.v1.${type.replace(/^Core(?=[A-Z])/, '')}` : `${found}.${type}`;
}

/** What the versions of OpenAPI write differently. */
export interface Dialect {
  /** A reference to a type, in a document's own words. */
  readonly reference: (name: string) => Json;
  /** A field whose value is of a type. */
  readonly object: (name: string) => Json;
  readonly quantity: Json;
  readonly intOrString: Json;
}

/** The schemas of the resources' objects and their lists, of other types by name, and of all they are made of. */
export function schemasOf(served: readonly Resource[], others: readonly string[], dialect: Dialect): Json {
  const schemas: Json = {};
  const add = (type: string) => {
    if (schemas[schemaName(type)] !== undefined) return;
    schemas[schemaName(type)] = objectSchema(type, dialect);
    for (const field of fieldsOf(type).values()) {
      const inner = innermost(field);
      if (inner.form === 'object') add(inner.name);
    }
  };
  for (const resource of served) {
    add(resource.schema);
    const { group, version, kind } = resource;
    const own = schemas[schemaName(resource.schema)] as Json;
    own['x-kubernetes-group-version-kind'] = [{ group, version, kind }];
    if (verbsOf(resource).includes('list'))
      schemas[`${schemaName(resource.schema)}List`] = listSchema(resource, dialect);
  }
  for (const type of ['ListMeta', ...others]) add(type);
  schemas[quantity] = { description: 'A number with a unit: 100m, 1.5Gi.', ...dialect.quantity };
  schemas[intOrString] = { description: 'A number or a text.', format: 'int-or-string', ...dialect.intOrString };
  return schemas;
}

function objectSchema(type: string, dialect: Dialect): Json {
  const required = schema[type]?.required ?? [];
  const properties = [...fieldsOf(type)].map(([field, fieldType]) => [
    field,
    {
      ...description(type, field),
      ...fieldSchema(fieldType, dialect),
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

function listSchema({ group, version, kind, schema: type }: Resource, dialect: Dialect): Json {
  return {
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: dialect.object(`${meta}.ListMeta`),
      items: { type: 'array', items: dialect.object(schemaName(type)) },
    },
    'x-kubernetes-group-version-kind': [{ group, version, kind: `${kind}List` }],
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

function innermost(type: FieldType): FieldType {
  if (type.form === 'list') return innermost(type.element);
  return type.form === 'map' ? innermost(type.value) : type;
}

function fieldSchema(type: FieldType, dialect: Dialect): Json {
  if (type.form === 'list') return { type: 'array', items: fieldSchema(type.element, dialect) };
  if (type.form === 'map') return { type: 'object', additionalProperties: fieldSchema(type.value, dialect) };
  if (type.form === 'object') return dialect.object(schemaName(type.name));
  if (type.name === 'quantity') return dialect.reference(quantity);
  if (type.name === 'int-or-string') return dialect.reference(intOrString);
  return scalarSchemas[type.name] ?? { type: type.name };
}

const scalarSchemas: { readonly [name: string]: Json } = {
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  number: { type: 'number', format: 'double' },
  time: { type: 'string', format: 'date-time' },
  'micro-time': { type: 'string', format: 'date-time' },
  bytes: { type: 'string', format: 'byte' },
  any: { type: 'object' },
};
