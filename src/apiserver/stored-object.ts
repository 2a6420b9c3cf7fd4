import type { ObjectMeta } from '../api/generated/types.ts';
import type { KubernetesObject } from '../api/object.ts';
import { apiVersionOf, type Resource } from '../api/resources.ts';

/** An object of any kind, in the hands of code that serves all kinds alike. */
export type ApiObject = KubernetesObject & { metadata: ObjectMeta; [field: string]: unknown };

/** One version of a stored object. Never changed: whoever wants to change it makes another. */
export class StoredObject {
  /** `namespace/name`, or the name. */
  readonly key: string;
  readonly object: ApiObject & { metadata: { name: string; uid: string; resourceVersion: string } };
  readonly revision: number;
  readonly #text: string;
  readonly #metadataAt: number;
  #wire: string | undefined;

  /** `text` is what `storageText` made, `parsed` the same as a value, and is taken over. */
  constructor(key: string, revision: number, content: { readonly text: string; readonly parsed: ApiObject }) {
    this.key = key;
    this.revision = revision;
    this.#text = content.text;
    this.#metadataAt = content.text.indexOf(metadataStart) + metadataStart.length;
    const { metadata } = content.parsed;
    const named = {
      ...metadata,
      name: metadata.name ?? '',
      uid: metadata.uid ?? '',
      resourceVersion: String(revision),
    };
    this.object = { ...content.parsed, metadata: named };
  }

  /** What is in the store: the object without its resource version, which only the store can give. */
  get text(): string {
    return this.#text;
  }

  /** The object as JSON. Made when first asked for, then kept. */
  get wire(): string {
    this.#wire ??= withResourceVersion(this.#text, this.#metadataAt, this.revision);
    return this.#wire;
  }

  /** The object as JSON, as if last changed at another revision: how a deleted object is announced. */
  wireAt(revision: number): string {
    return revision === this.revision ? this.wire : withResourceVersion(this.#text, this.#metadataAt, revision);
  }

  /** The same, as a value. */
  objectAt(revision: number): ApiObject {
    if (revision === this.revision) return this.object;
    return { ...this.object, metadata: { ...this.object.metadata, resourceVersion: String(revision) } };
  }
}

const metadataStart = '"metadata":{';

/** Revision 0 is that of an object that was never stored: the answer to a dry run. */
function withResourceVersion(text: string, at: number, revision: number): string {
  if (revision === 0) return text;
  return `${text.slice(0, at)}"resourceVersion":"${revision}",${text.slice(at)}`;
}

/**
 * The object as it is stored: kind, API version and metadata come first, so that the resource version can be set into
 * the text without making it anew.
 */
export function storageText(resource: Resource, object: ApiObject): string {
  const { resourceVersion } = object.metadata;
  const metadata = resourceVersion === undefined ? object.metadata : { ...object.metadata, resourceVersion: undefined };
  const first = { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
  // A field keeps the place where it stood first; what is undefined is not written.
  return JSON.stringify(Object.assign({ ...first }, object, first));
}

/** Folder of a resource in the store, with the slash. */
export function storagePrefix(resource: Resource): string {
  return `/registry/${resource.plural}/`;
}

/** `namespace/name`, or the name. */
export function keyOf(resource: Resource, namespace: string | undefined, name: string): string {
  return resource.namespaced ? `${namespace ?? ''}/${name}` : name;
}
