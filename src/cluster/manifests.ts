import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { LineCounter, parseAllDocuments } from 'yaml';
import type { ObjectMeta } from '../api/generated/types.ts';
import type { KubernetesObject } from '../api/object.ts';
import { apiVersionOf, type Resource, resources } from '../api/resources.ts';
import { SignalboxError } from '../errors/error.ts';

/** One document of a manifest, and where it stands. */
export interface ManifestDocument {
  /** `FILE:LINE` of its beginning. */
  readonly source: string;
  readonly resource: Resource;
  readonly object: KubernetesObject & { readonly metadata: ObjectMeta & { readonly name: string } };
}

/** What is in some manifests: as `kubectl apply`, one bad document does not keep the others back. */
export interface Manifests {
  readonly documents: readonly ManifestDocument[];
  readonly errors: readonly SignalboxError[];
}

/**
 * Reads manifests: a file of YAML or JSON documents, a folder's `*.yaml`, `*.yml` and `*.json`, or `-` for standard
 * input. Lists are taken apart. Namespaced objects without a namespace go to `default`.
 * @throws SignalboxError `MANIFEST_UNREADABLE` when a file cannot be read at all
 */
export function readManifests(paths: readonly string[]): Manifests {
  return sorted(paths.flatMap(filesOf).flatMap((file) => [...documentsOf(file)]));
}

function filesOf(path: string): string[] {
  if (path === '-') return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => /\.(ya?ml|json)$/.test(name));
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): SignalboxError {
  return new SignalboxError('MANIFEST_UNREADABLE', {
    object: path,
    problem: `cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`,
    remedy: 'give a file of YAML or JSON, a folder with such files, or - for standard input',
    cause: error,
  });
}

/** As `readManifests`, of YAML or JSON that is in hand; `name` is what errors call it. */
export function parseManifests(text: string, name: string): Manifests {
  return sorted(documentsIn(text, name));
}

function sorted(items: Iterable<ManifestDocument | SignalboxError>): Manifests {
  const documents: ManifestDocument[] = [];
  const errors: SignalboxError[] = [];
  for (const item of items) {
    if (item instanceof SignalboxError) errors.push(item);
    else documents.push(item);
  }
  return { documents, errors };
}

function* documentsOf(file: string): Iterable<ManifestDocument | SignalboxError> {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
  yield* documentsIn(text, file === '-' ? 'standard input' : file);
}

function* documentsIn(text: string, name: string): Iterable<ManifestDocument | SignalboxError> {
  const lines = new LineCounter();
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    const source = `${name}:${lines.linePos(document.contents?.range?.[0] ?? document.range[0]).line}`;
    const [fault] = document.errors;
    if (fault !== undefined) {
      const at = fault.linePos === undefined ? source : `${name}:${fault.linePos[0].line}`;
      yield invalid(at, `is not YAML (${fault.message.split('\n')[0]?.replace(/ at line .*$/, '')})`);
    } else {
      const value: unknown = document.toJS({ maxAliasCount: 100 });
      if (value !== null && value !== undefined) yield* objectsOf(value, source);
    }
  }
}

function* objectsOf(value: unknown, source: string): Iterable<ManifestDocument | SignalboxError> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    yield invalid(source, 'is not an object');
    return;
  }
  const { apiVersion, kind, metadata, items } = value as KubernetesObject & { items?: unknown };
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
    for (const item of items) yield* objectsOf(item, source);
    return;
  }
  const resource = Object.values(resources).find((r) => r.kind === kind && apiVersionOf(r) === apiVersion);
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') yield invalid(source, 'has no apiVersion and kind');
  else if (resource === undefined) yield invalid(source, `is of a kind that is not served (${kind} in ${apiVersion})`);
  else if (typeof metadata?.name !== 'string') yield invalid(source, `(${kind}) has no metadata.name`);
  else {
    const namespace = resource.namespaced ? { namespace: metadata.namespace ?? 'default' } : {};
    const object = { ...value, metadata: { ...metadata, name: metadata.name, ...namespace } };
    yield { source, resource, object };
  }
}

function invalid(source: string, problem: string): SignalboxError {
  return new SignalboxError('MANIFEST_INVALID', {
    object: source,
    problem,
    remedy: 'correct it and apply the file again; its other documents were applied',
  });
}
