import { version } from '../api/kubernetes-version.ts';
import { type OperationFacts, type ParameterFacts, type PathFacts, pathsOf } from './openapi-paths.ts';
import { type Dialect, type Json, schemaName, schemasOf } from './openapi-schema.ts';
import { encodeSwagger } from './openapi-v2-protobuf.ts';
import { servedResources } from './served.ts';

/** The OpenAPI 2 document about everything served: as JSON, or as the `openapi.v2.Document` of gnostic. */
export function describeInSwagger(asProtobuf: boolean): string | Uint8Array {
  const document = makeDocument();
  return asProtobuf ? encodeSwagger(document) : JSON.stringify(document);
}

const reference = (name: string): Json => ({ $ref: `#/definitions/${name}` });

const dialect: Dialect = {
  reference,
  object: reference,
  quantity: { type: 'string' },
  intOrString: { type: 'string' },
};

function makeDocument(): Json {
  const paths = servedResources.flatMap(pathsOf);
  const types = paths.flatMap(({ operations }) =>
    operations.flatMap(({ body, answer }) => [body?.schema, answer?.schema].filter((type) => type !== undefined)),
  );
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: version.gitVersion },
    paths: Object.fromEntries(paths.map((one) => [one.path, pathItem(one)])),
    definitions: schemasOf(servedResources, types, dialect),
  };
}

function pathItem({ parameters, operations }: PathFacts): Json {
  return {
    ...Object.fromEntries(operations.map((one) => [one.method, operation(one)])),
    parameters: parameters.map(parameter),
  };
}

function parameter({ name, in: place, type, description }: ParameterFacts): Json {
  return {
    ...(description === undefined ? {} : { description }),
    name,
    in: place,
    ...(place === 'path' ? { required: true } : {}),
    type,
    uniqueItems: true,
  };
}

function operation({ action, id, groupVersionKind, parameters, body, answer }: OperationFacts): Json {
  const sent = body && (body.schema === undefined ? { type: 'object' } : reference(schemaName(body.schema)));
  const inBody = sent && { name: 'body', in: 'body', ...(action === 'delete' ? {} : { required: true }), schema: sent };
  const answered = answer && { schema: reference(`${schemaName(answer.schema)}${answer.isList ? 'List' : ''}`) };
  return {
    operationId: id,
    consumes: body?.types ?? ['*/*'],
    produces: ['application/json', 'application/yaml'],
    parameters: [...(inBody ? [inBody] : []), ...parameters.map(parameter)],
    responses: { 200: { description: 'OK', ...answered } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': groupVersionKind,
  };
}
