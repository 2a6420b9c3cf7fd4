import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { aborted } from '../component/abort.ts';
import { sleep } from '../component/backoff.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { readDnsConfig } from './config/read.ts';
import { followConfig } from './reload.ts';
import { DnsServer } from './server.ts';

/**
 * Runs the cluster's DNS server by a configuration file (see `readDnsConfig`) until the signal aborts, and then for as
 * long as its lameduck time says, until all sockets are closed. It answers SERVFAIL for the cluster's names until it has
 * seen all objects once, and goes on with what it has while the API is away.
 * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`, and those of `loadKubeconfig`
 */
export async function runDns(path: string, signal: AbortSignal): Promise<void> {
  const log = createLogger('dns');
  const { config, digest } = await readDnsConfig(path);
  const client = connect({ ...(await loadKubeconfig(config.kubeconfig)), component: 'signalbox-dns' }, { log });
  try {
    const server = await DnsServer.start({ config, client, log });
    const following = followConfig({ server, read: () => readDnsConfig(path), digest, log, signal });
    await aborted(signal);
    await following;
    await retire(server, log);
    log.info('stopping');
    await server.close();
  } finally {
    client.close();
  }
}

/** Clients and load balancers are given time to turn elsewhere, and are served meanwhile. */
export async function retire(server: DnsServer, log: Logger): Promise<void> {
  const lameduckMs = server.config.health?.lameduckMs ?? 0;
  if (lameduckMs === 0) return;
  log.info({ lameduckMs }, 'is about to stop, and serves on meanwhile');
  server.lameduck();
  await sleep(lameduckMs);
}
