import type { KubernetesObject, Stored } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { ResourceKey } from '../api/resources.ts';
import { compareResourceVersions } from '../client/resource-version.ts';
import type { Caches } from './caches.ts';
import type { Write } from './write.ts';

/** After this long a write counts as seen: a watch that is so late must not hold a controller up for ever. */
const patienceMs = 30_000;

/**
 * Remembers what each key's controller wrote until the caches show it. A controller that looked at older caches would
 * do its work twice: create the same Pods again, or delete some more.
 */
export class OwnWrites {
  readonly #caches: Pick<Caches, 'informers'>;
  readonly #now: () => number;
  readonly #unseen = new Map<string, { readonly since: number; readonly isSeen: () => boolean }[]>();

  constructor(caches: Pick<Caches, 'informers'>, now: () => number = Date.now) {
    this.#caches = caches;
    this.#now = now;
  }

  /** Notes a write that succeeded, with the object as stored. */
  note(key: string, write: Write, stored: Stored<KubernetesObject> | undefined): void {
    const isSeen =
      write.verb === 'delete' || write.verb === 'bind'
        ? this.#placeChanged(write)
        : this.#versionReached(write.resource, stored);
    if (isSeen()) return;
    const entries = this.#unseen.get(key) ?? [];
    entries.push({ since: this.#now(), isSeen });
    this.#unseen.set(key, entries);
  }

  /** Whether the caches show all that was written for this key. */
  allSeen(key: string): boolean {
    const entries = this.#unseen.get(key);
    if (entries === undefined) return true;
    const left = entries.filter(({ since, isSeen }) => this.#now() - since < patienceMs && !isSeen());
    if (left.length === 0) this.#unseen.delete(key);
    else this.#unseen.set(key, left);
    return left.length === 0;
  }

  #versionReached(resource: ResourceKey, stored: Stored<KubernetesObject> | undefined): () => boolean {
    const informer = this.#caches.informers.get(resource);
    const version = stored?.metadata.resourceVersion;
    if (informer === undefined || version === undefined) return () => true;
    return () => compareResourceVersions(informer.resourceVersion, version) >= 0;
  }

  /** Deletions and bindings answer without a version. */
  #placeChanged(write: Extract<Write, { verb: 'delete' | 'bind' }>): () => boolean {
    const informer = this.#caches.informers.get(write.verb === 'bind' ? 'pods' : write.resource);
    if (informer === undefined) return () => true;
    const key = objectKey({ metadata: { ...write.place, namespace: write.place.namespace ?? '' } });
    return () => {
      const object = informer.store.get(key) as Stored<KubernetesObject & { spec?: { nodeName?: string } }> | undefined;
      if (object === undefined || object.metadata.uid !== write.uid || object.metadata.deletionTimestamp !== undefined)
        return true;
      return write.verb === 'bind' && object.spec?.nodeName === write.node;
    };
  }
}
