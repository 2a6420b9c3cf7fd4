import type { Container, Pod, ServiceAccount, Volume } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import { generateName } from '../object-meta.ts';
import type { ResourceCache } from '../resource-cache.ts';
import { forbidden } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';
import type { WatchCache } from '../watch-cache.ts';

/** Where in-cluster clients look for their token. */
const tokenFolder = '/var/run/secrets/kubernetes.io/serviceaccount';
const volumePrefix = 'kube-api-access-';
/** An hour, and a bit by which such tokens are told from those that somebody asked an hour for. */
const tokenSeconds = 3_607;
/** How long a new namespace's account `default` is waited for: a controller makes it, which may be busy. */
const defaultAccountMs = 5_000;
const rootCertificates = 'kube-root-ca.crt';

/** Admission of Pods: they have a service account that exists, and its token unless that is not wanted. */
export class ServiceAccountAdmission {
  readonly #accounts: ResourceCache;

  constructor(cache: WatchCache) {
    this.#accounts = cache.of(resources.serviceAccounts);
  }

  /**
   * Completes a new Pod in place.
   * @throws StatusError 403 when there is no such account
   */
  async admit(object: ApiObject): Promise<void> {
    const pod: ApiObject & Pod = object;
    const { spec } = pod;
    if (spec === undefined) return;
    const name = spec.serviceAccountName || 'default';
    const account = await this.#find(pod.metadata.namespace ?? '', name);
    if (account === undefined) {
      const problem = `error looking up service account ${pod.metadata.namespace}/${name}: serviceaccount "${name}" not found`;
      throw forbidden(resources.pods, pod.metadata.name ?? '', problem);
    }
    if (spec.imagePullSecrets === undefined && account.imagePullSecrets !== undefined)
      spec.imagePullSecrets = structuredClone(account.imagePullSecrets);
    if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec);
  }

  #find(namespace: string, name: string): Promise<ServiceAccount | undefined> {
    const key = `${namespace}/${name}`;
    const look = () => this.#accounts.get(key)?.object as ServiceAccount | undefined;
    const found = look();
    if (found !== undefined || name !== 'default') return Promise.resolve(found);
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        stop();
        resolve(look());
      };
      const timer = setTimeout(end, defaultAccountMs);
      const stop = this.#accounts.listen((event) => {
        if (event.current?.key === key) end();
      }, end);
    });
  }
}

function mountToken(spec: NonNullable<Pod['spec']>): void {
  const containers: Container[] = [...(spec.initContainers ?? []), ...(spec.containers ?? [])];
  const without = containers.filter(({ volumeMounts = [] }) => volumeMounts.every((m) => m.mountPath !== tokenFolder));
  if (without.length === 0) return;
  const known = spec.volumes?.find(({ name }) => name.startsWith(volumePrefix))?.name;
  const name = known ?? generateName(volumePrefix);
  if (known === undefined) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
  for (const container of without) {
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: tokenFolder }];
  }
}

/** What an in-cluster client needs: who it is, whom to trust, where it is. */
function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { expirationSeconds: tokenSeconds, path: 'token' } },
        { configMap: { name: rootCertificates, items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
      defaultMode: 0o644,
    },
  };
}
