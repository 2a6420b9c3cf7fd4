import { createHash } from 'node:crypto';
import { version } from '../api/kubernetes-version.ts';
import { apiVersionOf } from '../api/resources.ts';
import { negotiateDescription } from './openapi-negotiation.ts';
import { type OperationFacts, type ParameterFacts, type PathFacts, pathsOf } from './openapi-paths.ts';
import { type Dialect, type Json, schemaName, schemasOf } from './openapi-schema.ts';
import { type ApiAnswer, type ApiRequest, jsonAnswer } from './requests.ts';
import { servedResources, servedVersions } from './served.ts';

/** A document as it is sent. */
interface Document {
  readonly bytes: Buffer;
  readonly hash: string;
}

const documents = new Map<string, Document>();

/**
 * Answers `/openapi/v2`, and `/openapi/v3` with what is below it; nothing for any other path. A document has the hash
 * of its bytes as its ETag, so that clients that keep it are spared it.
 * @throws StatusError 406
 */
export async function describeApi(request: Pick<ApiRequest, 'path' | 'headers'>): Promise<ApiAnswer | undefined> {
  const { path, headers } = request;
  if (path === '/openapi/v2' || path === '/openapi/v2/') return describeAll(headers);
  const pathOf = (groupVersion: string) =>
    groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;
  if (path === '/openapi/v3' || path === '/openapi/v3/') {
    const paths = servedVersions.map((groupVersion) => {
      const place = pathOf(groupVersion);
      return [place, { serverRelativeURL: `/openapi/v3/${place}?hash=${documentOf(groupVersion).hash}` }];
    });
    return jsonAnswer(200, { paths: Object.fromEntries(paths) });
  }
  const asked = servedVersions.find((groupVersion) => path === `/openapi/v3/${pathOf(groupVersion)}`);
  return asked === undefined ? undefined : tagged(documentOf(asked), 'application/json', headers);
}

/** One document about everything: what clients knew before OpenAPI 3, and some still ask for. */
async function describeAll(headers: ApiRequest['headers']): Promise<ApiAnswer> {
  const form = negotiateDescription(headers.accept);
  let document = documents.get(form.type);
  if (document === undefined) {
    const { describeInSwagger } = await import('./openapi-v2.ts');
    document = toDocument(describeInSwagger(form.isProtobuf));
    documents.set(form.type, document);
  }
  const answer = tagged(document, form.type, headers);
  return { ...answer, headers: { ...answer.headers, vary: 'Accept' } };
}

function tagged({ bytes, hash }: Document, type: string, headers: ApiRequest['headers']): ApiAnswer {
  const etag = `"${hash}"`;
  const known = (headers['if-none-match'] ?? '').split(',').some((one) => one.trim().replace(/^W\//, '') === etag);
  return { code: known ? 304 : 200, type, body: known ? '' : bytes, headers: { etag } };
}

function toDocument(content: string | Uint8Array): Document {
  const bytes = Buffer.from(content);
  return { bytes, hash: createHash('sha256').update(bytes).digest('hex').slice(0, 32).toUpperCase() };
}

/** The OpenAPI document of one group version, made when first asked for. */
function documentOf(groupVersion: string): Document {
  let document = documents.get(groupVersion);
  if (document === undefined) {
    const served = servedResources.filter((resource) => apiVersionOf(resource) === groupVersion);
    const paths = served.flatMap(pathsOf);
    document = toDocument(
      JSON.stringify({
        openapi: '3.0.0',
        info: { title: 'Kubernetes', version: version.gitVersion },
        paths: Object.fromEntries(paths.map((one) => [one.path, pathItem(one)])),
        components: { schemas: schemasOf(served, typesOf(paths), dialect) },
      }),
    );
    documents.set(groupVersion, document);
  }
  return document;
}

/** The types that the operations of paths speak of. */
function typesOf(paths: readonly PathFacts[]): string[] {
  const operations = paths.flatMap(({ operations }) => operations);
  return operations.flatMap(({ body, answer }) => [body?.schema, answer?.schema].filter((type) => type !== undefined));
}

const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });

const dialect: Dialect = {
  reference,
  object: (name) => ({ allOf: [reference(name)], default: {} }),
  quantity: { oneOf: [{ type: 'string' }, { type: 'number' }] },
  intOrString: { oneOf: [{ type: 'integer' }, { type: 'string' }] },
};

function pathItem({ parameters, operations }: PathFacts): Json {
  return {
    parameters: parameters.map(parameter),
    ...Object.fromEntries(operations.map((one) => [one.method, operation(one)])),
  };
}

function parameter({ name, in: place, type, description }: ParameterFacts): Json {
  return {
    name,
    in: place,
    ...(description === undefined ? {} : { description }),
    ...(place === 'path' ? { required: true } : {}),
    schema: { type, uniqueItems: true },
  };
}

function operation({ action, id, groupVersionKind, parameters, body, answer }: OperationFacts): Json {
  const sent = body && (body.schema === undefined ? { type: 'object' } : reference(schemaName(body.schema)));
  const content = body && Object.fromEntries(body.types.map((type) => [type, { schema: sent }]));
  const answered = answer && { schema: reference(`${schemaName(answer.schema)}${answer.isList ? 'List' : ''}`) };
  return {
    operationId: id,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': groupVersionKind,
    parameters: parameters.map(parameter),
    ...(content && { requestBody: { content } }),
    responses: { 200: { description: 'OK', ...(answered && { content: { 'application/json': answered } }) } },
  };
}
