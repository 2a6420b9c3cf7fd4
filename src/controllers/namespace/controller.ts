import { isDeepStrictEqual } from 'node:util';
import type { Namespace } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { type ResourceKey, resources } from '../../api/resources.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import { deletion, type Write } from '../write.ts';
import { contentConditions, type Remaining } from './conditions.ts';

const finalizer = 'kubernetes';
/** How soon to look again whether what was deleted is gone: Pods take until their grace period is over. */
const lookAgainMs = 1_000;
const namespaced = (Object.keys(resources) as ResourceKey[]).filter((resource) => resources[resource].namespaced);

/** Empties each namespace that is being deleted, then lets it go. Keys are namespace names. */
export function namespaceController({ client, caches }: ControllerContext): Controller {
  const namespaces = caches.informer('namespaces');
  return {
    name: 'namespace',
    concurrency: 4,
    watch(enqueue) {
      namespaces.onChange(({ key }) => enqueue(key));
      // The last Pod's end is mostly what a namespace waits for.
      caches.informer('pods').onChange(({ previous, current }) => {
        const name = previous?.metadata.namespace ?? '';
        if (current === undefined && isLeaving(namespaces.store.get(name))) enqueue(name);
      });
    },
    async reconcile(key, round) {
      const namespace = namespaces.store.get(key);
      if (!isLeaving(namespace)) return;
      // Asked of the server, not of the caches: nothing may be overlooked.
      const content = await Promise.all(
        namespaced.map(async (resource) => {
          const { items } = await client.list(resource, { namespace: key });
          return items.map((object) => ({ resource, object }));
        }),
      );
      const left = content.flat();
      const isNew = ({ object }: Remaining) => object.metadata.deletionTimestamp === undefined;
      const deletions = left
        .filter(isNew)
        .map(({ resource, object }) => deletion(resource, object, { propagationPolicy: 'Background' }));
      const report = reportWrites(
        namespace,
        left.filter((one) => !isNew(one)),
        round.now,
      );
      if (left.length === 0 && report.length === 0) return round.apply([finalizeWrite(namespace)]);
      // Most objects are gone at once: no need to wait for the next look. What has been deleted before takes its time.
      const isQuick = deletions.length > 0 && left.every(({ resource }) => resource !== 'pods');
      round.requeueAfter(isQuick || left.length === 0 ? 0 : lookAgainMs);
      await round.apply([...deletions, ...report]);
    },
  };
}

function isLeaving(namespace: Stored<Namespace> | undefined): namespace is Stored<Namespace> {
  return namespace?.metadata.deletionTimestamp !== undefined && (namespace.spec?.finalizers ?? []).includes(finalizer);
}

/** Tells what does not go, and, where that was told, that it is gone. */
function reportWrites(namespace: Stored<Namespace>, held: readonly Remaining[], now: number): Write[] {
  const before = namespace.status?.conditions ?? [];
  if (held.length === 0 && before.length === 0) return [];
  const conditions = contentConditions(held, before, now);
  if (isDeepStrictEqual(conditions, before)) return [];
  const object = { ...namespace, status: { ...namespace.status, conditions } };
  return [{ verb: 'update', resource: 'namespaces', object, subresource: 'status' }];
}

function finalizeWrite(namespace: Stored<Namespace>): Write {
  const finalizers = (namespace.spec?.finalizers ?? []).filter((each) => each !== finalizer);
  const object = { ...namespace, spec: { ...namespace.spec, finalizers } };
  return { verb: 'update', resource: 'namespaces', object, subresource: 'finalize' };
}
