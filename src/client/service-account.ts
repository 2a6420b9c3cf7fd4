import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { urlHost } from '../net/ip.ts';
import type { ClientConfig } from './types.ts';

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Mounted tokens are replaced when a fifth of their hour is left: a minute is soon enough to notice. */
const rereadMs = 60_000;

/**
 * The API server and the service account of the Pod this process runs in, from what Kubernetes mounts and sets there;
 * undefined outside of a Pod.
 */
export async function inClusterConfig(folder = mountPath): Promise<ClientConfig | undefined> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  if (!host || !port) return undefined;
  const read = (name: string) => readFile(join(folder, name), 'utf8').catch(() => undefined);
  const [authority, token, namespace] = await Promise.all(['ca.crt', 'token', 'namespace'].map(read));
  if (authority === undefined || token === undefined) return undefined;
  return {
    server: `https://${urlHost(host)}:${port}`,
    certificateAuthority: authority,
    ...(namespace === undefined ? {} : { namespace: namespace.trim() }),
    ...tokenFromFile(join(folder, 'token')),
  };
}

/** A token that is kept in a file and replaced there from time to time. */
export function tokenFromFile(path: string): Required<Pick<ClientConfig, 'token' | 'onUnauthorized'>> {
  let cached: { readonly token: string; readonly readAt: number } | undefined;
  return {
    token: async () => {
      if (cached !== undefined && Date.now() - cached.readAt < rereadMs) return cached.token;
      const text = await readFile(path, 'utf8').catch((cause: Error) => {
        throw new SignalboxError('CREDENTIAL_FAILED', {
          object: `token file ${path}`,
          problem: `cannot be read (${cause.message})`,
          remedy: 'make it readable for this user',
          cause,
        });
      });
      cached = { token: text.trim(), readAt: Date.now() };
      return cached.token;
    },
    onUnauthorized: () => {
      cached = undefined;
    },
  };
}
