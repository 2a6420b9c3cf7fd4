import { otherVersionOf, toServedVersion } from '../api/other-versions.ts';
import { apiVersionOf, type Resource } from '../api/resources.ts';
import type { Format } from './negotiation.ts';
import { badRequest } from './status.ts';
import type { ApiObject, StoredObject } from './stored-object.ts';
import type { Strategy } from './strategy.ts';

/** What goes along with each row of a Table. */
export type IncludedObject = 'None' | 'Metadata' | 'Object';

/** How the objects of one resource are shown to one client. Views with the same key give the same bytes. */
export interface View {
  readonly key: string;
  /** One object as JSON, as of a revision. */
  one(object: StoredObject, revision: number): string;
  /** An event's object; `first` says whether the watcher has seen none before. */
  event(object: StoredObject, revision: number, first: boolean): string;
  /** A list as JSON. `metadata` is that of the list. */
  list(objects: readonly StoredObject[], metadata: object): string;
  /** An object of which only the metadata counts: a bookmark's. */
  bare(metadata: object): string;
}

const metaVersion = 'meta.k8s.io/v1';

/** @throws StatusError 400 for an unknown `includeObject` */
export function viewOf(
  format: Format,
  { resource, strategy }: { readonly resource: Resource; readonly strategy: Strategy<ApiObject> },
  query: URLSearchParams,
): View {
  const convert = conversionTo(resource);
  if (format.view === 'object') return new ObjectView(resource, convert);
  if (format.view === 'metadata') return metadataView;
  return new TableView(strategy, { included: readIncluded(query), convert, version: apiVersionOf(resource) });
}

type Convert = (object: ApiObject) => ApiObject;

/** How stored objects become those of the version asked for; nothing when they are that already. */
function conversionTo(resource: Resource): Convert | undefined {
  const other = otherVersionOf(resource);
  return other && ((object) => toServedVersion(other, object));
}

function readIncluded(query: URLSearchParams): IncludedObject {
  const text = query.get('includeObject') ?? 'Metadata';
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text;
  if (text === '') return 'Metadata';
  throw badRequest(`unrecognized includeObject value: ${JSON.stringify(text)}`);
}

class ObjectView implements View {
  readonly key: string;
  readonly #resource: Resource;
  readonly #convert: Convert | undefined;

  constructor(resource: Resource, convert: Convert | undefined) {
    this.key = `object ${apiVersionOf(resource)}`;
    this.#resource = resource;
    this.#convert = convert;
  }

  one(object: StoredObject, revision: number): string {
    if (this.#convert === undefined) return object.wireAt(revision);
    return JSON.stringify(this.#convert(object.objectAt(revision)));
  }

  event(object: StoredObject, revision: number): string {
    return this.one(object, revision);
  }

  list(objects: readonly StoredObject[], metadata: object): string {
    const head = JSON.stringify({
      kind: `${this.#resource.kind}List`,
      apiVersion: apiVersionOf(this.#resource),
      metadata,
    });
    return `${head.slice(0, -1)},"items":[${objects.map((object) => this.one(object, object.revision)).join(',')}]}`;
  }

  bare(metadata: object): string {
    return JSON.stringify({ kind: this.#resource.kind, apiVersion: apiVersionOf(this.#resource), metadata });
  }
}

/** `PartialObjectMetadata` of an object. */
function partial({ metadata }: ApiObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: metaVersion, metadata };
}

const metadataView: View = {
  key: 'metadata',
  one: (object, revision) => JSON.stringify(partial(object.objectAt(revision))),
  event: (object, revision) => JSON.stringify(partial(object.objectAt(revision))),
  list: (objects, metadata) =>
    JSON.stringify({
      kind: 'PartialObjectMetadataList',
      apiVersion: metaVersion,
      metadata,
      items: objects.map(({ object }) => partial(object)),
    }),
  bare: (metadata) => JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion: metaVersion, metadata }),
};

class TableView implements View {
  readonly key: string;
  readonly #strategy: Strategy<ApiObject>;
  readonly #included: IncludedObject;
  readonly #convert: Convert;

  constructor(
    strategy: Strategy<ApiObject>,
    how: { readonly included: IncludedObject; readonly convert: Convert | undefined; readonly version: string },
  ) {
    this.key = `table-${how.included} ${how.version}`;
    this.#strategy = strategy;
    this.#included = how.included;
    this.#convert = how.convert ?? ((object) => object);
  }

  one(object: StoredObject, revision: number): string {
    return this.#table([object.objectAt(revision)], { resourceVersion: String(revision) }, true);
  }

  event(object: StoredObject, revision: number, first: boolean): string {
    return this.#table([object.objectAt(revision)], { resourceVersion: String(revision) }, first);
  }

  list(objects: readonly StoredObject[], metadata: object): string {
    return this.#table(
      objects.map(({ object }) => object),
      metadata,
      true,
    );
  }

  bare(metadata: object): string {
    return JSON.stringify({
      kind: 'Table',
      apiVersion: metaVersion,
      metadata,
      columnDefinitions: null,
      rows: [{ cells: [], object: { kind: 'PartialObjectMetadata', apiVersion: metaVersion, metadata } }],
    });
  }

  #table(objects: readonly ApiObject[], metadata: object, headers: boolean): string {
    const { columns } = this.#strategy;
    return JSON.stringify({
      kind: 'Table',
      apiVersion: metaVersion,
      metadata,
      columnDefinitions: headers
        ? columns.map(({ name, type, format = '', description, priority }) => ({
            name,
            type,
            format,
            description,
            priority,
          }))
        : null,
      rows: objects.map((object) => ({
        cells: columns.map((column) => column.value(object)),
        ...(this.#included === 'None'
          ? {}
          : { object: this.#included === 'Object' ? this.#convert(object) : partial(object) }),
      })),
    });
  }
}
