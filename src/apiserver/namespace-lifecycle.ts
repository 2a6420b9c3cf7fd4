import type { Namespace } from '../api/generated/types.ts';
import { type Resource, resources } from '../api/resources.ts';
import { forbidden, notFound } from './status.ts';
import type { WatchCache } from './watch-cache.ts';

/** Namespaces without which a cluster does not work. */
export const permanentNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;
const undeletable: readonly string[] = ['default', 'kube-system', 'kube-public'];

/** Admission: objects come into being in namespaces that exist and are not on their way out. */
export class NamespaceLifecycle {
  readonly #cache: WatchCache;

  constructor(cache: WatchCache) {
    this.#cache = cache;
  }

  /** @throws StatusError 404 or 403 */
  async admitCreate(resource: Resource, namespace: string | undefined, name: string): Promise<void> {
    if (!resource.namespaced || namespace === undefined) return;
    const namespaces = this.#cache.of(resources.namespaces);
    if (namespaces.get(namespace) === undefined) await this.#cache.waitUntilFresh();
    const found = namespaces.get(namespace)?.object as Namespace | undefined;
    if (found === undefined) throw notFound(resources.namespaces, namespace);
    if (found.status?.phase !== 'Terminating') return;
    const error = forbidden(
      resource,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
    );
    error.status.details = {
      ...error.status.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    };
    throw error;
  }

  /** @throws StatusError 403 */
  admitDelete(resource: Resource, name: string): void {
    if (resource.kind === 'Namespace' && undeletable.includes(name)) {
      throw forbidden(resource, name, 'this namespace may not be deleted');
    }
  }
}
