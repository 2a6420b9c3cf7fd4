import type { KubernetesObject } from '../api/object.ts';
import { resourcePath } from '../api/resources.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { SignalboxError } from '../errors/error.ts';
import type { ManifestDocument, Manifests } from './manifests.ts';
import { threeWayPatch } from './three-way-patch.ts';

/** What came of applying manifests. */
export interface Applied {
  /** Those that are in the cluster now. */
  readonly documents: readonly ManifestDocument[];
  /** What was wrong with the others. */
  readonly errors: readonly SignalboxError[];
}

/** Where kubectl looks for what was applied last; it goes on from here, and we from where it was. */
const lastAppliedAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** Creates or changes each object, one after the other as they stand; an error with one does not stop the others. */
export async function applyDocuments(client: ApiClient, manifests: Manifests): Promise<Applied> {
  const documents: ManifestDocument[] = [];
  const errors = [...manifests.errors];
  for (const document of manifests.documents) {
    try {
      await applyDocument(client, document);
      documents.push(document);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      errors.push(refused(document, error));
    }
  }
  return { documents, errors };
}

function refused({ source }: ManifestDocument, error: ApiError): SignalboxError {
  return new SignalboxError('MANIFEST_INVALID', {
    object: source,
    problem: `was refused (${error.message})`,
    remedy: 'correct it and apply the file again; its other documents were applied',
    cause: error,
  });
}

async function applyDocument(client: ApiClient, { resource, object }: ManifestDocument): Promise<void> {
  const { name, namespace } = object.metadata;
  const path = resourcePath(resource, { namespace, name });
  const live = await read(client, path);
  if (live === undefined) {
    const collection = resourcePath(resource, { namespace });
    await client.raw({ method: 'POST', path: `${collection}?fieldValidation=Strict`, body: annotated(object) });
    return;
  }
  await client.raw({
    method: 'PATCH',
    path: `${path}?fieldValidation=Strict`,
    body: threeWayPatch(resource.schema, lastApplied(live), { ...annotated(object) }),
    contentType: 'application/strategic-merge-patch+json',
  });
}

async function read(client: ApiClient, path: string): Promise<KubernetesObject | undefined> {
  try {
    return (await client.raw({ method: 'GET', path })) as KubernetesObject;
  } catch (error) {
    if (error instanceof ApiError && error.reason === 'NotFound') return undefined;
    throw error;
  }
}

function annotated(object: ManifestDocument['object']): KubernetesObject {
  const annotations = { ...object.metadata.annotations };
  delete annotations[lastAppliedAnnotation];
  const plain = { ...object, metadata: { ...object.metadata, annotations } };
  const text = `${JSON.stringify(plain)}\n`;
  return { ...plain, metadata: { ...plain.metadata, annotations: { ...annotations, [lastAppliedAnnotation]: text } } };
}

/** What was applied before; nothing when the object was made in another way, so that nothing is taken from it. */
function lastApplied(live: KubernetesObject): { readonly [field: string]: unknown } {
  try {
    return JSON.parse(live.metadata?.annotations?.[lastAppliedAnnotation] ?? '{}');
  } catch {
    return {};
  }
}
