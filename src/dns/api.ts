import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { ApiClient } from '../client/types.ts';
import type { Logger } from '../component/log.ts';
import type { DnsConfig } from './config/types.ts';

/** The way to the API server, for who may not need it: a server of other names alone has no kubeconfig. */
export interface DnsApi {
  /**
   * The client, the same each time.
   * @throws SignalboxError as `loadKubeconfig`
   */
  readonly open: () => Promise<ApiClient>;
  readonly close: () => void;
}

/** Nothing is read or opened before it is asked for. */
export function apiOf({ kubeconfig, context }: Pick<DnsConfig, 'kubeconfig' | 'context'>, log: Logger): DnsApi {
  let client: ApiClient | undefined;
  return {
    open: async () => {
      if (client !== undefined) return client;
      const config = await loadKubeconfig(kubeconfig, context === undefined ? {} : { context });
      client ??= connect({ ...config, component: 'signalbox-dns' }, { log });
      return client;
    },
    close: () => client?.close(),
  };
}
