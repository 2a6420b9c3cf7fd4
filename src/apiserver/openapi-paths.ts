import { apiVersionOf, type Resource, resourcePath, type Subresource } from '../api/resources.ts';
import { subresourceFacts, verbsOf } from './served.ts';

/** A parameter of a request, as all versions of OpenAPI know it. */
export interface ParameterFacts {
  readonly name: string;
  readonly in: 'query' | 'path';
  readonly type: 'string' | 'integer' | 'boolean';
  readonly description?: string;
}

/** One request that can be made. */
export interface OperationFacts {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch';
  /** As Kubernetes calls it: `deletecollection`. */
  readonly action: string;
  /** Unique; generated clients make method names of it. */
  readonly id: string;
  readonly groupVersionKind: { readonly group: string; readonly version: string; readonly kind: string };
  readonly parameters: readonly ParameterFacts[];
  /** Media types of the body; its type in the schema, where it has one. */
  readonly body?: { readonly types: readonly string[]; readonly schema?: string };
  /** Type of the answer in the schema; with `isList`, a list of such. Absent: not an object. */
  readonly answer?: { readonly schema: string; readonly isList: boolean };
}

/** What can be done at one path. */
export interface PathFacts {
  readonly path: string;
  readonly parameters: readonly ParameterFacts[];
  readonly operations: readonly OperationFacts[];
}

const query = (name: string, type: ParameterFacts['type'], description: string): ParameterFacts => ({
  name,
  in: 'query',
  type,
  description,
});
const inPath = (name: string): ParameterFacts => ({ name, in: 'path', type: 'string' });

const writeParameters = [
  query('dryRun', 'string', 'All: nothing is stored.'),
  query('fieldManager', 'string', 'Who makes the change.'),
  query('fieldValidation', 'string', 'Strict, Warn or Ignore: what becomes of unknown and duplicate fields.'),
];
const patchParameters = [...writeParameters, query('force', 'boolean', 'An apply takes what others have.')];
const listParameters = [
  query('labelSelector', 'string', 'Only objects with such labels.'),
  query('fieldSelector', 'string', 'Only objects with such fields.'),
  query('limit', 'integer', 'At most so many in one answer.'),
  query('continue', 'string', 'From where the last answer ended.'),
  query('resourceVersion', 'string', 'At least as new as this version.'),
  query('resourceVersionMatch', 'string', 'How the version is meant.'),
  query('timeoutSeconds', 'integer', 'For how long to watch.'),
  query('watch', 'boolean', 'Follow changes.'),
  query('allowWatchBookmarks', 'boolean', 'Tell now and then how far the watch has come.'),
  query('sendInitialEvents', 'boolean', 'Begin a watch with what is there.'),
];
const deleteParameters = [
  query('dryRun', 'string', 'All: nothing is deleted.'),
  query('gracePeriodSeconds', 'integer', 'Time to finish.'),
  query('propagationPolicy', 'string', 'Background, Foreground or Orphan: what becomes of dependents.'),
];

const sentTypes = ['application/json', 'application/yaml'];
const patchTypes = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
];

/** All paths of a resource. */
export function pathsOf(resource: Resource): readonly PathFacts[] {
  const common = resource.namespaced ? [inPath('namespace')] : [];
  const one = [inPath('name'), ...common];
  const base = templateOf(resource, {});
  const operation = operationsOf(resource);
  if (!verbsOf(resource).includes('list'))
    return [{ path: base, parameters: common, operations: [operation('post', 'create')] }];
  const paths: PathFacts[] = [
    {
      path: base,
      parameters: common,
      operations: [
        operation('get', 'list'),
        operation('post', 'create'),
        ...(verbsOf(resource).includes('deletecollection') ? [operation('delete', 'deletecollection')] : []),
      ],
    },
    {
      path: templateOf(resource, { name: '{name}' }),
      parameters: one,
      operations: [
        operation('get', 'read'),
        operation('put', 'replace'),
        operation('patch', 'patch'),
        operation('delete', 'delete'),
      ],
    },
  ];
  for (const subresource of resource.subresources) {
    const operations = subresourceOperations(resource, subresource);
    if (operations.length > 0)
      paths.push({ path: templateOf(resource, { name: '{name}', subresource }), parameters: one, operations });
  }
  if (resource.namespaced) {
    const list = operation('get', 'list');
    const id = `${list.id.replace('Namespaced', '')}ForAllNamespaces`;
    paths.push({ path: resourcePath(resource), parameters: [], operations: [{ ...list, id }] });
  }
  return paths;
}

function templateOf(resource: Resource, at: { name?: string; subresource?: string }): string {
  const namespace = resource.namespaced ? '{namespace}' : undefined;
  return resourcePath(resource, { namespace, ...at })
    .replaceAll('%7B', '{')
    .replaceAll('%7D', '}');
}

type Verb = 'list' | 'create' | 'deletecollection' | 'read' | 'replace' | 'patch' | 'delete';

const actions: { readonly [verb in Verb]: string } = {
  list: 'list',
  create: 'post',
  deletecollection: 'deletecollection',
  read: 'get',
  replace: 'put',
  patch: 'patch',
  delete: 'delete',
};

const parametersOf: { readonly [verb in Verb]: readonly ParameterFacts[] } = {
  list: listParameters,
  create: writeParameters,
  deletecollection: [...listParameters, ...deleteParameters.filter(({ name }) => name !== 'limit')],
  read: [],
  replace: writeParameters,
  patch: patchParameters,
  delete: deleteParameters,
};

/** Makes the operations of a resource; of a subresource when it and its kind are named. */
function operationsOf(
  resource: Resource,
  sub: { readonly name: string; readonly apiVersion?: string; readonly kind?: string; readonly schema?: string } = {
    name: '',
  },
) {
  const [version = '', group = ''] = (sub.apiVersion ?? apiVersionOf(resource)).split('/').reverse();
  const schema = sub.schema ?? resource.schema;
  const whose = groupName(resource) + capital(resource.version);
  const what = `${resource.namespaced ? 'Namespaced' : ''}${resource.kind}${capital(sub.name)}`;
  return (method: OperationFacts['method'], verb: Verb): OperationFacts => ({
    method,
    action: actions[verb],
    id: verb === 'deletecollection' ? `delete${whose}Collection${what}` : `${verb}${whose}${what}`,
    groupVersionKind: { group, version, kind: sub.kind ?? resource.kind },
    parameters: parametersOf[verb],
    ...bodyOf(verb, schema),
    answer: { schema: verb.startsWith('delete') ? 'Status' : schema, isList: verb === 'list' },
  });
}

function bodyOf(verb: Verb, schema: string): Pick<OperationFacts, 'body'> {
  if (verb === 'create' || verb === 'replace') return { body: { types: sentTypes, schema } };
  if (verb === 'patch') return { body: { types: patchTypes } };
  return verb.startsWith('delete') ? { body: { types: sentTypes, schema: 'DeleteOptions' } } : {};
}

/** Those whose bodies are objects; streams are not described. */
function subresourceOperations(resource: Resource, subresource: Subresource): readonly OperationFacts[] {
  const facts = subresourceFacts(resource, subresource);
  if (facts.kind !== undefined && facts.schema === undefined) return [];
  const operation = operationsOf(resource, { ...facts, name: subresource });
  const made: OperationFacts[] = [];
  if (subresource === 'log') return made;
  if (facts.verbs.includes('get')) made.push(operation('get', 'read'));
  if (facts.verbs.includes('create')) made.push(operation('post', 'create'));
  if (facts.verbs.includes('update')) made.push(operation('put', 'replace'));
  if (facts.verbs.includes('patch')) made.push(operation('patch', 'patch'));
  return made;
}

/** `Core`, `Apps`, `RbacAuthorization`. */
function groupName({ group }: Resource): string {
  if (group === '') return 'Core';
  return group
    .replace(/\.k8s\.io$/, '')
    .split('.')
    .map(capital)
    .join('');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
