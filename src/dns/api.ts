import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient, ClientConfig } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { ApiAccess, ApiServerSettings } from './config/types.ts';
import { readTlsFiles } from './tls-files.ts';

/** The way to the API server, for who may not need it: a server of other names alone has no kubeconfig. */
export interface DnsApi {
  /**
   * The client, the same each time.
   * @throws SignalboxError as `loadKubeconfig` and `readTlsFiles`
   */
  readonly open: () => Promise<ApiClient>;
  readonly close: () => void;
}

/** Nothing is read or opened before it is asked for. */
export function apiOf({ kubeconfig, context, apiServer }: ApiAccess, log: Logger): DnsApi {
  let client: ApiClient | undefined;
  return {
    open: async () => {
      if (client !== undefined) return client;
      const config =
        apiServer === undefined
          ? await loadKubeconfig(kubeconfig, context === undefined ? {} : { context })
          : await clientConfigOf(apiServer);
      client ??= connect({ ...config, component: 'signalbox-dns' }, { log });
      return client;
    },
    close: () => client?.close(),
  };
}

async function clientConfigOf({ server, otherServers, tls }: ApiServerSettings): Promise<ClientConfig> {
  const { cert, key, ca } = tls === undefined ? {} : await readTlsFiles(tls);
  return {
    server,
    otherServers,
    ...(cert && { clientCertificate: cert.toString() }),
    ...(key && { clientKey: key.toString() }),
    ...(ca && { certificateAuthority: ca.toString() }),
  };
}
