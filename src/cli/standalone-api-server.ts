import { parseStandaloneConfig } from '../apiserver/config-file.ts';
import { runApiServer } from '../apiserver/server.ts';
import { writeKubeconfig } from '../client/kubeconfig.ts';

/**
 * Runs an API server that belongs to no cluster of ours: makes the certificates it lacks, and when it serves, an
 * administrator's kubeconfig at `kubeconfig` (mode 0600).
 */
export async function runStandaloneApiServer(value: unknown, kubeconfig: string, signal: AbortSignal): Promise<void> {
  const { config, administrator } = await parseStandaloneConfig(value);
  await runApiServer(config, signal, async ([url = '']) => {
    writeKubeconfig(kubeconfig, {
      name: 'signalbox',
      server: reachable(url),
      certificateAuthority: config.pki.caCert,
      clientCertificate: administrator.cert,
      clientKey: administrator.key,
    });
  });
}

/** What listens on all addresses is reached at this machine's own. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}
