import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { createLogger } from '../component/log.ts';
import { runAgent } from './agent.ts';
import type { NodeConfig } from './config.ts';

/**
 * The node agent as a component: see `runAgent`. The API server is that of the kubeconfig.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`, and as `runAgent`
 */
export async function runNode(config: NodeConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger('node');
  const client = connect({ ...(await loadKubeconfig()), component: 'signalbox-node' }, { log });
  try {
    await runAgent(config, { client, log }, signal);
  } finally {
    client.close();
  }
}
