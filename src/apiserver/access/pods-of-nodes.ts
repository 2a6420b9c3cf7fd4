import type { Pod } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import type { StoredObject } from '../stored-object.ts';
import type { WatchCache } from '../watch-cache.ts';

/** The Pods of each node, following the cache: what a node may see hangs on them. */
export class PodsOfNodes {
  readonly #byNode = new Map<string, Map<string, Pod>>();
  readonly stop: () => void;

  constructor(cache: WatchCache) {
    const pods = cache.of(resources.pods);
    for (const pod of pods.list()) this.#add(pod);
    this.stop = pods.listen(({ previous, current }) => {
      if (previous !== undefined) this.#remove(previous);
      if (current !== undefined) this.#add(current);
    });
  }

  /** The Pods that are bound to a node. */
  of(node: string): Iterable<Pod> {
    return this.#byNode.get(node)?.values() ?? [];
  }

  #add({ key, object }: StoredObject): void {
    const pod: Pod = object as Pod;
    const node = pod.spec?.nodeName;
    if (!node) return;
    const pods = this.#byNode.get(node) ?? new Map<string, Pod>();
    pods.set(key, pod);
    this.#byNode.set(node, pods);
  }

  #remove({ key, object }: StoredObject): void {
    const node = (object as Pod).spec?.nodeName ?? '';
    const pods = this.#byNode.get(node);
    pods?.delete(key);
    if (pods?.size === 0) this.#byNode.delete(node);
  }
}
