import { join } from 'node:path';
import type { Pod, ServiceAccountTokenProjection, TokenRequest } from '../api/generated/types.ts';
import { resourcePath, resources } from '../api/resources.ts';
import type { ApiClient } from '../client/types.ts';
import { backoffDelay, retry, sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { tokenKey, writeVolumeFile } from './volumes.ts';

/** Tokens of one Pod, by `tokenKey`. */
export interface PodTokens {
  readonly tokens: ReadonlyMap<string, string>;
  /** When the first of them wants to be replaced, in milliseconds since the epoch. */
  readonly renewAt: number;
}

/** What of a token's life may go by before it is replaced, as with kubelet. */
const usedShare = 0.8;
const maxTimerMs = 2 ** 31 - 1;
const renewRetry = { initial: 1_000, max: 60_000 };

/** The tokens that a Pod's volumes ask for. */
function projectionsOf(pod: Pod) {
  return (pod.spec?.volumes ?? []).flatMap(({ name, projected }) =>
    (projected?.sources ?? []).flatMap(({ serviceAccountToken }) =>
      serviceAccountToken === undefined
        ? []
        : [{ volume: name, projection: serviceAccountToken, mode: projected?.defaultMode ?? 0o644 }],
    ),
  );
}

/**
 * Asks for the tokens that a Pod's volumes want, bound to the Pod.
 * @throws ApiError
 */
export async function requestTokens(pod: Pod, client: ApiClient): Promise<PodTokens> {
  const wanted = new Map(projectionsOf(pod).map(({ projection }) => [tokenKey(projection), projection]));
  let renewAt = Number.POSITIVE_INFINITY;
  const requested = [...wanted].map(async ([key, projection]): Promise<[string, string]> => {
    const { token = '', expirationTimestamp = '' } = await requestToken(pod, projection, client);
    renewAt = Math.min(renewAt, Date.now() + (Date.parse(expirationTimestamp) - Date.now()) * usedShare);
    return [key, token];
  });
  return { tokens: new Map(await Promise.all(requested)), renewAt };
}

async function requestToken(
  pod: Pod,
  { audience, expirationSeconds }: ServiceAccountTokenProjection,
  client: ApiClient,
): Promise<NonNullable<TokenRequest['status']>> {
  const { namespace, name = '', uid = '' } = pod.metadata ?? {};
  const account = pod.spec?.serviceAccountName ?? 'default';
  const body: TokenRequest = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      audiences: audience === undefined || audience === '' ? [] : [audience],
      ...(expirationSeconds === undefined ? {} : { expirationSeconds }),
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
    },
  };
  const path = resourcePath(resources.serviceAccounts, { namespace, name: account, subresource: 'token' });
  const answer = (await client.raw({ method: 'POST', path, body })) as TokenRequest;
  return answer.status ?? {};
}

/** What a Pod's tokens are kept with. */
export interface TokenKeeping {
  readonly client: ApiClient;
  readonly log: Logger;
  /** Where `prepareVolumes` made the Pod's volumes. */
  readonly volumeFolder: string;
  readonly signal: AbortSignal;
}

/** Replaces the token files of a Pod before their time is over, until the signal aborts. */
export async function keepTokensFresh(pod: Pod, first: PodTokens, keeping: TokenKeeping): Promise<void> {
  const { client, log, volumeFolder, signal } = keeping;
  let current: PodTokens | undefined = first;
  while (current !== undefined && Number.isFinite(current.renewAt) && !signal.aborted) {
    const wait = current.renewAt - Date.now();
    await sleep(Math.min(Math.max(0, wait), maxTimerMs), signal);
    if (signal.aborted || Date.now() < current.renewAt - 1) continue;
    current = await retry(() => requestTokens(pod, client), {
      signal,
      delay: (attempt) => backoffDelay(attempt, renewRetry),
      onError: (error) => log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'no new token'),
    });
    for (const { volume, projection, mode } of current === undefined ? [] : projectionsOf(pod)) {
      const content = Buffer.from(current?.tokens.get(tokenKey(projection)) ?? '');
      writeVolumeFile(join(volumeFolder, volume), projection.path, { content, mode });
    }
  }
}
