// Writes src/api/generated/ from the OpenAPI models that the npm package kubernetes-models (an alias of
// @kubernetes/client-node, whose models follow Kubernetes release 1.36) carries: TypeScript interfaces, and the
// field table that validation, strict decoding and OpenAPI are made from. `--check` compares instead of writing.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const models = join(root, 'node_modules/kubernetes-models/dist/gen/models');

/** The kinds served or read; everything they refer to follows. */
const roots = [
  'V1Namespace',
  'V1Node',
  'V1Pod',
  'V1PodTemplateSpec',
  'V1Service',
  'V1Endpoints',
  'V1EndpointSlice',
  'V1ConfigMap',
  'V1Secret',
  'V1ServiceAccount',
  'CoreV1Event',
  'EventsV1Event',
  'V1Lease',
  'V1ReplicaSet',
  'V1Deployment',
  'V1StatefulSet',
  'V1DaemonSet',
  'V1ControllerRevision',
  'V1PersistentVolumeClaim',
  'V1ServiceCIDR',
  'V1IPAddress',
  'V1Role',
  'V1RoleBinding',
  'V1ClusterRole',
  'V1ClusterRoleBinding',
  'V1TokenReview',
  'AuthenticationV1TokenRequest',
  'V1SubjectAccessReview',
  'V1SelfSubjectAccessReview',
  'V1LocalSubjectAccessReview',
  'V1SelfSubjectRulesReview',
  'V1SelfSubjectReview',
  'V1Eviction',
  'V1Scale',
  'V1Binding',
  'V1Status',
  'V1DeleteOptions',
  'V1ListMeta',
  'V1APIResourceList',
  'V1APIGroupList',
  'V1APIVersions',
];

/** `V1Pod` is `Pod`; the core group's prefix stays where two groups share a name (`CoreV1Event` is `CoreEvent`). */
const plainName = (model) =>
  model.replace(/^(Core)?(?:Authentication|Discovery|Events|Rbac|Storage|Flowcontrol)?V1(?=[A-Z])/, '$1');

/** What a comment of the models says, on one line. */
const plainText = (comment) =>
  comment
    .replace(/\s+/g, ' ')
    .replaceAll(/\\(["'])/g, '$1')
    .trim();

/** Descriptions of a model's fields by their names in code, and of the model itself under the empty name. */
function readDescriptions(text) {
  const own = /\/\*\*\n\* ([\s\S]*?)\n\*\/\nexport declare class/.exec(text)?.[1];
  const found = new Map(own === undefined ? [] : [['', plainText(own)]]);
  for (const m of text.matchAll(/ {4}\/\*\*\n {4}\* (.*)\n {4}\*\/\n {4}'([^']+)'/g)) found.set(m[2], plainText(m[1]));
  return found;
}

const descriptions = new Map();

function readModel(model) {
  // A map's type stands on three lines.
  const text = readFileSync(join(models, `${model}.d.ts`), 'utf8').replace(
    /\{\s+\[key: string\]: ([^;]+);\s+\}/g,
    '{ [key: string]: $1; }',
  );
  const fields = [];
  for (const m of text.matchAll(/^ {4}'([^']+)'(\??): (.+);$/gm))
    fields.push({ name: m[1], required: m[2] === '', type: m[3] });
  const described = readDescriptions(text);
  const baseNames = new Map();
  const js = readFileSync(join(models, `${model}.js`), 'utf8');
  for (const m of js.matchAll(
    /"name": "([^"]+)",\s+"baseName": "([^"]+)",\s+"type": "([^"]+)",\s+"format": "([^"]*)"/g,
  ))
    baseNames.set(m[1], { baseName: m[2], format: m[4] });
  descriptions.set(plainName(model), {
    '': described.get('') ?? '',
    ...Object.fromEntries(fields.map((f) => [baseNames.get(f.name)?.baseName ?? f.name, described.get(f.name) ?? ''])),
  });
  return fields.map((f) => ({
    ...f,
    name: baseNames.get(f.name)?.baseName ?? f.name,
    format: baseNames.get(f.name)?.format ?? '',
  }));
}

/** One field type as the table says it: scalar, `[]` list, `{}` map, or the name of another type. */
function tableType(type, format) {
  const element = /^Array<(.+)>$/.exec(type)?.[1];
  if (element !== undefined) return `[]${tableType(element, format)}`;
  const value = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (value !== undefined) return `{}${tableType(value, format)}`;
  if (type === 'Date' || type === 'V1MicroTime') return 'time';
  if (type === 'IntOrString') return 'int-or-string';
  if (type === 'any' || type === 'object') return 'any';
  if (type === 'number')
    return format === 'double' || format === 'float' ? 'number' : format === 'int32' ? 'int32' : 'int64';
  if (type === 'string' && format === 'byte') return 'bytes';
  return ['string', 'boolean'].includes(type) ? type : plainName(type);
}

function tsType(table) {
  if (table.startsWith('[]')) {
    const inner = tsType(table.slice(2));
    return inner.includes('|') ? `(${inner})[]` : `${inner}[]`;
  }
  if (table.startsWith('{}')) return `{ [key: string]: ${tsType(table.slice(2))} }`;
  return (
    {
      time: 'string',
      bytes: 'string',
      'int-or-string': 'number | string',
      any: 'unknown',
      int32: 'number',
      int64: 'number',
    }[table] ?? table
  );
}

const referenced = (type) =>
  [...type.matchAll(/\b((?:Core|Events|Authentication|Discovery|Rbac|Storage)?V1[A-Z]\w*)/g)].map((m) => m[1]);
const table = new Map();
const modelOf = new Map();
const queue = [...roots];
for (let model = queue.shift(); model !== undefined; model = queue.shift()) {
  if (model === 'V1MicroTime' || modelOf.get(plainName(model)) === model) continue;
  if (table.has(plainName(model)))
    throw new Error(`${model} and ${modelOf.get(plainName(model))} would share the name ${plainName(model)}`);
  modelOf.set(plainName(model), model);
  const fields = readModel(model);
  table.set(
    plainName(model),
    fields.map((f) => ({ name: f.name, required: f.required, type: tableType(f.type, f.format) })),
  );
  queue.push(...fields.flatMap((f) => referenced(f.type)));
}

const header =
  '// Written by tools/generate-kubernetes-types.mjs from the models of Kubernetes release 1.36. Do not edit.\n';
const names = [...table.keys()].sort();
const property = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`);
const types = names.map(
  (name) =>
    `export interface ${name} {\n${table
      .get(name)
      .map((f) => `  ${property(f.name)}${f.required ? '' : '?'}: ${tsType(f.type)};\n`)
      .join('')}}\n`,
);
const schema = names.map(
  (name) =>
    `  ${name}: {\n    fields: {\n${table
      .get(name)
      .map((f) => `      ${property(f.name)}: '${f.type}',\n`)
      .join('')}    },\n    required: [${table
      .get(name)
      .filter((f) => f.required)
      .map((f) => `'${f.name}'`)
      .join(', ')}],\n  },\n`,
);
const outputs = {
  'types.ts': `${header}${types.join('\n')}`,
  'schema.ts': `${header}\n/** Fields of one object type. A type is a scalar, \`[]\` before an element type, \`{}\` before a map's value type, or a type's name. */\nexport interface TypeSchema {\n  readonly fields: { readonly [field: string]: string };\n  readonly required: readonly string[];\n}\n\nexport const schema: { readonly [type: string]: TypeSchema } = {\n${schema.join('')}};\n`,
};
const described = names.map(
  (name) =>
    `  ${name}: {\n${Object.entries(descriptions.get(name))
      .filter(([, text]) => text !== '')
      .map(([field, text]) => `    ${JSON.stringify(field)}: ${JSON.stringify(text)},\n`)
      .join('')}  },\n`,
);
outputs['descriptions.ts'] =
  `${header}\n/** What Kubernetes says of each type, under the empty name, and of its fields: read by \`kubectl explain\`. Large: to be imported only when asked for. */\nexport const descriptions: { readonly [type: string]: { readonly [field: string]: string } } = {\n${described.join('')}};\n`;
let stale = 0;
for (const [file, text] of Object.entries(outputs)) {
  const path = join(root, 'src/api/generated', file);
  if (process.argv.includes('--check')) {
    let current = '';
    try {
      current = readFileSync(path, 'utf8');
    } catch {}
    if (current !== text) {
      stale++;
      console.error(`${path} is stale: run \`npm run generate\``);
    }
  } else writeFileSync(path, text);
}
if (stale > 0) process.exit(1);
