import type { ConfigMap } from '../../api/generated/types.ts';
import { rootCertificateMap } from '../caches.ts';
import type { Controller, ControllerContext } from '../controller.ts';
import type { Write } from '../write.ts';

const defaultAccount = 'default';

/**
 * Keeps in each namespace what Pods take for granted: the service account `default`, and the ConfigMap with the
 * certificate of the authority to trust, where there is one. Keys are namespace names.
 */
export function defaultObjectsController({ caches }: ControllerContext, authority: string | undefined): Controller {
  const namespaces = caches.informer('namespaces');
  const accounts = caches.informer('serviceAccounts');
  const configMaps = caches.informer('configMaps');

  function rootCertificateWrites(namespace: string): Write[] {
    if (authority === undefined) return [];
    const existing = configMaps.store.get(`${namespace}/${rootCertificateMap}`);
    if (existing?.data?.['ca.crt'] === authority) return [];
    const object: ConfigMap = {
      ...existing,
      metadata: existing?.metadata ?? { name: rootCertificateMap, namespace },
      data: { 'ca.crt': authority },
    };
    return [{ verb: existing === undefined ? 'create' : 'update', resource: 'configMaps', object }];
  }

  return {
    name: 'serviceaccount',
    concurrency: 4,
    watch(enqueue) {
      namespaces.onChange(({ key }) => enqueue(key));
      accounts.onChange(({ previous }) => {
        if (previous?.metadata.name === defaultAccount) enqueue(previous.metadata.namespace ?? '');
      });
      configMaps.onChange(({ previous }) => {
        if (previous?.metadata.name === rootCertificateMap) enqueue(previous.metadata.namespace ?? '');
      });
    },
    async reconcile(key, round) {
      const namespace = namespaces.store.get(key);
      if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return;
      const writes = rootCertificateWrites(key);
      if (!accounts.store.has(`${key}/${defaultAccount}`))
        writes.push({
          verb: 'create',
          resource: 'serviceAccounts',
          object: { metadata: { name: defaultAccount, namespace: key } },
        });
      await round.apply(writes);
    },
  };
}
